"""One number from unreduced values, for whoever uses a loss by itself; training leaves this to the composite."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from components.errors import misconfigured
from components.losses.contract import Masked

Reduction = Literal["none", "mean", "sum"]


def reduced(masked: Masked, reduction: Reduction) -> Tensor:
    """`none`: values with 0 where invalid; `sum` and `mean` of the valid ones, an exact 0 with a graph where none is.

    Raises:
        EquipoiseError: E_REDUCTION (78) for another word.
    """
    values = torch.where(masked.valid, masked.values, 0.0)
    if reduction == "none":
        return values
    if reduction == "sum":
        return values.sum()
    if reduction == "mean":
        return values.sum() / masked.valid.sum().clamp(min=1)
    raise misconfigured(
        "reduction", "must be none, mean or sum", got=reduction, hint="Name one of them", code="REDUCTION"
    )
