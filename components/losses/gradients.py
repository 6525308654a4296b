"""A bridge to autograd for formulas whose derivative is known in closed form."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def with_slope(x: Tensor, values: Tensor, slope: Tensor) -> Tensor:
    """`values` as an elementwise function of x whose derivative is `slope`; all of one shape (or broadcast from x).

    Worth it where the formula has a dozen steps and its derivative shares most of them: autograd would run each step
    again backwards, and small tensors cost what their number of kernels costs.
    """
    return _WithSlope.apply(x, values, slope)  # pyright: ignore[reportReturnType]


class _WithSlope(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(slope)
        return values.view_as(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (slope,) = ctx.saved_tensors
        return gradient * slope, None, None
