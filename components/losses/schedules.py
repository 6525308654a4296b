"""A term's weight over training: weight x factor, where the factor is linear between given points."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def factor_at(points: Sequence[tuple[float, float]], progress: float) -> float:
    """The factor at `progress` in [0, 1]: linear between rising (progress, factor) points, constant outside them.

    >>> factor_at([(0.0, 1.0), (0.5, 0.0)], 0.25)
    0.5
    """
    if len(points) == 1:  # nothing depends on progress then, and a compiled loss need not be compiled again for it
        return points[0][1]
    if progress <= points[0][0]:
        return points[0][1]
    for (x0, y0), (x1, y1) in pairwise(points):
        if progress <= x1:
            return y0 + (y1 - y0) * (progress - x0) / (x1 - x0)
    return points[-1][1]
