"""Cross-entropy over a large vocabulary without ever holding all logits: they are computed some tokens at a time, and
what the backward pass needs of them is taken at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from components.losses.contract import Masked
from components.losses.gradients import lanes_first
from components.losses.precision import full

ROWS = 256  # tokens whose logits exist together


def projected_ce(states: Tensor, table: Tensor, labels: Tensor, ignore: int = -1, rows: int = ROWS) -> Masked:
    """-log softmax(states @ table^T)[label] of every token.

    The gradient of a row by its logits is softmax - one-hot, times what the loss hands back for the row. A composite
    hands back one number for all valid rows, so the products with it are taken in the forward pass; where the rows
    differ, the logits are computed once more. First derivatives only.

    Args:
        states: [..., D]; table: [V, D]; labels: [...] in [0, V), or `ignore`.
        rows: how many tokens' logits are held at a time.

    Returns:
        values and valid [...]; ignored entries are 0.
    """
    valid = labels != ignore
    values, *_ = _ProjectedCE.apply(  # pyright: ignore[reportGeneralTypeIssues]
        full(states).reshape(-1, states.shape[-1]), full(table), labels.reshape(-1), ignore, rows
    )
    return Masked(values.view(labels.shape), valid)


def _pull(states: Tensor, table: Tensor, labels: Tensor, ignore: int) -> tuple[Tensor, Tensor]:
    """(values [R], derivative by the logits [R, V]) of some rows; both 0 where ignored."""
    present = labels != ignore
    logits = states @ table.T
    total = logits.logsumexp(-1)
    chosen = labels.clamp(min=0).unsqueeze(-1)
    values = torch.where(present, total - logits.gather(-1, chosen).squeeze(-1), 0.0)
    slope = logits.sub_(total.unsqueeze(-1)).exp_()
    slope.scatter_add_(-1, chosen, slope.new_full(chosen.shape, -1.0))
    return values, slope.masked_fill_(~present.unsqueeze(-1), 0.0)


class _ProjectedCE(torch.autograd.Function):
    """Values [R], and with them, undifferentiable, what the backward pass needs where all rows count alike: the
    products of the derivative with the table [R, D] and with the states [V, D]."""

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        states: Tensor, table: Tensor, labels: Tensor, ignore: int, rows: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        values, pulls = states.new_empty(len(states)), torch.empty_like(states)
        lifts = torch.zeros_like(table)
        for low in range(0, len(states), rows):
            part = slice(low, low + rows)
            values[part], slope = _pull(states[part], table, labels[part], ignore)
            torch.mm(slope, table, out=pulls[part])
            lifts.addmm_(slope.T, states[part])
        return values, pulls, lifts

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        states, table, labels, ctx.ignore, ctx.rows = inputs
        _, pulls, lifts = output
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(pulls, lifts)
        ctx.save_for_backward(states, table, labels, pulls, lifts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        if gradient is None:
            return None, None, None, None, None
        states, table, labels, pulls, lifts = ctx.saved_tensors
        of_valid = gradient[labels != ctx.ignore]
        if not len(of_valid) or bool((of_valid == of_valid[0]).all()):
            share = of_valid[0] if len(of_valid) else gradient.new_zeros(())
            return pulls * share, lifts * share, None, None, None
        by_states, by_table = pulls * gradient.unsqueeze(-1), torch.zeros_like(table)
        for low in range(0, len(states), ctx.rows):
            part = slice(low, low + ctx.rows)
            slope = _pull(states[part], table, labels[part], ctx.ignore)[1]
            by_table.addmm_((slope * gradient[part].unsqueeze(-1)).T, states[part])
        return by_states, by_table, None, None, None

    @staticmethod
    def vmap(  # pyright: ignore[reportIncompatibleMethodOverride]
        info: Any, in_dims: Any, states: Tensor, table: Tensor, labels: Tensor, ignore: int, rows: int
    ) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        """Lane by lane: each has a table of its own, and products of this size gain nothing from being stacked."""
        each = zip(*lanes_first(info.batch_size, in_dims[:3], states, table, labels), strict=True)
        found: list[Any] = [_ProjectedCE.apply(*of_lane, ignore, rows) for of_lane in each]
        return tuple(torch.stack(parts) for parts in zip(*found, strict=True)), (0, 0, 0)
