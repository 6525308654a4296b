"""Divergences between a student and its teacher: worked numbers, bounds, gradients, buckets."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from components.losses.distillation import buckets, focal_tokens, hidden_distance, jsd, kl
from components.losses.focal import focal_ce

ONE = torch.ones(1, dtype=torch.bool)


def draw(seed: int, *shape: int, scale: float = 2.0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale


@pytest.mark.parametrize(("temperature", "expected"), [(1.0, 0.32781333), (2.0, 0.44377629)])
def test_jsd_by_hand(temperature, expected):
    student = torch.tensor([[2.0, 0.0]], dtype=torch.float64)
    values, _ = jsd(student, student.flip(-1), ONE, temperature)
    assert float(values) == pytest.approx(expected, abs=1e-7)
    assert float(values) / temperature**2 == pytest.approx({1.0: 0.32781333, 2.0: 0.11094407}[temperature], abs=1e-7)


def test_kl_by_hand():
    # Teacher (3/4, 1/4), student (1/2, 1/2): 3/4 ln 3/2 + 1/4 ln 1/2.
    values, _ = kl(torch.zeros(1, 2), torch.tensor([[math.log(3), 0.0]]), ONE)
    assert float(values) == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5), abs=1e-7)


def textbook_jsd(student, teacher, temperature):
    p, q = (student / temperature).softmax(-1), (teacher / temperature).softmax(-1)
    m = (p + q) / 2
    return temperature**2 / 2 * ((p * (p / m).log()).sum(-1) + (q * (q / m).log()).sum(-1))


@pytest.mark.parametrize("shape", [(3, 5), (2, 4, 7), (40, 3000)])  # the last in several stretches of rows
def test_values_and_gradients_are_those_of_the_textbook(shape):
    student, teacher, valid = draw(1, *shape), draw(2, *shape), torch.ones(shape[:-1], dtype=torch.bool)
    weights = draw(3, *shape[:-1])
    for ours, plain in (
        (lambda s: jsd(s, teacher, valid, 3.0)[0], lambda s: textbook_jsd(s, teacher, 3.0)),
        (
            lambda s: kl(s, teacher, valid, 3.0)[0],
            lambda s: (
                9
                * torch.nn.functional.kl_div((s / 3).log_softmax(-1), (teacher / 3).softmax(-1), reduction="none").sum(
                    -1
                )
            ),
        ),
    ):
        found, expected = (s.clone().requires_grad_() for s in (student, student))
        left, right = ours(found), plain(expected)
        assert_close(left, right)
        (left * weights).sum().backward()
        (right * weights).sum().backward()
        assert_close(found.grad, expected.grad)


@pytest.mark.parametrize("loss", [jsd, kl])
def test_gradients_are_numerically_right_and_stop_at_the_teacher(loss):
    student, teacher = draw(4, 3, 6).requires_grad_(), draw(5, 3, 6).requires_grad_()
    valid = torch.tensor([True, False, True])
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher, valid, 2.0).values, student)
    loss(student, teacher, valid, 2.0).values.sum().backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert student.grad[1].abs().max() == 0
    assert student.grad[0].abs().max() > 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 50), st.floats(0.5, 8))
def test_jsd_is_symmetric_and_at_most_ln_2(seed, scale, temperature):
    a, b = draw(seed, 4, 6, scale=scale), draw(seed + 1, 4, 6, scale=scale)
    valid = torch.ones(4, dtype=torch.bool)
    values = jsd(a, b, valid, temperature).values
    assert_close(values, jsd(b, a, valid, temperature).values)
    assert values.min() >= -1e-12
    assert values.max() <= temperature**2 * math.log(2) + 1e-9
    assert jsd(a, a + 3.0, valid, temperature).values.abs().max() < 1e-9  # a shift of logits changes nothing


def test_distributions_without_a_common_outcome_are_ln_2_apart():
    student, teacher = torch.tensor([[1e4, -1e4, -torch.inf]]), torch.tensor([[-1e4, 1e4, -torch.inf]])
    values, _ = jsd(student.requires_grad_(), teacher, ONE)
    assert float(values) == pytest.approx(math.log(2), abs=1e-6)
    (gradient,) = torch.autograd.grad(values.sum(), student)
    assert gradient.isfinite().all()


def test_buckets_hold_all_of_the_mass():
    logits, ids = draw(6, 2, 3, 9).requires_grad_(), torch.tensor([[[0, 4]]]).expand(2, 3, 2)
    found = buckets(logits, ids)
    p = logits.softmax(-1)
    rest = 1 - p[..., 0] - p[..., 4]
    assert_close(found.exp(), torch.stack([p[..., 0], p[..., 4], rest], -1))
    assert torch.autograd.gradcheck(lambda x: buckets(x, ids), logits)


def test_merging_outcomes_never_raises_a_divergence():
    student, teacher = draw(7, 50, 12), draw(8, 50, 12)
    valid = torch.ones(50, dtype=torch.bool)
    whole = jsd(student, teacher, valid).values
    before = torch.zeros(50, dtype=torch.float64)
    for k in (1, 4, 8, 11):
        ids = teacher.topk(k).indices
        merged = jsd(buckets(student, ids), buckets(teacher, ids), valid).values
        assert (merged >= before - 1e-12).all()
        assert (merged <= whole + 1e-12).all()
        before = merged
    assert_close(before, whole)  # eleven of twelve leave nothing to merge


def test_focal_tokens_is_alpha_times_the_focal_loss():
    logits, labels = draw(9, 2, 4, 5), torch.tensor([[0, 4, -1, 2], [3, -1, -1, -1]])
    plain = focal_ce(logits, labels, 2.0)
    found = focal_tokens(logits, labels, 2.0, 0.25)
    assert_close(found.values, plain.values / 4)
    assert found.valid.equal(labels >= 0)
    assert_close(focal_tokens(logits, labels, 2.0).values, plain.values)
    leaf = logits.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: focal_tokens(x, labels, 2.0, 0.25).values, leaf)


def test_hidden_distance_is_a_mean_square_and_stops_at_the_teacher():
    student, teacher = draw(10, 2, 3, 4).requires_grad_(), draw(11, 2, 3, 4).requires_grad_()
    valid = torch.tensor([[True, True, False], [True, False, False]])
    found = hidden_distance(student, teacher, valid)
    assert_close(found.values[0, 0], (student - teacher).square()[0, 0].mean())
    found.values.sum().backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert student.grad[0, 2].abs().max() == 0
