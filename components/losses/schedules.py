"""A term's weight over training: weight x factor, where the factor is linear between given points."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence


def factor_at(points: Sequence[tuple[float, float]], progress: float) -> float:
    """The factor at `progress` in [0, 1]: linear between (progress, factor) points, constant outside them.

    >>> factor_at([(0.0, 1.0), (0.5, 0.0)], 0.25)
    0.5
    """
    right = bisect_right([at for at, _ in points], progress)
    if right == 0:
        return float(points[0][1])
    if right == len(points):
        return float(points[-1][1])
    (x0, y0), (x1, y1) = points[right - 1], points[right]
    return float(y0 + (y1 - y0) * (progress - x0) / (x1 - x0))
