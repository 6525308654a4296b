"""Stationary bootstrap and SPA: reproducible, honest on dependent series, and awake where something is better."""

from __future__ import annotations

import math

import numpy as np
import pytest

from components.evaluation.statistics import bca_interval
from components.evaluation.time_bootstrap import block_length, stationary_bootstrap, superior_ability


def mean(rows: np.ndarray) -> np.ndarray:
    return rows.mean(axis=0)


def moving_sum(seed: int, days: int, width: int) -> np.ndarray:
    """Noise that overlaps over `width` days, as returns of overlapping decisions do; mean 0."""
    noise = np.random.default_rng(seed).normal(0, 0.01, days + width - 1)
    return np.convolve(noise, np.ones(width), "valid")


def test_the_same_seed_gives_the_same_draws() -> None:
    series = moving_sum(1, 200, 5)[:, None]
    first, again, other = (stationary_bootstrap(series, mean, 5, 50, seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.draws, again.draws)
    assert not np.array_equal(first.draws, other.draws)
    assert first.value == pytest.approx(series.mean())
    assert first.clusters == 40


def test_statistics_share_their_draws() -> None:
    series = np.random.default_rng(3).normal(0, 1, (100, 2))
    a, b, difference = stationary_bootstrap(
        series, lambda rows: np.array([*rows.mean(axis=0), rows[:, 0].mean() - rows[:, 1].mean()]), 3, 40, 5
    )
    np.testing.assert_allclose(difference.draws, a.draws - b.draws)


def test_the_jackknife_leaves_out_a_block_at_a_time() -> None:
    """Six days in three blocks of two: means without each."""
    found = stationary_bootstrap(np.arange(6.0)[:, None], mean, 2, 10, 1)[0]
    np.testing.assert_allclose(found.jackknife, [3.5, 2.5, 1.5])


def test_blocks_grow_with_dependence() -> None:
    independent, overlapping = moving_sum(4, 1500, 1), moving_sum(4, 1500, 10)
    assert block_length(independent) < block_length(overlapping)
    assert block_length(independent, minimum=7) >= 7
    assert block_length(np.column_stack([independent, overlapping])) == block_length(overlapping)


def test_blocks_of_short_or_still_series() -> None:
    assert block_length(np.zeros(100), minimum=5) == 5
    assert block_length(np.arange(6.0), minimum=5) == 1.5
    assert block_length(np.column_stack([np.zeros(40), np.ones(40)])) == 1


def test_intervals_cover_the_mean_of_dependent_series() -> None:
    """Where drawing single days would cover 95% far too rarely, blocks do not."""
    covered = {"blocks": 0, "days": 0}
    for seed in range(100):
        series = moving_sum(seed, 400, 5)
        for name, block in (("blocks", block_length(series, 5)), ("days", 1.0)):
            low, high = bca_interval(stationary_bootstrap(series[:, None], mean, block, 300, 1)[0], 0.95)
            covered[name] += low <= 0 <= high
    assert covered["blocks"] >= 87
    assert covered["days"] <= 75


def test_superior_ability_sees_a_better_model_among_worse_ones() -> None:
    rng = np.random.default_rng(8)
    base = rng.normal(0, 0.01, 750)
    worse = base[:, None] + rng.normal(-0.001, 0.005, (750, 6))
    better = base[:, None] + rng.normal(0.0012, 0.005, (750, 1))
    assert superior_ability(base, worse, 5, 500, 1) > 0.5
    assert superior_ability(base, np.column_stack([worse, better]), 5, 500, 1) < 0.01


def test_superior_ability_keeps_its_level_over_many_models() -> None:
    """Ten models without skill: at .05, about one world of twenty is called better."""
    claims = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        base = rng.normal(0, 0.01, 300)
        claims += superior_ability(base, base[:, None] + rng.normal(0, 0.005, (300, 10)), 5, 200, 1) < 0.05
    assert claims <= 8


def test_models_equal_to_the_benchmark_have_no_say() -> None:
    base = np.random.default_rng(9).normal(0, 0.01, 100)
    assert superior_ability(base, np.column_stack([base, base]), 5, 100, 1) == 1.0
    better = base + np.random.default_rng(10).normal(0.005, 0.005, 100)
    alone = superior_ability(base, better[:, None], 5, 100, 1)
    assert superior_ability(base, np.column_stack([base, better]), 5, 100, 1) == alone
    assert math.isclose(alone, 1 / 101)
