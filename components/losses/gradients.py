"""A bridge to autograd for formulas whose derivative is known in closed form."""

from __future__ import annotations

from collections.abc import Sequence
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


def lanes_first(size: int, dims: Sequence[int | None], *tensors: Tensor) -> tuple[Tensor, ...]:
    """Tensors as torch.vmap hands them to a rule, with the dimension it runs over [size] in front; those that all
    share it are expanded, not copied.

    Args:
        dims: of each tensor, where that dimension stands; None: it has none.
    """
    return tuple(
        tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
        for tensor, dim in zip(tensors, dims, strict=True)
    )


class _WithSlope(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, values: Tensor, slope: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return values.view_as(values)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(inputs[2])

    @staticmethod
    def vmap(info: Any, in_dims: Any, *tensors: Tensor) -> tuple[Tensor, int]:  # pyright: ignore[reportIncompatibleMethodOverride]
        found: Tensor = _WithSlope.apply(*lanes_first(info.batch_size, in_dims, *tensors))  # pyright: ignore[reportAssignmentType]
        return found, 0

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (slope,) = ctx.saved_tensors
        return gradient * slope, None, None
