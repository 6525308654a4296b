"""Exponential moving average of the weights: what is validated, kept and served."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def decay_at(step: int, decay: float) -> float:
    """The decay of optimizer step `step` (counted from 1): min(decay, (1 + step) / (10 + step)).

    The ramp keeps a short run's average from being mostly its random initialisation: with .999 alone, 600 steps would
    leave 55% of it. Same ramp as TensorFlow's ExponentialMovingAverage(num_updates).
    """
    return min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def update(average: nn.Module, model: nn.Module, decay: float) -> None:
    """average <- decay * average + (1 - decay) * model, in place; buffers (counters, tables) are copied.

    Both modules must have the same parameters in the same order.
    """
    kept: list[Tensor] = list(average.parameters())
    fresh: list[Tensor] = [p.detach() for p in model.parameters()]
    if kept:
        torch._foreach_lerp_(kept, fresh, 1.0 - decay)  # pyright: ignore[reportPrivateImportUsage]
    for ours, theirs in zip(average.buffers(), model.buffers(), strict=True):
        ours.copy_(theirs)
