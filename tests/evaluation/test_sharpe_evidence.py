"""Deflated Sharpe against the published example; overfitting probability against plain enumeration and known truths."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import EquipoiseError
from components.evaluation.sharpe_evidence import (
    deflated_sharpe,
    expected_maximum,
    overfitting_probability,
    probabilistic_sharpe,
)


def test_the_published_example() -> None:
    """Bailey and Lopez de Prado 2014: 100 trials whose annual ratios vary by 1/2, five years of 250 days, annual Sharpe
    2.5, skewness -3, kurtosis 10: SR0 = .1132, DSR = .9004."""
    threshold = expected_maximum(100, 0.5 / 250)
    assert threshold == pytest.approx(0.1132, abs=5e-5)
    assert probabilistic_sharpe(2.5 / math.sqrt(250), 1250, -3, 10, threshold) == pytest.approx(0.9004, abs=5e-5)


def test_the_published_example_with_normal_returns_and_fewer_trials() -> None:
    """The paper goes on: 46 trials instead of 100 give .9505, and so do 88 with skewness 0 and kurtosis 3."""
    ratio = 2.5 / math.sqrt(250)
    assert probabilistic_sharpe(ratio, 1250, -3, 10, expected_maximum(46, 0.5 / 250)) == pytest.approx(0.9505, abs=5e-4)
    assert probabilistic_sharpe(ratio, 1250, 0, 3, expected_maximum(88, 0.5 / 250)) == pytest.approx(0.9505, abs=5e-4)


def test_one_trial_deflates_nothing() -> None:
    assert expected_maximum(1, 0.5) == 0.0
    returns = np.random.default_rng(1).normal(0.0, 0.01, 500)
    assert deflated_sharpe(returns - returns.mean(), 1) == pytest.approx(0.5)


@given(st.integers(2, 5000), st.floats(1e-6, 1.0))
def test_more_trials_expect_a_higher_maximum(trials: int, variance: float) -> None:
    assert 0 < expected_maximum(trials, variance) < expected_maximum(trials + 1, variance)
    assert expected_maximum(trials, 4 * variance) == pytest.approx(2 * expected_maximum(trials, variance))


def test_the_expected_maximum_is_that_of_simulated_trials() -> None:
    """Means of 1,000 normal ratios' maxima over 100 trials, exact to simulation."""
    draws = np.random.default_rng(3).normal(0, 0.05, (4000, 100)).max(axis=1)
    assert expected_maximum(100, 0.05**2) == pytest.approx(draws.mean(), rel=0.02)


def test_deflation_keeps_its_level_over_the_best_of_many() -> None:
    """The best of 20 series without skill is called significant at .95 in about one world of twenty."""
    claims = 0
    for seed in range(200):
        tried = np.random.default_rng(seed).normal(0, 0.01, (750, 20))
        best = tried[:, np.argmax(tried.mean(axis=0) / tried.std(axis=0))]
        claims += deflated_sharpe(best, 20) > 0.95
    assert claims <= 20  # of 200; .05 expects 10, and above 20 is 3 standard errors out


def test_returns_that_do_not_vary_prove_nothing() -> None:
    assert math.isnan(deflated_sharpe(np.zeros(100), 10))


def test_contradictory_moments_are_undefined() -> None:
    assert math.isnan(probabilistic_sharpe(1.0, 10, 3.0, 1.0, 0.0))


def by_enumeration(returns: np.ndarray, parts: int) -> float:
    """The definition, day by day."""
    pieces = np.array_split(np.arange(len(returns)), parts)
    below = []
    for chosen in itertools.combinations(range(parts), parts // 2):
        inside = np.concatenate([pieces[i] for i in chosen])
        outside = np.setdiff1d(np.arange(len(returns)), inside)
        ratios = [returns[rows].mean(axis=0) / returns[rows].std(axis=0, ddof=1) for rows in (inside, outside)]
        best = int(np.argmax(ratios[0]))
        rank = 1 + np.count_nonzero(ratios[1] < ratios[1][best])
        below.append(rank / (returns.shape[1] + 1) < 0.5)
    return float(np.mean(below))


@pytest.mark.parametrize("series", [2, 4, 8])
def test_all_halvings_are_counted(series: int) -> None:
    returns = np.random.default_rng(series).normal(0.0005, 0.01, (48, series))
    assert overfitting_probability(returns, 6) == pytest.approx(by_enumeration(returns, 6))


def test_skill_is_not_overfitting_and_noise_is() -> None:
    rng = np.random.default_rng(5)
    noise = rng.normal(0, 0.01, (1000, 10))
    skilled = noise.copy()
    skilled[:, 3] += 0.003
    assert overfitting_probability(skilled) < 0.01
    chances = [overfitting_probability(np.random.default_rng(s).normal(0, 0.01, (240, 10)), 8) for s in range(40)]
    assert 0.35 < np.mean(chances) < 0.65


def test_series_that_do_not_vary_have_no_say() -> None:
    rng = np.random.default_rng(6)
    returns = rng.normal(0, 0.01, (64, 3))
    with_cash = np.column_stack([returns, np.full(64, 1e-4)])
    assert overfitting_probability(with_cash, 8) == overfitting_probability(returns, 8)
    assert math.isnan(overfitting_probability(np.column_stack([returns[:, :1], np.zeros(64)]), 8))


def test_few_days_are_cut_into_fewer_parts_or_refused() -> None:
    returns = np.random.default_rng(7).normal(0, 0.01, (9, 3))
    assert overfitting_probability(returns, 16) == overfitting_probability(returns, 4)
    assert math.isnan(overfitting_probability(returns[:7], 16))


@pytest.mark.parametrize(("shape", "parts"), [((30, 1), 8), ((30,), 8), ((30, 4), 7)])
def test_what_cannot_be_compared_is_an_error(shape: tuple[int, ...], parts: int) -> None:
    with pytest.raises(EquipoiseError, match="E_EVIDENCE"):
        overfitting_probability(np.zeros(shape), parts)
