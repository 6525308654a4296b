"""InfoNCE by hand, its properties, and what it refuses to see."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from components.losses.contrastive import chance, info_nce


def everyone(count: int) -> torch.Tensor:
    return torch.ones(count, dtype=torch.bool)


def features(count: int, seed: int, width: int = 4) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_two_pairs_by_hand():
    a = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    p = torch.tensor([[2.0, 0.0], [3.0, 0.0]])  # both point along the first axis
    values, _ = info_nce(a, p, everyone(2), tau=0.5)
    assert values.tolist() == pytest.approx([math.log(2), math.log(2)])
    both, _ = info_nce(a, p, everyone(2), tau=0.5, symmetric=True)
    asked = [math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))]  # p_0 prefers a_0 by 1 / tau, and so does p_1
    assert both.tolist() == pytest.approx([(math.log(2) + each) / 2 for each in asked])


def test_the_partners_are_what_varies_in_the_denominator():
    a, p = features(3, 0), features(3, 1)
    values, _ = info_nce(a, p, everyone(3), tau=0.3)
    scores = torch.nn.functional.cosine_similarity(a[1], p, dim=-1) / 0.3
    assert float(values[1]) == pytest.approx(float(scores.logsumexp(0) - scores[1]))


def test_alike_features_cost_chance():
    values, _ = info_nce(torch.ones(8, 3), torch.ones(8, 3), everyone(8), tau=0.07)
    assert values.tolist() == pytest.approx([chance(8)] * 8, rel=1e-5)
    assert chance(8) == pytest.approx(2.0794415)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 6), st.integers(0, 2**20), st.floats(0.05, 2.0), st.booleans())
def test_lengths_do_not_matter_and_the_order_only_permutes(count, seed, tau, symmetric):
    a, p = features(count, seed), features(count, seed + 1)
    values, _ = info_nce(a, p, everyone(count), tau, symmetric)
    scale = torch.arange(1, count + 1, dtype=torch.float64).unsqueeze(-1)
    assert_close(info_nce(a * scale, p / scale, everyone(count), tau, symmetric).values, values)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    assert_close(info_nce(a[order], p[order], everyone(count), tau, symmetric).values, values[order])
    assert (values >= 0).all()


@pytest.mark.parametrize("symmetric", [False, True])
def test_samples_without_a_screen_are_neither_asked_nor_offered(symmetric):
    a, p, valid = features(5, 2), features(5, 3), torch.tensor([True, False, True, True, False])
    a[1], p[4] = torch.nan, torch.inf
    a.requires_grad_()
    values, mask = info_nce(a, p, valid, 0.1, symmetric)
    assert mask.equal(valid)
    expected, _ = info_nce(a[valid], p[valid], everyone(3), 0.1, symmetric)
    assert_close(values[valid], expected)
    assert values[~valid].tolist() == [0.0, 0.0]
    values.sum().backward()
    assert a.grad is not None
    assert a.grad.isfinite().all()
    assert a.grad[~valid].abs().max() == 0
    assert a.grad[valid].abs().max() > 0


def test_no_screen_at_all_is_nothing():
    a = features(3, 4).requires_grad_()
    values, valid = info_nce(a, features(3, 5), torch.zeros(3, dtype=torch.bool), 0.07)
    assert not valid.any()
    assert values.tolist() == [0.0] * 3
    values.sum().backward()
    assert a.grad is not None
    assert a.grad.abs().max() == 0


def test_half_precision_and_extremes_stay_finite():
    a, p = (features(4, seed) for seed in (6, 7))
    assert info_nce(a.bfloat16(), p.bfloat16(), everyone(4), 0.07).values.dtype == torch.float32
    huge = torch.where(a > 0, 1e30, -1e30).float().requires_grad_()
    values, _ = info_nce(huge, torch.zeros(4, 4), everyone(4), 0.05)
    values.sum().backward()
    assert values.isfinite().all()
    assert huge.grad is not None
    assert huge.grad.isfinite().all()
