"""Every row is in exactly one micro-batch, no batch is above its budget, order depends on (seed, epoch) only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.buckets import GRAIN, bucketed, in_order, shuffled, spread
from components.errors import EquipoiseError, Exit

LENGTHS = st.lists(st.integers(1, 60), max_size=80).map(lambda values: np.array(values, dtype=np.int64))


@settings(deadline=None, max_examples=60)
@given(LENGTHS, st.integers(60, 400), st.integers(0, 5), st.integers(0, 5))
def test_every_row_once_within_budget(lengths, budget, seed, epoch):
    batches = shuffled(lengths, budget, seed, epoch)
    assert sorted(np.concatenate([*batches, np.zeros(0, int)]).tolist()) == list(range(len(lengths)))
    for rows in batches:
        assert len(rows) > 0
        assert len(rows) * lengths[rows].max() <= budget


@settings(deadline=None, max_examples=60)
@given(LENGTHS, st.integers(0, 9), st.integers(0, 9))
def test_same_seed_and_epoch_same_order(lengths, seed, epoch):
    once, again = (shuffled(lengths, 100, seed, epoch) for _ in range(2))
    assert [b.tolist() for b in once] == [b.tolist() for b in again]


def test_epochs_and_seeds_differ():
    lengths = np.random.default_rng(0).integers(10, 90, 200)
    orders = {tuple(np.concatenate(shuffled(lengths, 300, s, e)).tolist()) for s in range(3) for e in range(3)}
    assert len(orders) == 9


def test_batches_are_filled_by_hand_worked_example():
    # by length: 4 rows of 5 cost 20; the fifth of 5 would cost 25; then 5, 10, 10 cost 30 > 20, so 5 alone with 10
    lengths = np.array([10, 5, 5, 5, 10, 5, 5])
    assert [lengths[b].tolist() for b in in_order(lengths, 20)] == [[5, 5, 5, 5], [5, 10], [10]]


def test_without_chance_the_index_breaks_ties():
    assert np.concatenate(in_order(np.array([3, 1, 3, 1]), 100)).tolist() == [1, 3, 0, 2]


def test_padding_is_small_for_many_rows():
    lengths = np.random.default_rng(1).integers(60, 640, 4000)
    batches = shuffled(lengths, 6000, 1, 0)
    padded = sum(len(b) * int(lengths[b].max()) for b in batches)
    assert 1 - lengths.sum() / padded < 0.06
    assert GRAIN <= 16


def test_a_row_above_the_budget_is_refused():
    with pytest.raises(EquipoiseError, match="longest row \\(50 tokens\\)") as refused:
        bucketed(np.array([3, 50]), 49, np.arange(2))
    assert refused.value.exit_code == Exit.CONFIGURATION


def test_nothing_gives_no_batches():
    assert shuffled(np.zeros(0, np.int64), 10, 0, 0) == []


def test_spread_pads_to_the_longest():
    index, present = spread(np.array([0, 2, 2, 5]), np.array([2, 1, 0]))
    assert present.tolist() == [[True, True, True], [False, False, False], [True, True, False]]
    assert index[present].tolist() == [2, 3, 4, 0, 1]


def test_spread_of_nothing():
    index, present = spread(np.array([0, 0]), np.array([0]))
    assert index.shape == present.shape == (1, 0)
