"""Where few clusters differ, some by much: the ends of Student's t by hand, and size and coverage over many sets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from components.config import EvaluationConfig
from components.evaluation import metrics
from components.evaluation.statistics import (
    Bootstrap,
    Interval,
    bca_interval,
    bca_level,
    p_above,
    paired_difference,
    paired_differences,
    standard_error,
)

# Share by which two models' months differ: alike in 56 of 74, far apart in three.
MONTHS = np.concatenate([np.zeros(56), [0.63, 0.49, 0.34], np.linspace(0.01, 0.29, 15)])


def equal_models(kind: str, sets: int, clusters: int) -> np.ndarray:
    """[clusters, sets] differences of models that are equal in truth."""
    rng = np.random.default_rng(5)
    if kind == "normal":
        return rng.normal(size=(clusters, sets))
    return rng.choice(MONTHS, size=(clusters, sets)) * rng.choice([-1.0, 1.0], size=(clusters, sets))


def test_students_end_by_hand() -> None:
    """Draws .2, .4, .6, .8 around .5: their variance .05, times 5 / 4 for five clusters, makes a standard error of .25.
    t of four degrees of freedom is 2.776 at .975 and 2.132 at .95; 0 is two standard errors away."""
    draws = np.tile([0.2, 0.4, 0.6, 0.8], 100_000)
    found = Bootstrap(0.5, draws, np.array([0.3, 0.4, 0.5, 0.6, 0.7]), 5)
    assert standard_error(found) == pytest.approx(0.25, abs=1e-6)
    assert bca_interval(found, 0.95) == pytest.approx((0.5 - 2.776 * 0.25, 0.5 + 2.776 * 0.25), abs=1e-3)
    low, high = bca_interval(found, 0.9)
    assert (low, high) == pytest.approx((0.5 - 2.132 * 0.25, 0.5 + 2.132 * 0.25), abs=1e-3)
    assert p_above(found, low) == pytest.approx(0.05, abs=1e-9)
    assert p_above(found.negated(), -high) == pytest.approx(0.05, abs=1e-9)
    assert p_above(found, 0.0) == pytest.approx(0.0581, abs=1e-4)


def test_a_real_skew_keeps_its_farther_end() -> None:
    """Thirty waiting times: the upper end, where the long tail is, is BCa's, and the lower one Student's."""
    sample = stats.expon.ppf((np.arange(30) + 0.5) / 30)
    found = paired_difference(sample, np.ones(30), sample * 0, np.ones(30), np.arange(30), 20_000, 0.95, 1)
    reach = stats.t.ppf(0.975, 29) * sample.std(ddof=1) / math.sqrt(30)
    z = float(stats.t.ppf(0.975, 29)) * math.sqrt(30 / 29)
    upper = np.quantile(found.bootstrap.draws, bca_level(found.bootstrap, z))
    assert found.low == pytest.approx(sample.mean() - reach, rel=0.02)
    assert found.high == upper > sample.mean() + 1.1 * reach
    assert p_above(found.bootstrap.negated(), -found.high) == pytest.approx(0.025, abs=0.001)


def test_without_any_noise_a_threshold_is_passed_or_not() -> None:
    still = Bootstrap(0.25, np.full(999, 0.25), np.full(9, 0.25), 9)
    assert bca_interval(still, 0.95) == (0.25, 0.25)
    assert [p_above(still, threshold) for threshold in (0.25, 0.3)] == [1.0, 1.0]
    unseen = stats.t.cdf(stats.norm.ppf(1 / 1000) / math.sqrt(9 / 8), 8)  # no draw of 999 went so far
    assert p_above(still, 0.2) == pytest.approx(unseen) == pytest.approx(0.00974, abs=1e-5)
    one = Bootstrap(0.25, np.array([0.25]), np.array([0.25]), 2)  # a single draw has no spread
    assert math.isnan(bca_interval(one, 0.95)[0]) and p_above(one, 0.0) == 1.0


@pytest.mark.parametrize("kind,clusters", [("normal", 10), ("normal", 74), ("months", 40), ("months", 74)])
def test_equal_models_look_different_no_more_often_than_they_should(kind: str, clusters: int) -> None:
    """2,000 sets. With BCa alone .094 (of 40 months) and .074 (of 74) were shown better at .05, .047 and .031 at .0152,
    and .865 and .912 of the intervals of 95% held the truth."""
    values = equal_models(kind, 2000, clusters)
    ones = np.ones_like(values)
    found = paired_differences(values, ones, values * 0, ones, np.arange(clusters), 1000, 0.95, 3)
    p = np.array([p_above(pair.bootstrap, 0.0) for pair in found])
    for level in (0.0152, 0.05):  # at most what 2,000 fair trials exceed once in a thousand
        assert np.count_nonzero(p <= level) <= stats.binom.ppf(0.999, 2000, level)
    covered = np.mean([pair.low <= 0 <= pair.high for pair in found])
    assert covered >= 0.935
    if kind == "normal":  # and nothing is given away where nothing needs to be
        assert np.count_nonzero(p <= 0.05) >= stats.binom.ppf(0.001, 2000, 0.04)
        assert covered <= 0.975


def test_a_difference_that_is_there_is_still_shown() -> None:
    """The months shifted by three standard errors: .868 of 500 sets show it at .05, as many as with BCa alone."""
    values = equal_models("months", 500, 74)
    values += 3 * math.sqrt(np.mean(MONTHS**2) / 74)
    ones = np.ones_like(values)
    found = paired_differences(values, ones, values * 0, ones, np.arange(74), 1000, 0.95, 3)
    assert np.mean([p_above(pair.bootstrap, 0.0) <= 0.05 for pair in found]) >= 0.85


def test_an_end_never_leaves_what_the_metric_can_be() -> None:
    assert Interval(0.9, 0.4, 1.3).within(0.0, 1.0) == (0.9, 0.4, 1.0)
    assert Interval(0.1, -0.2, 0.3).within(0.0, 1.0) == (0.1, 0.0, 0.3)
    assert all(math.isnan(end) for end in Interval(0.5, math.nan, math.nan).within(0.0, 1.0)[1:])
    # Four clusters, one pair of 16 ranked wrongly: Student's t alone would end above 1.
    label, score = np.array([1, 0] * 4), np.array([0.9, 0.1, 0.8, 0.2, 0.7, 0.3, 0.4, 0.5])
    settings = EvaluationConfig(resamples=500, confidence=0.95, seed=1, calibration_bins=5, minimum_slice=1)
    found = metrics.interval_of_auroc(label, score, np.arange(8) // 2, settings)
    assert found.value == pytest.approx(15 / 16) and found.low < found.value < found.high == 1.0
    # F1 of classes said right, but for one in four: 6 / 7, and its difference to one that is always right, -1 / 7.
    right = metrics.class_parts([1, 0] * 4, [1, 0] * 3 + [0, 0], [1])
    perfect = metrics.class_parts([1, 0] * 4, [1, 0] * 4, [1])
    one = metrics.interval_of(right, np.arange(8) // 2, metrics.f1, settings)
    assert one.value == pytest.approx(6 / 7) and one.low < one.value < one.high == 1.0
    apart = metrics.minus(metrics.f1, 3)
    less = metrics.interval_of(np.hstack([right, perfect]), np.arange(8) // 2, apart, settings)
    assert less.low < less.value == pytest.approx(-1 / 7) and less.high > 0  # what is no share keeps its sign
    gains = metrics.interval_of(metrics.with_count(np.array([40.0, 60.0, 50.0])), np.arange(3), metrics.mean, settings)
    assert gains.low < 50 < gains.high
