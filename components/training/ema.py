"""Exponential moving average of the weights: what is validated, kept and served."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


def decay_at(step: int, decay: float) -> float:
    """The decay of optimizer step `step` (counted from 1): min(decay, (1 + step) / (10 + step)).

    The ramp keeps a short run's average from being mostly its random initialisation: with .999 alone, 600 steps would
    leave 55% of it. Same ramp as TensorFlow's ExponentialMovingAverage(num_updates).
    """
    return min(decay, (1 + step) / (10 + step))


class Pairs(NamedTuple):
    """What an average and its model hold, listed once: walking the modules at every step costs as much as averaging."""

    kept: list[Tensor]
    fresh: list[Tensor]
    buffers: list[tuple[Tensor, Tensor]]


def pairs(average: nn.Module, model: nn.Module) -> Pairs:
    """The tensors of both, which must stay where they are; both have the same parameters in the same order."""
    kept: list[Tensor] = list(average.parameters())
    fresh: list[Tensor] = [p.detach() for p in model.parameters()]
    return Pairs(kept, fresh, list(zip(average.buffers(), model.buffers(), strict=True)))


@torch.no_grad()
def update(both: Pairs, decay: float) -> None:
    """average <- decay * average + (1 - decay) * model, in place; buffers (counters, tables) are copied."""
    if both.kept:
        torch._foreach_lerp_(both.kept, both.fresh, 1.0 - decay)  # pyright: ignore[reportPrivateImportUsage]
    for ours, theirs in both.buffers:
        ours.copy_(theirs)
