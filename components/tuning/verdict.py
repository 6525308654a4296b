"""Is the best candidate better than the defaults? One seed each, so the answer is modest.

Both models are scored as they would be served, on the validation split, and compared on the same samples by bootstrap
over the gate's clusters. The rule: the best candidate counts as better only when it is ahead in every objective by more
than half of the interval of that difference. The interval knows nothing of seeds, nor that the best of many was picked
on this very split, which is why even then the answer is to retrain and let the gate judge on the test split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.evaluation.statistics import paired_difference
from components.tuning.trial import Candidate
from components.workload import Workload

SPLIT = "validation"


@dataclass(frozen=True)
class Compared:
    """An objective of best and default on the same samples: best - default, and half the width of its interval.

    `half` is None where the workload has no per-sample scores of the objective: nothing can then be shown.
    """

    objective: str
    difference: float
    half: float | None

    @property
    def ahead(self) -> bool:
        return self.half is not None and self.difference > self.half

    @property
    def behind(self) -> bool:
        return self.half is not None and self.difference < -self.half


def compare(workload: Workload, section: Any, prepared: Path, folder: Path, best: Candidate, default: Candidate,
            objectives: Sequence[str]) -> list[Compared]:  # fmt: skip
    """Scores both candidates' models in `folder`/<number> on validation; nothing to do when they are the same.

    Returns:
        one entry an objective; an empty list when the default is the best.
    """
    if best.number == default.number:
        return []
    samples = list(workload.samples(prepared, SPLIT))
    tables = [
        workload.score(samples, workload.load(folder / str(each.number)).predict(samples)) for each in (best, default)
    ]
    found, settings = [], section.evaluation
    for name in objectives:
        columns = (f"{name}/hit", f"{name}/of")
        if not set(columns) <= set(tables[0].columns):
            found.append(Compared(name, best.objectives[name] - default.objectives[name], None))
            continue
        (hit_a, of_a), (hit_b, of_b) = [[table[column].to_numpy() for column in columns] for table in tables]
        clusters = tables[0][section.gate.cluster].to_numpy()
        pair = paired_difference(hit_a, of_a, hit_b, of_b, clusters, settings.resamples, settings.confidence,
                                 settings.seed)  # fmt: skip
        half = (pair.high - pair.low) / 2
        found.append(Compared(name, pair.difference, half if half == half else None))
    return found


def sentence(compared: Sequence[Compared], best: Candidate, count: int) -> str:
    """The verdict on the best of `count` candidates, in one sentence."""
    if not compared:
        return f"keep the defaults: none of {count} candidates has a higher mean objective"
    if all(each.ahead for each in compared):
        return (
            f"better: candidate {best.number} of {count} beats the defaults in every objective by more than half its "
            "interval on validation, with one seed each; retrain with it and let the gate judge"
        )
    ahead = [each.objective for each in compared if each.ahead]
    behind = [each.objective for each in compared if each.behind]
    if ahead and behind:
        return (
            f"trade-off: candidate {best.number} of {count} is ahead in {', '.join(ahead)} and behind in "
            f"{', '.join(behind)}, with one seed each; keep the defaults unless the former matters more"
        )
    return (
        f"within noise: keep the defaults; candidate {best.number} of {count} is not ahead in every objective by more "
        "than half its interval on validation, and each candidate has one seed"
    )
