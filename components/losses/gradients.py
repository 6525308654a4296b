"""Two small bridges to autograd: a slope known in closed form, and a gradient that ends where there is no label."""

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


def gradient_only_where(x: Tensor, valid: Tensor) -> Tensor:
    """x itself; its gradient is exactly 0 where `valid` is False, also where it would be NaN (a row of only -inf)."""
    return _GradientOnlyWhere.apply(x, valid)  # pyright: ignore[reportReturnType]


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


class _GradientOnlyWhere(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, valid: Tensor) -> Tensor:
        ctx.save_for_backward(valid)
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (valid,) = ctx.saved_tensors
        return torch.where(valid, gradient, 0.0), None
