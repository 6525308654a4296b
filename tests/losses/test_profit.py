"""The profit-weighted, halting and task terms: hand-worked numbers, properties, extremes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torch.testing import assert_close

from components.errors import EquipoiseError
from components.losses.contract import Masked
from components.losses.halting import confident_halting, is_confident_and_right
from components.losses.profit import (
    balanced_class_weights,
    clamped_class_weights,
    profit_ce,
    profit_weights,
    task_ce,
    warn_of_rare_classes,
)
from components.losses.reductions import reduced

quick = settings(max_examples=60, deadline=None)
numbers = st.floats(-20, 20, width=32)
pnls = st.floats(-2, 2, width=32)


def exact(value):
    return torch.tensor(value, dtype=torch.float64)


@pytest.mark.parametrize(
    ("pnl", "weight"),
    [(0.10, 0.0360), (0.05, 0.2384), (0.0, 1.0), (-0.05, 1.7616), (-0.10, 1.9640)],
)
def test_weights_by_hand(pnl, weight):
    """The corrected table: the published one has -.87, 0, 1, 2, 2.87, which no 1 - tanh can give."""
    assert float(profit_weights(exact([pnl]), 0.05)) == pytest.approx(weight, abs=5e-5)


def test_a_gain_of_nine_scales_leaves_almost_nothing_and_the_floor_keeps_some():
    far = torch.tensor([0.45, 1.0, 100.0])
    assert (profit_weights(far, 0.05) < 1e-7).all()
    assert (profit_weights(far, 0.05) >= 0).all()
    assert float(profit_weights(far[:1], 0.05)) == pytest.approx(1 - math.tanh(9), rel=1e-5)  # digits survive float32
    assert profit_weights(far, 0.05, 0.1).tolist() == pytest.approx([0.1] * 3)


@quick
@given(st.lists(pnls, min_size=2, max_size=20), st.floats(0.001, 1), st.floats(0, 1))
def test_weights_lie_between_floor_and_two_and_fall_with_the_gain(values, scale, floor):
    pnl = exact(sorted(values))
    weights = profit_weights(pnl, scale, floor)
    assert ((weights >= floor) & (weights <= 2)).all()
    assert (weights.diff() <= 0).all()
    assert_close(weights, (1 - torch.tanh(pnl / scale)).clamp_min(floor))


@quick
@given(pnls, st.floats(0.001, 1))
def test_a_gain_and_a_loss_of_the_same_size_average_to_one(pnl, scale):
    assert float(profit_weights(exact([pnl, -pnl]), scale).mean()) == pytest.approx(1)


def test_profit_loss_by_hand():
    # Uniform over 8: ln 8 a sample, at +10% and -10% weighted .0360 and 1.9640; the third day has no label.
    values, valid = profit_ce(torch.zeros(3, 8), torch.tensor([0, 7, -1]), torch.tensor([0.1, -0.1, 0.0]))
    assert values.tolist() == pytest.approx([math.log(8) * 0.0359724, math.log(8) * 1.9640276, 0.0], abs=1e-5)
    assert valid.tolist() == [True, True, False]


@quick
@given(st.lists(st.tuples(st.lists(numbers, min_size=8, max_size=8), st.integers(0, 7)), min_size=1, max_size=10))
def test_confident_and_right_is_a_cross_entropy_below_minus_ln_of_the_threshold(rows):
    logits, labels = exact([r[0] for r in rows]), torch.tensor([r[1] for r in rows])
    ce = functional.cross_entropy(logits, labels, reduction="none")
    clear = (ce - 0.35667494).abs() > 1e-9  # at the very edge rounding decides
    assert -math.log(0.7) == pytest.approx(0.35667494)
    assert (is_confident_and_right(logits, labels, 0.7) == (ce < -math.log(0.7)))[clear].all()


def test_class_weights_are_the_inverse_share_with_mean_one():
    found = balanced_class_weights(torch.tensor([10, 40, 50]), 100.0)
    published = 1 / torch.tensor([10.0, 40.0, 50.0])
    assert_close(found, published / published.sum() * 3)


def test_an_empty_class_takes_the_limit_and_changes_nothing_for_the_others():
    """1 / 0 is infinite, and infinity over infinity is NaN for every class: the published recipe breaks."""
    with_empty = balanced_class_weights(torch.tensor([10, 0, 40, 50]), 10.0)
    assert with_empty[1] == 10
    assert_close(with_empty[[0, 2, 3]], balanced_class_weights(torch.tensor([10, 40, 50]), 10.0))
    with pytest.warns(UserWarning, match="class 1 with .0. samples"):
        warn_of_rare_classes(torch.tensor([10, 0, 40, 50]), 10.0)


def test_given_class_weights_are_clamped_with_a_warning_and_refused_when_negative():
    with pytest.warns(UserWarning, match="class 1 are above 5"):
        assert clamped_class_weights([1.0, math.inf, 2.0], 5.0).tolist() == [1.0, 5.0, 2.0]
    for wrong in (-1.0, math.nan):
        with pytest.raises(EquipoiseError, match="E_CLASS_WEIGHTS"):
            clamped_class_weights([1.0, wrong], 5.0)


def test_no_warning_without_a_reason(recwarn):
    warn_of_rare_classes(torch.tensor([10, 40, 50]), 10.0)
    clamped_class_weights([1.0, 2.0], 5.0)
    assert not recwarn.list


def test_gradients_flow_to_the_logits_and_never_to_the_pnl():
    logits = torch.randn(4, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    pnl = exact([0.1, -0.1, 0.0, 0.02]).requires_grad_()
    labels = torch.tensor([0, 1, 2, 3])
    profit_ce(logits, labels, pnl).values.sum().backward()
    assert pnl.grad is None
    expected = (logits.softmax(-1) - functional.one_hot(labels, 8)) * profit_weights(pnl, 0.05)[:, None]
    assert_close(logits.grad, expected.detach())


def test_stacked_supervision_steps_keep_their_dimension():
    logits, labels = torch.randn(3, 5, 8), torch.tensor([0, 1, 2, 3, -1])
    values, valid = profit_ce(logits, labels, torch.zeros(5))
    assert values.shape == valid.shape == (3, 5)
    assert_close(values[1], profit_ce(logits[1], labels, torch.zeros(5)).values)
    halting, seen = confident_halting(torch.zeros(3, 5), logits, labels, 0.7)
    assert halting.shape == seen.shape == (3, 5)
    assert seen.sum() == 12


@pytest.mark.parametrize(
    ("logits", "labels", "pnl"), [((4, 8), 3, 4), ((4, 8), 4, 3), ((8,), 8, 8)], ids=["labels", "pnl", "logits"]
)
def test_sizes_that_do_not_fit_are_refused(logits, labels, pnl):
    with pytest.raises(EquipoiseError, match="E_LOSS_SHAPE") as caught:
        profit_ce(torch.zeros(logits), torch.zeros(labels, dtype=torch.long), torch.zeros(pnl))
    assert int(caught.value.exit_code) == 78


def test_half_precision_is_computed_in_full():
    logits = torch.full((1, 8), 20.0, dtype=torch.bfloat16)
    assert profit_ce(logits, torch.tensor([0]), torch.zeros(1, dtype=torch.bfloat16)).values.dtype == torch.float32
    assert task_ce(logits, torch.tensor([0])).values.dtype == torch.float32


def test_reductions_count_only_what_is_valid():
    masked = Masked(exact([1.0, 5.0, 9.0]).requires_grad_(), torch.tensor([True, False, True]))
    assert reduced(masked, "none").tolist() == [1.0, 0.0, 9.0]
    assert float(reduced(masked, "sum").detach()) == 10
    assert float(reduced(masked, "mean").detach()) == 5
    nothing = reduced(Masked(masked.values, torch.zeros(3, dtype=torch.bool)), "mean")
    assert float(nothing.detach()) == 0 and nothing.requires_grad
    with pytest.raises(EquipoiseError, match="E_REDUCTION"):
        reduced(masked, "median")  # pyright: ignore[reportArgumentType]
