"""Cross-entropy some tokens at a time: values and gradients are those of all logits at once."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from components.losses.cross_entropy import tokens_ce
from components.losses.tokens import projected_ce


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("rows", [1, 4, 100])
@pytest.mark.parametrize("uneven", [False, True])
def test_values_and_gradients_are_those_of_all_logits(rows, uneven):
    labels = torch.tensor([[0, 6, -1, 2, 2], [3, -1, -1, 5, 1]])
    weights = draw(3, 2, 5) if uneven else torch.full((2, 5), 0.3, dtype=torch.float64)
    leaves = [(draw(1, 2, 5, 4).requires_grad_(), draw(2, 7, 4).requires_grad_()) for _ in range(2)]
    (states, table), (plain_states, plain_table) = leaves
    found = projected_ce(states, table, labels, rows=rows)
    expected = tokens_ce(plain_states @ plain_table.T, labels, -1)
    assert_close(found.values, expected.values)
    assert found.valid.equal(expected.valid)
    (found.values * weights).sum().backward()
    (expected.values * weights).sum().backward()
    assert_close(states.grad, plain_states.grad)
    assert_close(table.grad, plain_table.grad)


def test_nothing_labelled_gives_zero_and_zero_gradients():
    states, table = draw(1, 3, 4).requires_grad_(), draw(2, 7, 4).requires_grad_()
    found = projected_ce(states, table, torch.full((3,), -1))
    assert found.values.tolist() == [0.0] * 3
    found.values.sum().backward()
    assert states.grad is not None and states.grad.abs().max() == 0
    assert table.grad is not None and table.grad.abs().max() == 0


def test_gradients_are_numerically_right():
    labels = torch.tensor([1, -1, 3])
    states, table = draw(1, 3, 4).requires_grad_(), draw(2, 5, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda s, t: projected_ce(s, t, labels, rows=2).values, (states, table))
