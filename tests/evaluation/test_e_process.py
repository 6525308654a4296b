"""E-values by hand, their size at the margin however often one looks, and their power."""

from __future__ import annotations

import math

import numpy as np
import pytest

from components.errors import EquipoiseError
from components.evaluation.e_process import STAKES, log_capitals, log_e_value, log_mean, plain, shown

ALPHA = 0.05
MARGINS = np.array([0.02, 0.02, 0.05])
BATCH, LOOKS, RUNS = 25, 24, 2000


def test_one_cluster_by_hand():
    """Margin 0 and harm 1: each stake b wins b; the mean of 1 + b is 1 + .95 (1 + 1/2 + ... + 1/128) / 8."""
    assert plain(float(log_e_value([1.0], 0.0))) == pytest.approx(1 + 0.95 * (255 / 128) / 8)
    assert plain(float(log_e_value([-1.0], 0.0))) == pytest.approx(1 - 0.95 * (255 / 128) / 8)


def test_two_clusters_by_hand():
    """Harm .5 and then 0 at margin .25: bets are stakes / 1.25, capital (1 + b / 4) (1 - b / 4) = 1 - b^2 / 16."""
    squares = 0.95**2 * sum(4.0**-k for k in range(8)) / 8 / 1.25**2
    assert plain(float(log_e_value([0.5, 0.0], 0.25))) == pytest.approx(1 - squares / 16)


def test_no_clusters_and_clusters_without_a_say_leave_the_capital_alone():
    assert log_e_value([], 0.1) == 0
    some = [0.3, -0.1, 0.2]
    assert log_e_value([0.3, math.nan, -0.1, 0.2, math.nan], 0.1) == pytest.approx(float(log_e_value(some, 0.1)))
    assert log_e_value(some[::-1], 0.1) == pytest.approx(float(log_e_value(some, 0.1)))


def test_the_capital_is_never_gone_and_never_beyond_a_float():
    assert np.isfinite(log_e_value(np.full(5000, -1.0), 0.0))
    assert plain(float(log_e_value(np.full(5000, 1.0), 0.0))) == math.exp(700)
    assert STAKES.max() < 1


def test_heads_are_averaged_and_compared_with_one_over_alpha():
    assert plain(float(log_mean(np.log([1.0, 2.0, 60.0])))) == pytest.approx(21)
    assert shown(math.log(20.0), 0.05) and not shown(math.log(19.99), 0.05)


def test_harm_that_is_none_is_refused():
    with pytest.raises(EquipoiseError, match="E_E_VALUE"):
        log_e_value([0.1, 1.5], 0.1)


def simulated(harm: np.ndarray, disagreement: float, seed: int) -> np.ndarray:
    """[runs, looks, batch, heads] harm of clusters of 4 samples with that expectation in each head.

    Of each sample the models disagree with that probability, and then the new one is wrong with the probability that
    makes its expected harm true. A cluster is all alike with probability one half, and heads share their luck.
    """
    generator = np.random.default_rng(seed)
    shape = (RUNS, LOOKS, BATCH, 1)
    alike = generator.random((*shape, 1)) < 0.5
    drawn = np.where(alike, generator.random((*shape, 1)), generator.random((*shape, 4)))
    lost, won = (disagreement + harm[:, None]) / 2, (disagreement - harm[:, None]) / 2
    return ((drawn < lost) * 1.0 - (drawn > 1 - won)).mean(axis=-1)


def ever_shown(harm: np.ndarray) -> float:
    """The share of the runs whose evidence reached 1 / alpha at any of the looks."""
    heads = [log_capitals(harm[..., h], float(margin)).cumsum(axis=1) for h, margin in enumerate(MARGINS)]
    e = log_mean(np.stack([log_mean(capitals) for capitals in heads], axis=-1))
    return float((e.max(axis=1) >= -math.log(ALPHA)).mean())


def test_batches_add_up():
    harm = np.random.default_rng(5).uniform(-1, 1, 40)
    parts = log_capitals(harm[:15], 0.1) + log_capitals(harm[15:], 0.1)
    assert log_mean(parts) == pytest.approx(float(log_e_value(harm, 0.1)))


def test_a_champion_at_its_margins_is_demoted_with_probability_alpha_at_most_however_often_one_looks():
    """Size: 2,000 runs of 600 clusters, a look at every 25, every head exactly at its margin."""
    rate = ever_shown(simulated(MARGINS, 0.12, seed=1))
    assert 0 < rate <= ALPHA, rate
    assert ever_shown(simulated(np.zeros(3), 0.12, seed=2)) < 0.001


def test_harm_of_twice_the_margin_is_seen():
    """Power: in every head, and in one of three alone."""
    assert ever_shown(simulated(2 * MARGINS, 0.12, seed=3)) > 0.9
    assert ever_shown(simulated(np.array([0.0, 0.0, 0.1]), 0.12, seed=4)) > 0.75
