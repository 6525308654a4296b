"""Metrics as functions of sums over samples, so that a value and its interval come from the same code.

Accuracy, precision, recall, F1, macro-F1, Brier score and calibration error depend on the data only through sums of
per-sample parts; AUROC depends on the order of all samples and is drawn as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from components.config import EvaluationConfig
from components.evaluation.statistics import (
    CELLS,
    Bootstrap,
    Interval,
    Statistic,
    bca_interval,
    bootstrap_of_counts,
    bootstrap_of_sums,
    calibration_error,
    cluster_sums,
    interval,
    macro_f1,
    ratios,
)

Floats = NDArray[np.float64]


def class_parts(label: Sequence, prediction: Sequence, classes: Sequence) -> Floats:
    """[S, 3 * C]: per sample (right, predicted, labelled) in the columns of each class.

    Values outside `classes` (None for example) count for no class.
    """
    index = {name: i for i, name in enumerate(classes)}
    parts = np.zeros((len(label), 3, len(index)))
    for row, (true, said) in enumerate(zip(label, prediction, strict=True)):
        if said in index:
            parts[row, 1, index[said]] = 1.0
            parts[row, 0, index[said]] = float(true == said)
        if true in index:
            parts[row, 2, index[true]] = 1.0
    return parts.reshape(len(label), 3 * len(index))


def precision(totals: Floats) -> Floats:
    """[draws, 3] sums of one class's parts -> right / predicted; nan where it is never predicted."""
    return ratios(totals[:, [0, 1]])


def recall(totals: Floats) -> Floats:
    """[draws, 3] -> right / labelled; nan where the class does not occur."""
    return ratios(totals[:, [0, 2]])


def f1(totals: Floats) -> Floats:
    """[draws, 3] -> 2 right / (predicted + labelled), the harmonic mean of precision and recall."""
    return macro_f1(totals)


FROM_0_TO_1 = (precision, recall, f1, macro_f1, calibration_error)  # what no end of an interval may leave


def mean(totals: Floats) -> Floats:
    """[draws, 2] -> sum / count of a quantity that is not a share, so that its bounds are not those of one."""
    return ratios(totals)


def with_count(values: NDArray) -> NDArray:
    """[S] -> [S, 2] parts of `mean`: each value and a one."""
    return np.stack([values, np.ones_like(values)], axis=1)


def minus(statistic: Statistic, width: int) -> Statistic:
    """[draws, 2 * width] -> the statistic of the first columns less that of the others: two models on one draw."""
    return lambda totals: statistic(totals[:, :width]) - statistic(totals[:, width:])


def auroc(label: ArrayLike, probability: ArrayLike) -> float:
    """AUROC of all samples, [S] each (see `auroc_of_counts`); nan where one of the classes is missing."""
    one = np.zeros(np.asarray(label).shape, np.intp)
    return float(auroc_of_counts(label, probability, one, 1)(np.ones((1, 1)))[0, 0])


def auroc_of_counts(label: ArrayLike, score: ArrayLike, codes: NDArray[np.intp], clusters: int) -> Statistic:
    """AUROC as a function of how often each cluster is drawn: counts [draws, clusters] -> [draws, 1].

    The probability that a positive is ranked above a negative, ties counting half (Mann-Whitney U / (P N)); nan where
    one of the classes is missing.

    Args:
        label, score: [n], 1 for positive.
        codes: [n] each sample's cluster, 0 .. clusters - 1.
    """
    positive, ranks = np.asarray(label) == 1, np.unique(np.asarray(score), return_inverse=True)[1]
    shape = (int(ranks.max(initial=-1)) + 1, clusters)
    up, down = (
        csr_array((np.ones(int(mask.sum())), (ranks[mask], codes[mask])), shape=shape) for mask in (positive, ~positive)
    )

    def some(counts: Floats) -> Floats:
        above, below = up @ counts.T, down @ counts.T
        pairs = above.sum(axis=0) * below.sum(axis=0)
        wins = (above * (np.cumsum(below, axis=0) - 0.5 * below)).sum(axis=0)
        return ratios(np.column_stack([wins, pairs]))

    rows = max(1, CELLS // max(1, shape[0]))
    return lambda counts: np.concatenate([some(counts[i : i + rows]) for i in range(0, len(counts), rows)])


def value_of(parts: Floats, statistic: Statistic) -> float:
    """The statistic of all samples together."""
    return float(statistic(parts.sum(axis=0, keepdims=True))[0, 0])


def interval_of(parts: Floats, clusters: ArrayLike, statistic: Statistic, settings: EvaluationConfig) -> Interval:
    """Value and interval of a statistic of sums, whole clusters being drawn again.

    Args:
        parts: [S, K] per sample.
        clusters: [S] names of the clusters.
        statistic: [draws, K] -> [draws, 1]; `ratios` means a share, which has exact bounds where nothing varies.
    """
    if statistic is ratios:
        return interval(parts[:, 0], parts[:, 1], clusters, settings.resamples, settings.confidence, settings.seed)
    found = bootstrap_of_sums(cluster_sums(parts, clusters), statistic, settings.resamples, settings.seed)[0]
    least, most = (0.0, 1.0) if statistic in FROM_0_TO_1 else (-math.inf, math.inf)
    return _interval(found, settings.confidence).within(least, most)


def interval_of_auroc(
    label: ArrayLike, probability: ArrayLike, clusters: ArrayLike, settings: EvaluationConfig
) -> Interval:
    """Value and interval of AUROC, on the same draws."""
    names, codes = np.unique(np.asarray(clusters), return_inverse=True)
    statistic = auroc_of_counts(label, probability, codes, len(names))
    found = bootstrap_of_counts(statistic, len(names), settings.resamples, settings.seed)[0]
    return _interval(found, settings.confidence).within(0.0, 1.0)


def _interval(found: Bootstrap, confidence: float) -> Interval:
    if math.isnan(found.value):
        return Interval(math.nan, math.nan, math.nan)
    return Interval(found.value, *bca_interval(found, confidence))
