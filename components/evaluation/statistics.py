"""Cluster bootstrap for per-sample results: intervals, paired differences, one-sided tests, Holm.

Turns of one conversation succeed and fail together, so whole clusters are drawn, with replacement. A draw is a count
per cluster, and a metric that is a function of sums (a share, macro-F1, calibration error) needs nothing but the matrix
product counts x sums. Intervals are BCa (Efron 1987, section 3: corrected for bias and skew) on quantiles expanded for
few clusters (Hesterberg 2015, "What teachers should know about the bootstrap": t instead of normal, times
sqrt(n / (n - 1))), with no end nearer to the value than Student's t puts it: where few clusters differ, some by much,
the skew seen is luck, moves both ends its way, and lets equal models look different thrice too often. Student's t has
no skew and errs to the safe side where tails are heavy (Efron 1969, "Student's t-test under symmetry conditions").
Tests are the same interval turned round. The same seed gives the same draws, whatever the chunk size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri, pdtr, stdtr, stdtrit

from components.errors import bad_data

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]  # totals [draws, columns] -> [draws, statistics]; nan where undefined

CELLS = 1 << 21  # counts held at a time: 16 MB
MANY = 1_000  # clusters from which on counts are Poisson
POISSON_STEPS = np.rint(65_536 * pdtr(np.arange(12), 1.0))
POISSON = np.searchsorted(POISSON_STEPS, np.arange(65_536), side="right").astype(np.float64)
JACKKNIFE_GROUPS = 200  # a statistic of counts is left-one-out over at most so many groups of clusters
POWER = 0.8


class Interval(NamedTuple):
    """A metric with its interval; all nan without a single labelled sample."""

    value: float
    low: float
    high: float

    def within(self, least: float, most: float) -> Interval:
        """The same with its ends inside the values that the metric can take; nan stays nan."""
        return self._replace(low=max(self.low, least), high=min(self.high, most))

    def document(self) -> dict[str, float | None]:
        """As a JSON object; an end that no draw defines is null."""
        low, high = (end if math.isfinite(end) else None for end in (self.low, self.high))
        return {"value": self.value, "low": low, "high": high}


def documents(found: Mapping[str, Interval]) -> dict[str, dict[str, float | None]]:
    """Intervals by name as JSON objects."""
    return {name: each.document() for name, each in found.items()}


@dataclass(frozen=True)
class Bootstrap:
    """A statistic's resampled distribution.

    Attributes:
        value: of the data themselves.
        draws: [B] of the resamples, undefined ones (an empty denominator) left out.
        jackknife: the statistic without each cluster (or group of clusters) in turn.
        clusters: how many clusters carry information on it.
    """

    value: float
    draws: Floats
    jackknife: Floats
    clusters: int

    def negated(self) -> Bootstrap:
        """The same draws of the opposite difference, b - a."""
        return Bootstrap(-self.value, -self.draws, -self.jackknife, self.clusters)


class PairedDifference(NamedTuple):
    """Two models on the same samples: both values, a - b with its interval, and the distribution behind it.

    `differing` counts the clusters on which the two are not the same.
    """

    value_a: float
    value_b: float
    difference: float
    low: float
    high: float
    bootstrap: Bootstrap
    differing: int


def interval(
    hit: ArrayLike, of: ArrayLike, clusters: ArrayLike, resamples: int, confidence: float, seed: int
) -> Interval:
    """The share sum(hit) / sum(of), in [0, 1], with its BCa interval over clusters.

    Args:
        hit, of: [n] numerators and denominators per sample (0 of: the sample has no say).
        clusters: [n] names of the clusters (conversations).

    Where all clusters are right, or all wrong, no resample varies; the interval is then the exact binomial one
    (Clopper-Pearson) over clusters instead of a point.
    """
    columns = np.column_stack([_column(hit), _column(of)])
    sums = cluster_sums(columns, clusters) if len(columns) else columns
    sums = sums[sums[:, 1] > 0]
    if not len(sums):
        return Interval(math.nan, math.nan, math.nan)
    share = bootstrap_of_sums(sums, ratios, resamples, seed)[0]
    if np.all(sums[:, 0] == sums[:, 1]):
        return Interval(1.0, ((1 - confidence) / 2) ** (1 / len(sums)), 1.0)
    if not sums[:, 0].any():
        return Interval(0.0, 0.0, 1 - ((1 - confidence) / 2) ** (1 / len(sums)))
    return Interval(share.value, *bca_interval(share, confidence)).within(0.0, 1.0)


def paired_difference(
    hit_a: ArrayLike,
    of_a: ArrayLike,
    hit_b: ArrayLike,
    of_b: ArrayLike,
    clusters: ArrayLike,
    resamples: int,
    confidence: float,
    seed: int,
) -> PairedDifference:
    """The share of a minus that of b over the same samples, [n] each; see `paired_differences`."""
    a, a_of, b, b_of = (_column(c)[:, None] for c in (hit_a, of_a, hit_b, of_b))
    return paired_differences(a, a_of, b, b_of, clusters, resamples, confidence, seed)[0]


def paired_differences(
    hit_a: Floats,
    of_a: Floats,
    hit_b: Floats,
    of_b: Floats,
    clusters: ArrayLike,
    resamples: int,
    confidence: float,
    seed: int,
) -> list[PairedDifference]:
    """One paired difference per metric, [n, metrics] each; all metrics see the same resampled clusters."""
    metrics = hit_a.shape[1]
    sums = cluster_sums(np.concatenate([hit_a, of_a, hit_b, of_b], axis=1), clusters)
    a, a_of, b, b_of = (sums[:, i * metrics : (i + 1) * metrics] for i in range(4))
    # The two models are mostly judged on the same labels: one denominator column then serves both.
    shared = np.array_equal(a_of, b_of)
    columns = np.concatenate([a, a_of, b] if shared else [a, a_of, b, b_of], axis=1)

    def difference(totals: Floats) -> Floats:
        parts = np.split(totals, 3 if shared else 4, axis=1)
        return _divide(parts[0], parts[1]) - _divide(parts[2], parts[1 if shared else 3])

    found = bootstrap_of_sums(columns, difference, resamples, seed)
    results = []
    for j, bootstrap in enumerate(found):
        informative = int(np.count_nonzero((a_of[:, j] > 0) | (b_of[:, j] > 0)))
        differing = int(np.count_nonzero((a[:, j] != b[:, j]) | (a_of[:, j] != b_of[:, j])))
        value_a, value_b = (float(_divide(h[:, j].sum(), o[:, j].sum())) for h, o in ((a, a_of), (b, b_of)))
        results.append(paired(value_a, value_b, replace(bootstrap, clusters=informative), differing, confidence))
    return results


def paired_statistic(
    both: Statistic, informative: int, differing: int, clusters: int, resamples: int, confidence: float, seed: int
) -> PairedDifference:
    """Two models' whole statistic on the same draws of clusters.

    Args:
        both: counts [draws, clusters] -> [draws, 2], the statistic of a and of b.
        informative: how many clusters have a say in it.
        differing: on how many the two are not the same.
        clusters: how many there are.
    """
    value_a, value_b = both(np.ones((1, clusters)))[0].tolist()
    found = bootstrap_of_counts(lambda counts: -np.diff(both(counts)), clusters, resamples, seed)[0]
    return paired(value_a, value_b, replace(found, clusters=informative), differing, confidence)


def paired(value_a: float, value_b: float, bootstrap: Bootstrap, differing: int, confidence: float) -> PairedDifference:
    """The record of a difference from its distribution."""
    low, high = bca_interval(bootstrap, confidence)
    return PairedDifference(float(value_a), float(value_b), bootstrap.value, low, high, bootstrap, differing)


def cluster_sums(columns: Floats, clusters: ArrayLike) -> Floats:
    """[n, m] per sample to [clusters, m] per cluster, clusters in the order of their names (not of the rows).

    Raises:
        EquipoiseError: E_DATA (65) for lengths that differ, no samples, or values that are not finite.
    """
    names = np.asarray(clusters)
    if len(names) != len(columns) or not len(columns):
        got = f"{len(columns)} samples, {len(names)} clusters"
        raise bad_data(
            "bootstrap", "every sample must have one cluster", got=got, hint="Score both on the same samples"
        )
    if not np.isfinite(columns).all():
        row = int(np.argwhere(~np.isfinite(columns))[0, 0])
        raise bad_data("bootstrap", "hits must be finite", got=f"sample {row}", hint="Mend the metric of that sample")
    found, codes = np.unique(names, return_inverse=True)
    sums = np.empty((len(found), columns.shape[1]))
    for j, column in enumerate(columns.T):
        sums[:, j] = np.bincount(codes, weights=column, minlength=len(found))
    return sums


def resampled_counts(clusters: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each cluster is drawn, in chunks [some draws, clusters].

    Few clusters: drawn with replacement, so every row sums to `clusters`. From MANY on independent Poisson(1) counts
    (Chamandy 2012, "Estimating uncertainty for massive data streams"): five times as fast, and for statistics that are
    ratios, as all of ours are, the same distribution but for terms of order 1 / clusters.
    """
    generator = np.random.default_rng(seed)
    draw = _poisson_row if clusters >= MANY else _multinomial_row
    rows = max(1, CELLS // clusters)
    for start in range(0, resamples, rows):
        counts = np.empty((min(rows, resamples - start), clusters))
        for row in counts:
            draw(generator, row)
        yield counts


def _multinomial_row(generator: np.random.Generator, row: Floats) -> None:
    row[:] = np.bincount(generator.integers(len(row), size=len(row)), minlength=len(row))


def _poisson_row(generator: np.random.Generator, row: Floats) -> None:
    """Inverts the distribution function by table: 16 random bits a count, the mean exactly 1, the variance .99997."""
    bits = generator.bit_generator.random_raw(-(-len(row) // 4)).view(np.uint16)
    np.take(POISSON, bits[: len(row)], out=row, mode="clip")


def bootstrap_of_sums(sums: Floats, statistic: Statistic, resamples: int, seed: int) -> list[Bootstrap]:
    """Resamples statistics that are functions of column sums.

    Args:
        sums: [clusters, columns], for example from `cluster_sums`.
        statistic: totals [draws, columns] -> [draws, k], for example `ratios`.

    Returns:
        k distributions. Leaving one cluster out is a subtraction, so the jackknife costs nothing.
    """
    total = sums.sum(axis=0)
    draws = np.concatenate([statistic(counts @ sums) for counts in resampled_counts(len(sums), resamples, seed)])
    return _bootstraps(statistic(total[None])[0], draws, statistic(total - sums), len(sums))


def bootstrap_of_counts(statistic: Statistic, clusters: int, resamples: int, seed: int) -> list[Bootstrap]:
    """Resamples statistics that no sums give (AUROC): `statistic` takes how often each cluster stands in the sample.

    Args:
        statistic: counts [draws, clusters] -> [draws, k].

    Returns:
        k distributions, on the draws of `bootstrap_of_sums` with the same seed, so that the two can be paired.
    """
    draws = np.concatenate([statistic(counts) for counts in resampled_counts(clusters, resamples, seed)])
    groups = np.arange(clusters) % JACKKNIFE_GROUPS
    left_out = (groups != np.arange(min(clusters, JACKKNIFE_GROUPS))[:, None]).astype(np.float64)
    return _bootstraps(statistic(np.ones((1, clusters)))[0], draws, statistic(left_out), clusters)


def _bootstraps(values: Floats, draws: Floats, jackknife: Floats, clusters: int) -> list[Bootstrap]:
    return [
        Bootstrap(float(v), _finite(d), _finite(j), clusters)
        for v, d, j in zip(values, draws.T, jackknife.T, strict=True)
    ]


def ratios(totals: Floats) -> Floats:
    """[draws, 2k] = k numerators, then k denominators -> k shares."""
    hits, of = np.split(totals, 2, axis=1)
    return _divide(hits, of)


def macro_f1(totals: Floats) -> Floats:
    """[draws, 3K] = true positives, predicted, labelled of K classes -> mean F1 over classes that occur at all."""
    right, predicted, labelled = np.split(totals, 3, axis=1)
    scores = np.nan_to_num(_divide(2 * right, predicted + labelled))
    return _divide(scores.sum(axis=1, keepdims=True), (predicted + labelled > 0).sum(axis=1, keepdims=True))


def calibration_error(totals: Floats) -> Floats:
    """[draws, 3K] = count, sum of confidences, hits of K bins -> expected calibration error (Guo 2017, eq. 3)."""
    count, confidence, hits = np.split(totals, 3, axis=1)
    return _divide(np.abs(confidence - hits).sum(axis=1, keepdims=True), count.sum(axis=1, keepdims=True))


def bca_interval(bootstrap: Bootstrap, confidence: float) -> tuple[float, float]:
    """Two-sided interval of that confidence, nan with fewer than two clusters: at each end the farther of BCa and
    Student's t, which knows no bounds of the statistic (a share's 0 and 1)."""
    if not _estimable(bootstrap):
        return math.nan, math.nan
    t = float(stdtrit(bootstrap.clusters - 1, (1 + confidence) / 2))
    z, reach = t * math.sqrt(_expansion(bootstrap)), t * standard_error(bootstrap)
    low, high = np.quantile(bootstrap.draws, [bca_level(bootstrap, -z), bca_level(bootstrap, z)])
    return min(float(low), bootstrap.value - reach), max(float(high), bootstrap.value + reach)


def bca_level(bootstrap: Bootstrap, z: float) -> float:
    """The quantile of the draws at which the BCa bound of normal quantile `z` lies (Efron 1987, section 3)."""
    bias, skew = _bias(bootstrap), acceleration(bootstrap.jackknife)
    shifted = bias + z
    return float(ndtr(bias + shifted / max(1 - skew * shifted, 1e-9)))


def p_above(bootstrap: Bootstrap, threshold: float) -> float:
    """One-sided p-value against "the statistic is at most `threshold`": the level at which the lower end touches it.

    Never below 1 / (draws + 1), and 1 where the interval does not exist.
    """
    if not _estimable(bootstrap):
        return 1.0
    beyond = int(np.count_nonzero(bootstrap.draws <= threshold))
    size = len(bootstrap.draws)
    reached = ndtri(min(max((beyond + 1) / (size + 1), 1 / (size + 1)), size / (size + 1)))
    bias, skew = _bias(bootstrap), acceleration(bootstrap.jackknife)
    shifted = (reached - bias) / max(1 + skew * (reached - bias), 1e-9)
    error = standard_error(bootstrap)
    distance = threshold - bootstrap.value
    student = distance / error if error else math.copysign(math.inf, distance)
    nearest = max((shifted - bias) / math.sqrt(_expansion(bootstrap)), student)
    return max(float(stdtr(bootstrap.clusters - 1, nearest)), 1 / (size + 1))


def holm(p_values: ArrayLike) -> Floats:
    """Adjusted p-values (Holm 1979): rejecting those <= alpha makes no false claim in the family with 1 - alpha."""
    p = _column(p_values)
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    result = np.empty_like(p)
    result[order] = np.minimum(adjusted, 1.0)
    return result


def clusters_needed(bootstrap: Bootstrap, total: int, distance: float, alpha: float) -> int | None:
    """How many clusters in all would show a true distance from the threshold, with power .8 at level alpha.

    Normal approximation: n ((z_alpha + z_power) se / distance)^2, where `total` clusters gave the standard error seen.
    Student's t asks for z_alpha^2 / 2 more (Guenther 1981), some three: without them ten have power .62, fifty .77.
    None when the distance is zero: no number would do.
    """
    if distance == 0 or len(bootstrap.draws) < 2:
        return None
    z = ndtri(1 - alpha) + ndtri(POWER)
    return math.ceil(total * (z * float(np.std(bootstrap.draws, ddof=1)) / distance) ** 2)


def clusters_to_see(share: float, alpha: float) -> int:
    """Among how many clusters one of those that make up `share` of all is met with probability 1 - alpha."""
    return math.ceil(math.log(alpha) / math.log1p(-share)) if share < 1 else 1


def acceleration(jackknife: Floats) -> float:
    """Skew of the jackknife influence over six (Efron 1987, section 7); zero where nothing varies."""
    influence = jackknife.mean() - jackknife if len(jackknife) else jackknife
    spread = float(np.sum(influence**2))
    # Differences of equal sums leave rounding dust, which has a skew but no meaning.
    if spread <= len(jackknife) * 1e-30:
        return 0.0
    return float(np.sum(influence**3)) / (6 * spread**1.5)


def standard_error(bootstrap: Bootstrap) -> float:
    """Standard deviation of the draws, expanded for few clusters: that of a mean is s / sqrt(n)."""
    return float(np.std(bootstrap.draws, ddof=1)) * math.sqrt(_expansion(bootstrap))


def _bias(bootstrap: Bootstrap) -> float:
    draws, value = bootstrap.draws, bootstrap.value
    below = (np.count_nonzero(draws < value) + np.count_nonzero(draws <= value)) / 2
    return float(ndtri(min(max(below, 0.5), len(draws) - 0.5) / len(draws)))


def _estimable(bootstrap: Bootstrap) -> bool:
    return bootstrap.clusters > 1 and len(bootstrap.draws) > 1


def _expansion(bootstrap: Bootstrap) -> float:
    return bootstrap.clusters / (bootstrap.clusters - 1)


def _divide(hits: ArrayLike, of: ArrayLike) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.asarray(of) > 0, np.divide(hits, of), np.nan)


def _finite(values: Floats) -> Floats:
    return values[np.isfinite(values)]


def _column(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)
