"""Likeness in meaning, in n-grams and in syntax: worked numbers, limits, gradients."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from components.errors import EquipoiseError
from components.losses.composite import Composite
from components.losses.contract import Masked, Term
from components.losses.similarity import broken_syntax, pans, semantic_distance, soft_pans, weighted_by_syntax

TOKENS = st.lists(st.integers(0, 4), min_size=1, max_size=9)


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_pans_by_hand():
    # n=1: a at 0 meets a at 0 (1), b at 1 meets b at 2 (e^-.1); n=2: "a b" does not occur.
    assert pans("acb", "ab") == pytest.approx((1 + math.exp(-0.1)) / 4)
    assert pans("abcd", "abcd") == 1.0
    assert pans("", "") == 1.0
    assert pans("", "a") == pans("a", "") == 0.0


@settings(max_examples=80, deadline=None)
@given(TOKENS, TOKENS)
def test_pans_is_a_share_and_one_for_equal_sequences(candidate, reference):
    assert 0 <= pans(candidate, reference) <= 1
    assert pans(reference, reference) == pytest.approx(1.0)


@settings(max_examples=60, deadline=None)
@given(TOKENS, TOKENS)
def test_the_soft_form_of_a_certain_model_is_the_hard_form(candidate, reference):
    logits = torch.nn.functional.one_hot(torch.tensor([candidate]), 5).double() * 200
    found = soft_pans(logits, torch.tensor([reference]), torch.ones(1, len(candidate), dtype=torch.bool))
    assert float(found.values) == pytest.approx(pans(candidate, reference), abs=1e-9)


def test_padding_changes_no_soft_similarity():
    logits, reference = draw(1, 2, 6, 5), torch.tensor([[1, 2, 3, -1, -1, -1], [0, 0, 4, 1, 2, 3]])
    written = reference >= 0
    both = soft_pans(logits, reference, written).values
    alone = soft_pans(logits[:1, :3], reference[:1, :3], written[:1, :3]).values
    assert_close(both[:1], alone)
    nothing = soft_pans(logits, torch.full_like(reference, -1), torch.zeros_like(written))
    assert not nothing.valid.any()
    assert nothing.values.abs().max() == 0


def test_gradients_of_soft_similarity_and_meaning():
    logits, reference = draw(2, 2, 5, 6).requires_grad_(), torch.tensor([[1, 2, 3, 1, -1], [0, 5, -1, -1, -1]])
    pieces = draw(3, 6, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: soft_pans(x, reference, reference >= 0).values, logits)
    assert torch.autograd.gradcheck(lambda x: semantic_distance(x, pieces, reference).values, logits)
    for values in (
        soft_pans(logits, reference, reference >= 0).values,
        semantic_distance(logits, pieces, reference)[0],
    ):
        (gradient,) = torch.autograd.grad(values.sum(), logits)
        assert gradient[0, :4].abs().amax(-1).min() > 0
        assert gradient[1, 2:].abs().max() == 0
    assert not semantic_distance(logits.detach(), pieces, reference).values.requires_grad


def test_meaning_of_the_reference_itself_costs_nothing():
    reference = torch.tensor([[1, 2, 3, -1], [0, 0, 2, 3]])
    logits = torch.nn.functional.one_hot(reference.clamp(min=0), 4).double() * 200
    values, valid = semantic_distance(logits, draw(4, 4, 3), reference)
    assert valid.all()
    assert values.abs().max() < 1e-9
    # A reordering has the same mean: the distance is of meaning, not of order.
    assert semantic_distance(logits.flip(1)[1:], draw(4, 4, 3), reference[1:]).values.abs().max() < 1e-9


def test_syntax_is_refused_as_a_loss_and_may_weigh_samples():
    term = Term(lambda o, b, s: broken_syntax(o["parses"]), lambda b, s: b["n"], has_gradient=False)
    section = SimpleNamespace(ast=SimpleNamespace(weight=1.0, schedule=((0.0, 1.0),)))
    with pytest.raises(EquipoiseError, match=r"E_LOSS_TERM loss.ast: is a metric"):
        Composite({"ast": term}, section)
    parses = torch.tensor([True, False])
    assert broken_syntax(parses).values.tolist() == [0.0, 1.0]
    masked = Masked(torch.ones(2, 3), torch.ones(2, 3, dtype=torch.bool))
    assert weighted_by_syntax(masked, parses, 0.5).values.tolist() == [[1.0] * 3, [1.5] * 3]
    sample = Masked(torch.ones(2), torch.ones(2, dtype=torch.bool))
    assert weighted_by_syntax(sample, parses, 0.5).values.tolist() == [1.0, 1.5]
