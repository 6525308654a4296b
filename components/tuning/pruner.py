"""Which candidates stop at a rung: those that another beats in every objective by more than a margin.

Optuna prunes by one number, a campaign has several objectives; so this is successive halving (Jamieson and Talwalkar
2016, "Non-stochastic best arm identification") with dominance in place of a rank: as many stop as are beaten beyond
doubt, none of the front does, and of what stops some survivor is better everywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np


def stopped(
    values: Mapping[int, Sequence[float]], margin: float | Sequence[float], kept: Collection[int]
) -> dict[int, list[int]]:
    """Candidates to stop, each with those that dominate it, in ascending order.

    Args:
        values: candidate -> its objectives at this rung, [objectives], higher is better. Candidates of earlier waves at
            the same rung may stand among them: they dominate too.
        margin: how much more a dominator has in each objective, in its own units; one number or one an objective. An
            objective that is not a number neither dominates nor is dominated.
        kept: candidates that go on whatever dominates them: the default, and those that are not training any more.
    """
    numbers = sorted(values)
    if not numbers:
        return {}
    points = np.array([values[number] for number in numbers], dtype=np.float64)
    ahead = points[None] - points[:, None] > np.asarray(margin, dtype=np.float64)
    behind = np.all(ahead, axis=2)  # [i, j]: j beats i
    return {
        number: [numbers[j] for j in np.flatnonzero(behind[i])]
        for i, number in enumerate(numbers)
        if behind[i].any() and number not in kept
    }
