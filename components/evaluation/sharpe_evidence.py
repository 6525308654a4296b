"""How much of a Sharpe ratio is left after the search that found it.

Probabilistic and deflated Sharpe ratio (Bailey and Lopez de Prado 2014, "The Deflated Sharpe Ratio"), probability of
backtest overfitting by combinatorially symmetric cross-validation (Bailey, Borwein, Lopez de Prado and Zhu 2017, "The
Probability of Backtest Overfitting"). Ratios are a day, not annualised.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import kurtosis, rankdata, skew

from components.errors import bad_data
from components.evaluation.performance import daily_sharpe

Floats = NDArray[np.float64]


def expected_maximum(trials: int, variance: float) -> float:
    """SR0: the highest of `trials` Sharpe ratios to be expected where none has skill.

    Args:
        trials: how many were tried; one deflates nothing.
        variance: of the trials' ratios.
    """
    if trials < 2:
        return 0.0
    normal = (1 - np.euler_gamma) * ndtri(1 - 1 / trials) + np.euler_gamma * ndtri(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * float(normal)


def probabilistic_sharpe(ratio: float, days: int, skewness: float, kurtosis_: float, threshold: float) -> float:
    """Probability that the true ratio is above `threshold`, given moments of the returns (3 is a normal kurtosis)."""
    spread = 1 - skewness * ratio + (kurtosis_ - 1) / 4 * ratio**2
    if not spread > 0:  # moments of a handful of days can contradict one another
        return math.nan
    return float(ndtr((ratio - threshold) * math.sqrt(days - 1) / math.sqrt(spread)))


def deflated_sharpe(returns: ArrayLike, trials: int, variance: float | None = None) -> float:
    """Probability that the Sharpe ratio of the returns [T] is above what the best of `trials` without skill would show.

    Args:
        returns: over cash or over a benchmark.
        variance: of the trials' daily ratios; None: what ratios without skill vary by, 1 / (T - 1).

    Returns:
        nan where the returns do not vary.
    """
    values = np.asarray(returns, np.float64)
    ratio = float(daily_sharpe(values))
    if math.isnan(ratio):
        return math.nan
    threshold = expected_maximum(trials, 1 / (len(values) - 1) if variance is None else variance)
    moments = float(skew(values)), float(kurtosis(values, fisher=False))
    return probabilistic_sharpe(ratio, len(values), *moments, threshold)


def overfitting_probability(returns: ArrayLike, parts: int = 16) -> float:
    """How often the series that is best on one half of the days is no better than the median on the other.

    All ways to halve `parts` stretches of days are counted (12,870 for 16), which is exact, not sampled.

    Args:
        returns: [T, k] of all series that were tried on the same days, k >= 2.
        parts: even; fewer are taken where there are not two days a part.

    Returns:
        In [0, 1]; about .5 for series without skill. Series that do not vary have no say; nan where fewer than two
        are left, or fewer than 8 days.

    Raises:
        EquipoiseError: E_EVIDENCE (65) for fewer than two series or an odd number of parts.
    """
    tried = np.asarray(returns, np.float64)
    if tried.ndim != 2 or tried.shape[1] < 2 or parts < 2 or parts % 2:
        raise bad_data(
            "backtest overfitting",
            "needs at least two series and an even number of parts",
            got=f"shape {tried.shape}, {parts} parts",
            hint="Compare all that was tried",
            code="EVIDENCE",
        )
    tried = tried[:, np.isfinite(daily_sharpe(tried))]
    parts = min(parts, len(tried) // 2 // 2 * 2)
    if parts < 4 or tried.shape[1] < 2:
        return math.nan
    edges = np.arange(parts) * len(tried) // parts
    counts = np.diff(np.append(edges, len(tried))).astype(np.float64)
    centred = tried - tried.mean(axis=0)  # so that sums of squares do not cancel
    sums, squares = (np.add.reduceat(values, edges, axis=0) for values in (centred, centred**2))
    halves = np.zeros((math.comb(parts, parts // 2), parts))
    for row, chosen in enumerate(itertools.combinations(range(parts), parts // 2)):
        halves[row, chosen] = 1.0
    inside, outside = (_ratios(side, counts, sums, squares, tried.mean(axis=0)) for side in (halves, 1 - halves))
    judged = np.isfinite(inside).all(axis=1) & np.isfinite(outside).all(axis=1)
    if not judged.any():
        return math.nan
    best = np.argmax(inside[judged], axis=1)
    place = rankdata(outside[judged], axis=1)[np.arange(len(best)), best] / (tried.shape[1] + 1)
    # A series in the very middle is counted half: it is neither above nor below.
    return float(np.mean((place < 0.5) + 0.5 * (place == 0.5)))


def _ratios(side: Floats, counts: Floats, sums: Floats, squares: Floats, shift: Floats) -> Floats:
    """Daily Sharpe ratios [combinations, series] of the days whose parts stand in `side`."""
    days = (side @ counts)[:, None]
    mean = side @ sums / days
    variance = (side @ squares - days * mean**2) / (days - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(variance > 1e-20, (mean + shift) / np.sqrt(np.maximum(variance, 0.0)), np.nan)
