"""What serving a candidate costs, held against fixed budgets: milliseconds of one request alone, MB of its files.

Latency is measured now, for candidate and champion in turn in one process, so that a busy machine is busy for both. Its
median is tested by signs (how many requests took longer than the budget), which asks nothing of how times are spread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from components.registry.gate_report import BudgetReport

Floats = NDArray[np.float64]
REPEATS = 60  # requests timed for each model
WARM = 3  # requests before them: caches fill, code compiles
MEGABYTE = 1e6


@dataclass(frozen=True)
class Cost:
    """Measurements of both models: one a request, or a single exact number."""

    name: str
    unit: str
    budget: float
    candidate: Floats
    champion: Floats

    @property
    def exact(self) -> bool:
        """Whether there is nothing to estimate."""
        return len(self.candidate) == 1


def latencies(
    answer: Sequence[Callable[[Any], object]], samples: Sequence[Any], repeats: int = REPEATS
) -> list[Floats]:
    """[repeats] milliseconds of a request alone for each of the models, in turn on the same sample.

    Args:
        answer: of each model, what answers one sample.
        samples: at least one; taken round and round.
    """
    taken: list[list[float]] = [[] for _ in answer]
    for number in range(WARM + repeats):
        sample = samples[number % len(samples)]
        for mine, one in zip(taken, answer, strict=True):
            began = time.perf_counter()
            one(sample)
            mine.append(1000 * (time.perf_counter() - began))
    return [np.array(mine[WARM:]) for mine in taken]


def megabytes(folder: Path) -> Floats:
    """[1] size of all files of a model folder, in 10^6 bytes."""
    return np.array([sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / MEGABYTE])


def budget_tests(cost: Cost) -> tuple[float, float]:
    """p-values of "within the budget" and "over it": a sign test on the median, or certainty for an exact cost."""
    n, over = len(cost.candidate), int(np.count_nonzero(cost.candidate > cost.budget))
    if cost.exact:
        return float(over), float(1 - over)
    return float(bdtr(over, n, 0.5)), float(bdtr(n - over, n, 0.5))


def budget_report(cost: Cost, within: float, over: float, alpha: float, confidence: float, digits: int) -> BudgetReport:
    """The report from p-values that Holm has adjusted."""
    low, high = median_interval(cost.candidate, confidence)
    verdict = "over" if over <= alpha else "within" if within <= alpha else "undecided"
    return BudgetReport(
        name=cost.name,
        unit=cost.unit,
        budget=cost.budget,
        candidate=round(float(np.median(cost.candidate)), digits),
        low=round(low, digits),
        high=round(high, digits),
        champion=round(float(np.median(cost.champion)), digits),
        verdict=verdict,
        p_within=round(within, digits),
        p_over=round(over, digits),
        repeats=len(cost.candidate),
    )


def median_interval(values: Floats, confidence: float) -> tuple[float, float]:
    """The order statistics between which the median lies with at least that confidence, whatever the distribution."""
    ordered, n = np.sort(values), len(values)
    # The most that may lie outside on one side: P(Binomial(n, 1/2) <= k) <= (1 - confidence) / 2.
    outside = int(np.count_nonzero(bdtr(np.arange(n), n, 0.5) <= (1 - confidence) / 2)) - 1
    return float(ordered[max(outside, 0)]), float(ordered[min(n - 1 - outside, n - 1)])
