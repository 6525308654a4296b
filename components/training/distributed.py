"""Data parallelism by hand under torchrun: ranks share the micro-batches of a step and add their gradients up.

The loss already divides by the counts of the whole step, so gradients and counts are summed, never averaged. How many
ranks there are is therefore no part of the recipe: the same step is computed, only divided differently.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from components.errors import misconfigured

TIMEOUT = timedelta(minutes=30)  # longer than any validation that the other ranks wait for


@dataclass(frozen=True)
class Ranks:
    """This process's place among all that train one model."""

    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Rank 0 alone writes files and speaks."""
        return self.rank == 0


@contextlib.contextmanager
def joined(device: torch.device, timeout: timedelta = TIMEOUT) -> Iterator[tuple[Ranks, torch.device]]:
    """Joins the process group torchrun describes in the environment; alone without one.

    Yields the rank and the device of this process (cuda without an index becomes this rank's own).
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Ranks(), device
        return
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timeout)
    try:
        yield Ranks(dist.get_rank(), world), device
    finally:
        dist.destroy_process_group()


def check_divisible(accumulate: int, ranks: Ranks) -> None:
    """Every rank must get the same number of a step's micro-batches.

    Raises:
        EquipoiseError: E_CONFIG (78) when `accumulate` is no multiple of the number of ranks.
    """
    if accumulate % ranks.world:
        raise misconfigured(
            "params.yaml: training.accumulate",
            f"must be a multiple of the {ranks.world} ranks that share a step's micro-batches",
            got=accumulate,
            hint=f"Set it to {ranks.world * max(1, round(accumulate / ranks.world))} or start fewer ranks",
        )


def sum_over_ranks(values: Tensor, ranks: Ranks) -> Tensor:
    """`values` added up over all ranks, in place."""
    if ranks.world > 1:
        dist.all_reduce(values, op=dist.ReduceOp.SUM)
    return values


def sum_gradients(parameters: Iterable[nn.Parameter], ranks: Ranks) -> None:
    """Replaces every gradient by its sum over ranks, through one flat buffer: one message a step."""
    if ranks.world == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.reshape(-1) for g in gradients])
    dist.all_reduce(flat, op=dist.ReduceOp.SUM)
    for gradient, summed in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(summed.view_as(gradient))


def from_leader(value: float, ranks: Ranks, device: torch.device) -> float:
    """Rank 0's `value` on every rank."""
    if ranks.world == 1:
        return value
    shared = torch.tensor([value], dtype=torch.float64, device=device)
    dist.broadcast(shared, src=0)
    return float(shared.item())


def wait_for_all(ranks: Ranks) -> None:
    """Returns when every rank has come here."""
    if ranks.world > 1:
        dist.barrier()
