"""Daily accounts of overlapping decisions, by hand and against the plain loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.workloads.trading.accounts import held_shares, join_accounts, open_accounts

WEIGHTS = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])


def test_the_last_decisions_are_held_in_equal_parts() -> None:
    """Horizon 2: the first day one decision, then always the mean of two."""
    held = held_shares(np.array([10, 11, 12]), WEIGHTS[[0, 2, 2]], 2)
    np.testing.assert_allclose(held, [[1, 0], [0.5, 0.5], [0, 1]])


def test_days_without_a_decision_keep_what_is_alive_and_then_the_last() -> None:
    """Decisions on days 0, 1 and 5, each held for two days: on day 2 only the second lives, on 3 and 4 none does."""
    held = held_shares(np.array([0, 1, 5]), WEIGHTS[[0, 2, 1]], 2)
    np.testing.assert_allclose(held[:, 0], [1, 0.5, 0, 0, 0, 0.5])


def run(close: np.ndarray, days: np.ndarray, chosen: np.ndarray, horizon: int, cost: float):
    mixes = {"all in": np.array([1.0, 0.0])}
    return open_accounts(close, days, {"model": chosen}, WEIGHTS, mixes, horizon, cost, cash=1)


def test_a_hand_worked_account() -> None:
    """Two days, horizon 1: first all in the first symbol (+10%), then all in the second (0%); 100 points a turnover."""
    close = np.array([[1.0, 1.0], [1.1, 1.0], [1.21, 1.0]])
    found = run(close, np.array([0, 1]), np.array([0, 2]), 1, 100.0)
    assert found.rows.tolist() == [1, 2]
    np.testing.assert_allclose(found.turnover["model"], [2.0, 0.0])
    np.testing.assert_allclose(found.net["model"], [1.1 * 0.98 * 0.99 - 1, 0.0])
    np.testing.assert_allclose(found.net["all in"], [1.1 * 0.99 - 1, 0.1])
    np.testing.assert_allclose(found.cash, [0.0, 0.0])
    # half and half, held still: drifts to .55 / .5 of 1.05 and is brought back
    drift = 2 * (0.55 / 1.05 - 0.5)
    assert found.tracks["model"].still[0] == pytest.approx(1.05 * (1 - 0.01 * drift) * 0.99 - 1)


def test_a_decision_that_never_changes_is_its_own_average() -> None:
    close = np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.01, (60, 2)), axis=0))
    found = run(close, np.arange(5, 50), np.full(45, 1), 5, 2.0)
    np.testing.assert_allclose(found.tracks["model"].returns, found.tracks["model"].still, atol=1e-15)
    assert len(found.rows) == 45 and found.rows[0] == 6


@given(st.lists(st.integers(0, 2), min_size=1, max_size=12), st.integers(1, 5), st.integers(0, 99))
def test_gross_returns_are_those_of_the_plain_loop(choices: list[int], horizon: int, seed: int) -> None:
    close = np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.02, (16, 2)), axis=0))
    days = np.arange(2, 2 + len(choices))
    found = run(close, days, np.array(choices), horizon, 0.0)
    for t, row in enumerate(found.rows):
        living = [WEIGHTS[k] for day, k in zip(days, choices, strict=True) if row - 1 - horizon < day <= row - 1]
        expected = float(np.mean(living, axis=0) @ (close[row] / close[row - 1] - 1))
        assert found.net["model"][t] == pytest.approx(expected, abs=1e-12)


def test_joined_accounts_are_one_after_the_other() -> None:
    close = np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.01, (60, 2)), axis=0))
    early, late = (run(close, days, days % 3, 3, 2.0) for days in (np.arange(5, 20), np.arange(30, 50)))
    both = join_accounts([early, late])
    assert both.rows.tolist() == [*range(6, 21), *range(31, 51)]
    assert both.net["all in"].tolist() == [*early.net["all in"], *late.net["all in"]]
    assert both.turnover["model"].tolist() == [*early.turnover["model"], *late.turnover["model"]]
    assert both.tracks["model"].still[15:].tolist() == late.tracks["model"].still.tolist()
    assert both.tracks["model"].returns[:15].tolist() == early.net["model"].tolist()
    assert len(both.cash) == 35


def test_costs_only_take_away() -> None:
    rng = np.random.default_rng(2)
    close = np.exp(np.cumsum(rng.normal(0, 0.01, (80, 2)), axis=0))
    chosen = rng.integers(0, 3, 70)
    free, dear = (run(close, np.arange(70), chosen, 5, cost) for cost in (0.0, 10.0))
    assert (dear.net["model"] <= free.net["model"]).all()
    np.testing.assert_allclose(free.turnover["model"], dear.turnover["model"])
