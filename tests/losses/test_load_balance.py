"""Load balance by hand: who uses which expert, and how far that is from equal shares."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from components.losses.load_balance import load_balance


@pytest.mark.parametrize(
    ("gates", "load"),
    [
        ([[1, 0, 0, 0, 0], [1, 0, 0, 0, 0]], 0.8),  # one expert does everything
        ([[1, 0, 0, 0, 0], [0, 1, 0, 0, 0]], 0.3),  # two share it
        ([[0.2] * 5, [0.2] * 5], 0.0),
        ([[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1]], 0.0),
    ],
)
def test_levels_of_the_specification(gates, load):
    values, valid = load_balance(torch.tensor(gates, dtype=torch.float64))
    assert float(values.mean()) == pytest.approx(load)
    assert valid.all()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(2, 6), st.integers(0, 2**20))
def test_the_mean_is_the_squared_distance_to_equal_use_and_so_is_its_gradient(samples, experts, seed):
    logits = torch.randn(samples, experts, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    ours, plain = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    mean = load_balance(ours.softmax(-1)).values.mean()
    expected = (plain.softmax(-1).mean(0) - 1 / experts).square().sum()
    assert_close(mean, expected)
    assert 0 <= float(mean.detach()) + 1e-12 <= 1
    assert_close(torch.autograd.grad(mean, ours), torch.autograd.grad(expected, plain))


def test_a_sample_that_goes_another_way_than_most_costs_less():
    values, _ = load_balance(torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]]))
    assert values[2] < values[1] < values[0]


def test_half_precision_is_summed_in_full():
    gates = torch.full((1024, 5), 0.2).bfloat16()
    assert load_balance(gates).values.dtype == torch.float32
