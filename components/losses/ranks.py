"""What losses that compare samples see of other ranks, with the gradient that goes back there.

A rank's loss depends on the others' features, so the gradient of a feature is the sum of what all ranks' losses hand
back for it: gradients of parameters, added up over ranks, are then those of one big batch. Every rank must come here
equally often; without a process group nothing is sent.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable


def from_all_ranks(x: Tensor) -> Tensor:
    """The rows [B, ...] of all ranks, [B1 + B2 + ..., ...] in their order; the sizes may differ."""
    if not _several():
        return x
    sizes = torch.zeros(dist.get_world_size(), dtype=torch.long, device=x.device)
    sizes[dist.get_rank()] = len(x)
    dist.all_reduce(sizes)
    counts = sizes.tolist()
    first = sum(counts[: dist.get_rank()])
    place = x.new_zeros((sum(counts), *x.shape[1:]), dtype=torch.uint8 if x.dtype == torch.bool else x.dtype)
    whole = sum_of_ranks(torch.cat([place[:first], x.to(place.dtype), place[first + len(x) :]]))
    return whole.to(x.dtype)


def sum_of_ranks(x: Tensor) -> Tensor:
    """x added up over ranks, where every rank gives the same shape."""
    return _Sum.apply(x) if _several() else x  # pyright: ignore[reportReturnType]


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


class _Sum(torch.autograd.Function):
    """Sum forward; backward every rank's gradient of the sum reaches every rank's part."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.detach().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total
