"""Whether a cheap stage of a campaign ranks candidates as the dear one does, by Spearman's rank correlation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

FEWEST = 4  # candidates; three ranks agree by chance in one of six cases
DIGITS = 4


@dataclass(frozen=True)
class Agreement:
    """How two stages rank the candidates that passed both.

    Attributes:
        spearman: in [-1, 1]; None where fewer than four candidates, or values that are all alike, say nothing.
        count: of candidates compared.
        agrees: not shown to disagree.
        sentence: the same for people.
    """

    spearman: float | None
    count: int
    agrees: bool
    sentence: str


def between(
    cheap: Mapping[int, float],
    dear: Mapping[int, float],
    least: float = 0.5,
    stages: Sequence[str] = ("the screen", "full length"),
) -> Agreement:
    """Compares candidate -> value of two stages, over the candidates that both have.

    Args:
        least: correlation from which on the ranks agree.
        stages: what the two are called in the sentence.
    """
    both = sorted(cheap.keys() & dear.keys())
    found = spearman([cheap[n] for n in both], [dear[n] for n in both]) if len(both) >= FEWEST else None
    first, second = stages
    if found is None:
        why = "all values are alike" if len(both) >= FEWEST else f"at least {FEWEST} are needed"
        text = f"ranks of {first} and {second} cannot be compared over {len(both)} candidates: {why}"
        return Agreement(None, len(both), True, text)
    said = f"Spearman {found:.2f} over {len(both)} candidates"
    if found >= least:
        return Agreement(found, len(both), True, f"ranks of {first} hold at {second}: {said}")
    return Agreement(found, len(both), False, f"ranks of {first} do not hold at {second}: {said}, below {least:g}")


def spearman(a: ArrayLike, b: ArrayLike) -> float | None:
    """Rank correlation of two columns [n], equal values sharing their mean rank; None where a column does not vary."""
    ranks = np.stack([rankdata(a), rankdata(b)])
    if ranks.shape[1] < 2 or (np.ptp(ranks, axis=1) == 0).any():
        return None
    return round(float(np.corrcoef(ranks)[0, 1]), DIGITS)
