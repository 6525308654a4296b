"""What strategies earn, worked by hand; which can never be best, against random returns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.workloads.trading.strategies import best, horizon_returns, never_best, weight_matrix

EIGHT = {
    "20/50/30": {"SPY": 0.2, "TLT": 0.5, "BIL": 0.3},
    "40/30/30": {"SPY": 0.4, "TLT": 0.3, "BIL": 0.3},
    "60/20/20": {"SPY": 0.6, "TLT": 0.2, "BIL": 0.2},
    "70/20/10": {"SPY": 0.7, "TLT": 0.2, "BIL": 0.1},
    "80/15/5": {"SPY": 0.8, "TLT": 0.15, "BIL": 0.05},
    "90/10/0": {"SPY": 0.9, "TLT": 0.1},
    "85/15/0": {"SPY": 0.85, "TLT": 0.15},
    "75/25/0": {"SPY": 0.75, "TLT": 0.25},
}
SYMBOLS = ("SPY", "TLT", "BIL")


def test_returns_worked_by_hand():
    close = np.array([[100.0, 50.0], [110.0, 50.0], [120.0, 40.0]])
    weights = np.array([[0.5, 0.5], [0.6, 0.0]])
    found = horizon_returns(close, weights, 2, 0.0)
    assert found == pytest.approx(np.array([[0.5 * 0.2 - 0.5 * 0.2, 0.6 * 0.2]]))


def test_cost_is_paid_for_going_back_to_the_shares():
    close = np.array([[100.0, 100.0], [120.0, 100.0]])
    weights = np.array([[0.5, 0.5], [1.0, 0.0], [0.5, 0.0]])
    found = horizon_returns(close, weights, 1, 10.0)[0]
    drift = 0.6 / 1.1 - 0.5  # 0.5 became 0.6 of 1.1
    assert found[0] == pytest.approx(1.1 * (1 - 0.001 * 2 * drift) - 1)
    assert found[1] == pytest.approx(0.2)  # all in one symbol never drifts
    assert found[2] == pytest.approx(1.1 * (1 - 0.001 * drift) - 1)


@pytest.mark.parametrize("horizon", [3, 4, 100])
def test_a_horizon_beyond_the_bars_has_no_returns(horizon):
    assert horizon_returns(np.ones((3, 1)), np.ones((2, 1)), horizon, 0.0).shape == (0, 2)


def test_the_dead_band_prefers_what_is_named_first():
    returns = np.array([[0.010, 0.012, 0.020], [0.010, 0.0195, 0.020], [0.020, 0.020, 0.020]])
    assert best(returns, 0.0).tolist() == [2, 2, 0]
    assert best(returns, 0.001).tolist() == [2, 1, 0]
    assert best(returns, 0.01).tolist() == [0, 0, 0]


def test_the_three_mixes_that_can_never_be_best():
    assert never_best(weight_matrix(EIGHT, SYMBOLS)) == [3, 4, 6]


def test_equal_strategies_leave_the_first_its_chance():
    weights = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.5, 0.5]])
    assert never_best(weights) == [2, 3]


def test_one_strategy_alone_is_best():
    assert never_best(np.array([[0.3, 0.7]])) == []


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), strategies=st.integers(2, 7), symbols=st.integers(1, 4))
def test_never_best_agrees_with_random_returns(seed, strategies, symbols):
    chance = np.random.default_rng(seed)
    weights = chance.dirichlet(np.ones(symbols + 1), strategies)[:, :symbols]
    returns = chance.standard_normal((20_000, symbols))
    ahead = np.sort(returns @ weights.T, axis=1)
    winners = set((returns @ weights.T).argmax(axis=1)[ahead[:, -1] - ahead[:, -2] > 1e-9].tolist())
    assert winners.isdisjoint(never_best(weights))


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_who_is_outside_the_hull_wins_for_some_returns(seed):
    chance = np.random.default_rng(seed)
    angles = np.sort(chance.uniform(0, 2 * np.pi, 5))
    corners = 0.25 + 0.2 * np.column_stack([np.cos(angles), np.sin(angles)])
    inside = corners.mean(axis=0, keepdims=True)
    assert never_best(np.concatenate([corners, inside])) == [5]


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_mixtures_never_win_with_costs_either(seed):
    growth = np.exp(0.1 * np.random.default_rng(seed).standard_normal((200, 3)))
    close = np.stack([np.ones((200, 3)), growth], axis=1)
    weights = weight_matrix(EIGHT, SYMBOLS)
    found = np.concatenate([horizon_returns(pair, weights, 1, 50.0) for pair in close])
    assert set(best(found, 0.0).tolist()) <= {0, 1, 2, 5, 7}
