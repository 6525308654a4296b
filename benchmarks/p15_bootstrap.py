"""P15: the gate's bootstrap, 10,000 draws x 10 heads x 50,000 samples, against scipy.stats.bootstrap. Goal: 20x.

Ours draws whole conversations and judges all heads with one matrix product; SciPy is given the same sums per
conversation, which spares it four fifths of its work, and is called once per head. It is timed on fewer draws, since
its time is proportional to them, and scaled up. Both give the interval of the paired difference of two shares.

    python -m benchmarks.p15_bootstrap
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from benchmarks.harness import Result, alternate, report
from components.evaluation.statistics import cluster_sums, paired_differences

HEADS, SAMPLES, TURNS, DRAWS = 10, 50_000, 5, 10_000
THEIR_DRAWS = 50  # per call of SciPy
GOAL = 20.0


def scores(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Hits of two models [samples, heads], what they are of, and the conversation of each sample."""
    rng = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(SAMPLES // TURNS), TURNS)
    ease = rng.beta(6, 2, size=(SAMPLES // TURNS, HEADS))[clusters]
    hit_a, hit_b = (rng.random((SAMPLES, HEADS)) < ease + gain for gain in (0.01, 0.0))
    of = (rng.random((SAMPLES, HEADS)) < np.linspace(0.3, 1, HEADS)).astype(float)
    return hit_a * of, hit_b * of, of, clusters


def ours(data: tuple[np.ndarray, ...], draws: int = DRAWS) -> list[tuple[float, float]]:
    hit_a, hit_b, of, clusters = data
    found = paired_differences(hit_a, of, hit_b, of, clusters, draws, 0.95, 1)
    return [(pair.low, pair.high) for pair in found]


def theirs(sums: np.ndarray, draws: int) -> tuple[float, float]:
    """One head, [conversations, 3] sums of hits of a, of b, and of what they are of; BCa as ours."""

    def difference(a: np.ndarray, b: np.ndarray, of: np.ndarray, axis: int = -1) -> np.ndarray:
        return (a.sum(axis=axis) - b.sum(axis=axis)) / of.sum(axis=axis)

    found = stats.bootstrap(
        tuple(sums.T),
        difference,
        paired=True,
        n_resamples=draws,
        method="percentile",  # BCa would add its jackknife, a fixed cost that must not be scaled up with the draws
        batch=25,
        rng=np.random.default_rng(1),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def main() -> None:
    """Checks that the intervals agree, times both, prints the line."""
    data = scores(1)
    hit_a, hit_b, of, clusters = data
    head = cluster_sums(np.column_stack([hit_a[:, -1], hit_b[:, -1], of[:, -1]]), clusters)
    low, high = ours(data, 1_000)[-1]
    their_low, their_high = theirs(head, 1_000)
    tolerance = 0.15 * (high - low)  # of two independent runs of 1,000 draws
    agree = abs(low - their_low) < tolerance and abs(high - their_high) < tolerance
    if not agree:
        raise SystemExit(f"the intervals disagree: ours [{low}, {high}], SciPy's [{their_low}, {their_high}]")
    mine, scipys = alternate(lambda: ours(data), lambda: theirs(head, THEIR_DRAWS), rounds=5)
    their_seconds = scipys.median * HEADS * DRAWS / THEIR_DRAWS
    report(
        Result(
            name="P15 gate bootstrap vs scipy.stats.bootstrap",
            ratio=their_seconds / mine.median,
            goal=f">= {GOAL:g}x",
            passed=their_seconds / mine.median >= GOAL,
            ours=mine.median,
            theirs=their_seconds,
            unit="CPU s",
            note=f"{DRAWS} draws x {HEADS} heads x {SAMPLES} samples in {SAMPLES // TURNS} conversations; SciPy timed "
            f"on {THEIR_DRAWS} draws of one head's sums per conversation (percentile, no jackknife) and scaled",
        )
    )


if __name__ == "__main__":
    main()
