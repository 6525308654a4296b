"""How a setting compares with the reference: samples are one source of chance, seeds are the other, and both count.

Samples: whole clusters are drawn with replacement, the same ones for both settings, with the scores of all seeds
averaged in each sample; their error is the standard deviation of the difference over the draws, times
sqrt(n / (n - 1)). Seeds: a handful cannot be drawn again, so their error is s / sqrt(S) of the differences seed by seed
(seed 1 of one setting against seed 1 of the other). Each error has the reach of its own Student's t, with n - 1 and
S - 1 degrees of freedom, and the reaches add up as squares (Zou and Donner 2008, "Construction of confidence intervals
about effect measures"). One t for both, with the degrees of freedom of Welch and Satterthwaite, is shorter but does not
hold what it says: at three seeds and the levels that Holm asks for it was wrong nine times as often. With the draws
alone, a difference that the next seed would turn round is shown as one. What depends on seed and sample together is in
both errors: the interval is somewhat too wide rather than too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import stdtrit

from components.errors import bad_data
from components.evaluation.statistics import PairedDifference, holm, paired_differences, standard_error

SMALLEST = 1e-12  # p-value that is told apart from 0

Floats = NDArray[np.float64]
Verdict = Literal["better", "worse", "no difference shown"]


@dataclass(frozen=True)
class Scores:
    """Per-sample scores of a setting's runs.

    Attributes:
        clusters: [n] names of the clusters.
        hit, of: [seeds, n, metrics] numerators and denominators.
    """

    clusters: NDArray[Any]
    hit: Floats
    of: Floats

    def by_seed(self) -> Floats:
        """[seeds, metrics] each run's own value; nan where a run has nothing labelled."""
        hits, of = self.hit.sum(axis=1), self.of.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(of > 0, hits / of, np.nan)


@dataclass(frozen=True)
class Difference:
    """A setting less the reference in one metric.

    Attributes:
        samples_error, seeds_error: standard errors by samples and by seeds.
        p: two-sided, against no difference; `adjusted` by Holm over all settings and metrics of the study.
    """

    metric: str
    value: float
    low: float
    high: float
    samples_error: float
    seeds_error: float
    p: float
    adjusted: float
    verdict: Verdict


def differences(
    setting: Scores, reference: Scores, metrics: Sequence[str], resamples: int, confidence: float, seed: int
) -> list[Difference]:
    """One a metric, not yet adjusted for how many there are (`adjusted` is p).

    Args:
        metrics: names of the last axis of the scores.
        resamples: draws of clusters.
        seed: of the draws; the same for every setting, so that all see the same clusters.

    Raises:
        EquipoiseError: E_STUDY_SCORES (65) for a metric with fewer than two labelled clusters, or without a label in
            some run.
    """
    hit_a, of_a, hit_b, of_b = (a.mean(axis=0) for a in (setting.hit, setting.of, reference.hit, reference.of))
    pairs = paired_differences(hit_a, of_a, hit_b, of_b, setting.clusters, resamples, confidence, seed)
    apart = setting.by_seed() - reference.by_seed()
    return [
        _difference(metric, pair, column, confidence)
        for metric, pair, column in zip(metrics, pairs, apart.T, strict=True)
    ]


def adjusted(found: Sequence[Difference], confidence: float, lower: frozenset[str] = frozenset()) -> list[Difference]:
    """The differences of a whole family with Holm's p-values and the verdicts that follow.

    Args:
        lower: metrics of which less is better.
    """
    results = []
    for each, p in zip(found, holm([each.p for each in found]) if found else (), strict=True):
        verdict: Verdict = "no difference shown"
        if p <= 1 - confidence and each.value != 0:
            verdict = "better" if (each.value > 0) != (each.metric in lower) else "worse"
        results.append(Difference(**{**vars(each), "adjusted": float(p), "verdict": verdict}))
    return results


def _difference(metric: str, pair: PairedDifference, by_seed: Floats, confidence: float) -> Difference:
    clusters, seeds = pair.bootstrap.clusters, len(by_seed)
    if clusters < 2 or not (math.isfinite(pair.difference) and np.isfinite(by_seed).all()):
        raise bad_data(
            f"study, {metric}",
            "every run must be judged on at least two clusters with a label",
            got=clusters,
            hint="Judge on a larger split or take the metric out of study.metrics",
            code="STUDY_SCORES",
        )
    samples = standard_error(pair.bootstrap)
    apart = math.sqrt(float(np.var(by_seed, ddof=1)) / seeds)
    reach = reach_of(1 - confidence, samples, clusters, apart, seeds)
    # with k clusters that differ at all, an exact test that flips signs cannot go below 2^-k a side
    p = min(max(_p(abs(pair.difference), samples, clusters, apart, seeds), 2 * 0.5**pair.differing), 1.0)
    return Difference(
        metric=metric,
        value=pair.difference,
        low=pair.difference - reach,
        high=pair.difference + reach,
        samples_error=samples,
        seeds_error=apart,
        p=p,
        adjusted=p,
        verdict="no difference shown",
    )


def reach_of(level: float, samples: float, clusters: int, apart: float, seeds: int) -> float:
    """Half the interval that misses with probability `level`, of the errors by samples and by seeds."""
    by_samples, by_seeds = (float(stdtrit(n - 1, 1 - level / 2)) for n in (clusters, seeds))
    return math.hypot(by_samples * samples, by_seeds * apart)


def _p(distance: float, samples: float, clusters: int, apart: float, seeds: int) -> float:
    """The level at which the interval just reaches 0."""
    if reach_of(SMALLEST, samples, clusters, apart, seeds) <= distance:
        return SMALLEST if distance else 1.0

    def beyond(logarithm: float) -> float:
        return reach_of(math.exp(logarithm), samples, clusters, apart, seeds) - distance

    return math.exp(float(brentq(beyond, math.log(SMALLEST), 0.0, xtol=1e-12)))  # pyright: ignore[reportArgumentType]
