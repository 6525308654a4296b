"""Losses are computed in float32 whatever the model's precision, and in float64 where a test asks for it."""

from __future__ import annotations

import torch
from torch import Tensor


def full(x: Tensor) -> Tensor:
    """x as it is in float64, else as float32: half precisions have too few digits for logarithms."""
    return x if x.dtype == torch.float64 else x.float()
