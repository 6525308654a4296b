"""The stationary bootstrap for series whose days hang together, and Hansen's test of superior predictive ability.

Both come from `arch`. Draws are handed on as the same record as those of conversations, so that intervals and tests
are computed by the one code in `statistics`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from components.evaluation.statistics import JACKKNIFE_GROUPS, Bootstrap

Floats = NDArray[np.float64]


def block_length(series: ArrayLike, minimum: float = 1.0) -> float:
    """Mean block length in days: the longest that the columns ask for (Politis and White 2004, corrected 2009).

    Args:
        series: [T] or [T, k]; columns in which nothing varies have no say.
        minimum: what is known beforehand, for example the horizon over which decisions overlap.

    Returns:
        Between `minimum` and T / 4, so that at least some four blocks remain.
    """
    from arch.bootstrap import optimal_block_length

    columns = np.atleast_2d(np.asarray(series, np.float64).T).T
    most = max(1.0, len(columns) / 4)
    varying = [column for column in columns.T if _varies(column)]
    if len(columns) < 8 or not varying:
        return min(max(1.0, minimum), most)
    asked = optimal_block_length(np.stack(varying, axis=1))["stationary"].to_numpy()
    found = float(np.nanmax(asked, initial=1.0))
    return min(max(1.0, minimum, found), most)


def stationary_bootstrap(
    series: ArrayLike, statistic: Callable[[Floats], ArrayLike], block: float, resamples: int, seed: int
) -> list[Bootstrap]:
    """Resamples statistics of a series in blocks of random length (Politis and Romano 1994), whole rows together.

    Args:
        series: [T, k] one row a day.
        statistic: rows [any, k] -> [m] numbers.
        block: mean length in days.

    Returns:
        m distributions; `clusters` is how many blocks the series holds. The jackknife leaves out a block at a time.
    """
    from arch.bootstrap import StationaryBootstrap

    rows = np.asarray(series, np.float64)
    sampler = StationaryBootstrap(cast(Any, block), rows, seed=seed)  # typed int, but a mean length need not be whole
    draws = sampler.apply(lambda drawn: np.atleast_1d(np.asarray(statistic(drawn), np.float64)), resamples)
    blocks = max(1, math.ceil(len(rows) / block))
    group = np.arange(len(rows)) * min(blocks, JACKKNIFE_GROUPS) // max(1, len(rows))
    left_out = np.array([np.atleast_1d(statistic(rows[group != g])) for g in range(int(group.max(initial=0)) + 1)])
    value = np.atleast_1d(np.asarray(statistic(rows), np.float64))
    return [
        Bootstrap(float(v), _finite(d), _finite(j), blocks) for v, d, j in zip(value, draws.T, left_out.T, strict=True)
    ]


def superior_ability(benchmark: ArrayLike, models: ArrayLike, block: float, resamples: int, seed: int) -> float:
    """Hansen's (2005) consistent p-value against "no model has a higher mean return than the benchmark".

    Args:
        benchmark: [T] returns.
        models: [T, k] returns of everything that was tried; series equal to the benchmark have no say.

    Returns:
        1 where no model differs from the benchmark; never below 1 / (resamples + 1).
    """
    from arch.bootstrap import SPA

    base, tried = np.asarray(benchmark, np.float64), np.asarray(models, np.float64)
    differing = [column for column in tried.T if _varies(column - base)]
    if not differing:
        return 1.0
    # The test is about losses, which are returns with the sign turned.
    test = SPA(-base, -np.stack(differing, axis=1), block_size=max(1, round(block)), reps=resamples, seed=seed)
    test.compute()
    return max(float(np.asarray(test.pvalues["consistent"])), 1 / (resamples + 1))


def _varies(column: Floats) -> bool:
    return bool(np.ptp(column) > 1e-14)


def _finite(values: Floats) -> Floats:
    return values[np.isfinite(values)]
