"""Properties and extremes of the single losses."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torch.testing import assert_close

from components.losses.cross_entropy import class_ce, tokens_ce
from components.losses.focal import balanced_alpha, binary_focal, focal_ce
from components.losses.halting import decision_is_right, halting_bce, tool_is_right
from components.losses.schedules import factor_at
from components.losses.spans import span_ce

logits = st.floats(-30, 30, width=32)
rows = st.lists(st.tuples(logits, st.integers(0, 1)), min_size=1, max_size=20)
matrices = st.integers(1, 6).flatmap(
    lambda c: st.lists(
        st.tuples(st.lists(logits, min_size=c, max_size=c), st.integers(-1, c - 1)), min_size=1, max_size=8
    )
)
GAMMAS = [0.0, 0.3, 1.0, 2.0, 5.0]
quick = settings(max_examples=60, deadline=None)


def pairs(rows):
    return torch.tensor([r[0] for r in rows], dtype=torch.float64), torch.tensor([r[1] for r in rows])


@quick
@given(rows)
def test_focal_without_focus_is_bce(rows):
    x, y = pairs(rows)
    expected = functional.binary_cross_entropy_with_logits(x, y.double(), reduction="none")
    assert_close(binary_focal(x, y.double(), None, 0.0).values, expected)


@quick
@given(rows, st.floats(0, 1), st.floats(0, 5))
def test_focal_is_symmetric_in_the_classes(rows, alpha, gamma):
    x, y = pairs(rows)
    assert_close(binary_focal(x, y, alpha, gamma).values, binary_focal(-x, 1 - y, 1 - alpha, gamma).values)


@quick
@given(rows, st.floats(0, 5), st.floats(0, 3))
def test_more_focus_never_costs_more(rows, gamma, more):
    x, y = pairs(rows)
    assert (binary_focal(x, y, 0.25, gamma + more).values <= binary_focal(x, y, 0.25, gamma).values + 1e-12).all()


@quick
@given(matrices)
def test_focal_ce_without_focus_is_ce(rows):
    x, y = pairs(rows)
    values, valid = focal_ce(x, y, 0.0)
    assert_close(values, functional.cross_entropy(x, y, reduction="none", ignore_index=-1))
    assert_close(values, class_ce(x, y).values)
    assert valid.tolist() == [label >= 0 for _, label in rows]


@quick
@given(matrices, st.floats(-100, 100), st.floats(0, 5))
def test_focal_ce_does_not_see_a_shift_of_all_logits(rows, shift, gamma):
    x, y = pairs(rows)
    assert_close(focal_ce(x + shift, y, gamma).values, focal_ce(x, y, gamma).values, atol=1e-9, rtol=1e-9)


@quick
@given(rows)
def test_two_class_focal_ce_is_binary_focal(rows):
    x, y = pairs(rows)
    two = torch.stack([torch.zeros_like(x), x], dim=-1)
    assert_close(focal_ce(two, y, 2.0).values, binary_focal(x, y, None, 2.0).values, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_extreme_logits_stay_finite(gamma, dtype):
    x = torch.tensor([1e4, -1e4, 1e4, -1e4, 0.0], dtype=dtype, requires_grad=True)
    y = torch.tensor([1.0, 1.0, 0.0, 0.0, 1.0])
    many = torch.stack([x, -x, torch.zeros_like(x)], dim=-1)
    values = [binary_focal(x, y, 0.25, gamma).values, focal_ce(many, y.long(), gamma).values]
    (gradient,) = torch.autograd.grad(torch.cat(values).sum(), x)
    for value in values:
        assert value.dtype == torch.float32
        assert value.isfinite().all()
    assert gradient.isfinite().all()
    assert float(values[0][1].detach()) == pytest.approx(0.25 * float(x[0].detach().float()), rel=1e-6)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_focal_gradients_in_float64(gamma):
    torch.manual_seed(0)
    x = torch.randn(5, dtype=torch.float64, requires_grad=True)
    classes = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    y, labels = torch.tensor([1.0, 0, 1, 0, 0]), torch.tensor([0, 3, -1, 2, 1])
    assert torch.autograd.gradcheck(lambda v: binary_focal(v, y, 0.25, gamma).values, x)
    assert torch.autograd.gradcheck(lambda v: focal_ce(v, labels, gamma).values, classes)


def test_tools_not_offered_make_no_nan():
    never = -math.inf
    x = torch.tensor([[1.0, never, 2.0], [never, never, never], [never, 0.5, never]], requires_grad=True)
    values, valid = class_ce(x, torch.tensor([2, -1, 1]))
    (gradient,) = torch.autograd.grad(values.sum(), x)
    assert values.tolist() == pytest.approx([math.log(1 + math.exp(-1)), 0.0, 0.0])
    assert valid.tolist() == [True, False, True]
    assert gradient.isfinite().all()
    assert gradient[1].tolist() == [0.0] * 3


def test_a_label_that_was_not_offered_is_infinite_not_hidden():
    values, valid = class_ce(torch.tensor([[1.0, -math.inf]]), torch.tensor([1]))
    assert values.isinf().all()
    assert valid.all()


def test_no_classes_at_all():
    x = torch.zeros(3, 0, requires_grad=True)
    values, valid = focal_ce(x, torch.full((3,), -1), 2.0)
    assert values.tolist() == [0.0] * 3
    assert not valid.any()
    assert values.requires_grad


def test_tokens_ignore_their_padding():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 5)
    values, valid = tokens_ce(x, torch.tensor([[1, 4, -100], [-100, 0, -100]]))
    assert valid.sum() == 3
    assert values[~valid].tolist() == [0.0] * 3
    assert values[0, 1] == pytest.approx(-float(x[0, 1].log_softmax(-1)[4]))


def test_balanced_alpha_gives_both_classes_equal_weight():
    alpha = balanced_alpha(0.3)
    assert alpha * 0.3 == pytest.approx((1 - alpha) * 0.7)


def test_halting_target_carries_no_gradient_and_knows_both_options():
    decision_logits = torch.tensor([2.0, -1.0, 3.0, -2.0], requires_grad=True)
    tools = torch.tensor([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    decision, tool = torch.tensor([1.0, 1.0, 1.0, 0.0]), torch.tensor([1, 1, 1, -1])
    right = decision_is_right(decision_logits, decision)
    assert right.tolist() == [True, False, True, True]
    assert (right & tool_is_right(tools, tool)).tolist() == [True, False, False, True]
    values = halting_bce(torch.zeros(4, requires_grad=True), right).values
    assert torch.autograd.grad(values.sum(), [decision_logits], allow_unused=True) == (None,)


@quick
@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 6), st.integers(0, 2**31))
def test_spans_do_not_see_padding(length, queries, padding, seed):
    make = torch.Generator().manual_seed(seed)
    start, end = torch.randn(2, 1, length, queries, generator=make, dtype=torch.float64)
    start_labels, end_labels = torch.randint(-1, length, (2, 1, queries), generator=make)
    short = span_ce(start, end, start_labels, end_labels, torch.ones(1, length, dtype=torch.bool))
    filler = torch.full((1, padding, queries), 77.0, dtype=torch.float64)
    attention = torch.arange(length + padding)[None] < length
    long = span_ce(torch.cat([start, filler], 1), torch.cat([end, filler], 1), start_labels, end_labels, attention)
    assert_close(long.values, short.values)
    assert long.valid.equal(short.valid)


def test_an_unknown_span_among_forbidden_positions_has_zero_gradient():
    start = torch.full((1, 3, 2), -math.inf)
    start[0, :, 0] = torch.tensor([1.0, 2.0, -math.inf])
    start.requires_grad_()
    labels = torch.tensor([[1, -1]])
    values, valid = span_ce(start, start, labels, labels, torch.ones(1, 3, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(values.sum(), start)
    assert valid.tolist() == [[True, False]]
    assert gradient.isfinite().all()
    assert gradient[..., 1].tolist() == [[0.0] * 3]


@pytest.mark.parametrize(
    ("points", "progress", "factor"),
    [
        ([(0.0, 1.0)], 0.7, 1.0),
        ([(0.2, 3.0), (0.6, 1.0)], 0.0, 3.0),
        ([(0.2, 3.0), (0.6, 1.0)], 0.2, 3.0),
        ([(0.2, 3.0), (0.6, 1.0)], 0.4, 2.0),
        ([(0.2, 3.0), (0.6, 1.0)], 0.6, 1.0),
        ([(0.2, 3.0), (0.6, 1.0)], 1.0, 1.0),
        ([(0.0, 0.5), (1.0, 0.3)], 0.25, 0.45),
    ],
)
def test_schedules(points, progress, factor):
    assert factor_at(points, progress) == pytest.approx(factor)
