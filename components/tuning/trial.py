"""One candidate: trained in a folder of its own, from its checkpoint where there is one, and what came out of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import misconfigured
from components.training.loop import train
from components.tuning.nearest import nearest_hint
from components.workload import Workload


@dataclass(frozen=True)
class Candidate:
    """A finished candidate.

    Attributes:
        number: of its trial in the study; 0 has the default weights.
        weights: key -> value of every number in the space.
        objectives: name -> value on validation, higher is better; empty when training failed.
        metrics: all validation metrics of the best epoch.
        terms: the loss terms as the training last reported them.
        cpu_seconds: of the attempts that came to an end; what a kill cut off is not known.
        failure: why training failed, or None.
        stopped: {"rung": epochs, "dominators": numbers} where others were so far ahead that it was stopped early.
        place: of its model in the campaign's folder; one that was stopped may have left none.
        feasible: whether no head of the gate lies below the champion's by more than its margin, and it was not stopped.
    """

    number: int
    weights: Mapping[str, float]
    objectives: Mapping[str, float]
    metrics: Mapping[str, float]
    terms: Mapping[str, Any]
    steps: int
    cpu_seconds: float
    failure: str | None = None
    stopped: Mapping[str, Any] | None = None
    feasible: bool = True
    place: str = ""

    @property
    def mean(self) -> float:
        """The mean of the objectives, by which the best candidate is chosen."""
        return sum(self.objectives.values()) / len(self.objectives)


@dataclass(frozen=True)
class Trained:
    """What training a candidate gave: validation metrics of its best epoch, last report of the terms, steps.

    `rung` and `dominators`: after how many epochs it was stopped, and by whom; None for one that trained to its end.
    `place`: of the model, in the campaign's folder.
    """

    metrics: dict[str, float]
    terms: dict[str, Any]
    steps: int
    rung: int | None = None
    dominators: tuple[int, ...] = ()
    place: str = ""


class _Stopped(Exception):
    """Ends a training at a rung."""

    def __init__(self, rung: int, dominators: tuple[int, ...]) -> None:
        super().__init__(f"stopped after epoch {rung}")
        self.rung, self.dominators = rung, dominators


Ahead = Callable[[int, Mapping[str, float]], Sequence[int]]  # (rung, metrics) -> candidates that are too far ahead


def run_trial(
    workload: Workload,
    section: Any,
    prepared: Path,
    folder: Path,
    device: str | None,
    rungs: Sequence[int] = (),
    ahead: Ahead | None = None,
) -> Trained:
    """Trains a candidate to its end, or takes up the result where an earlier call had finished training.

    Args:
        rungs: epochs after which `ahead` is asked whether others are so far ahead that this one stops; the same answer
            is expected when the same rung is reached again after a kill.

    Raises:
        TrainingInterrupted: on ctrl-C, after the state was saved.
        EquipoiseError: what training reports; E_NONFINITE (65) is the candidate's own failure.
    """
    curves = folder / "curves.jsonl"

    def judge(line: Mapping[str, Any]) -> None:
        if "validation" in line and line["epoch"] in rungs and ahead is not None:
            dominators = tuple(ahead(line["epoch"], best_so_far(curves)[0]))
            if dominators:
                raise _Stopped(line["epoch"], dominators)

    try:
        summary = train(workload, section, prepared, folder, device=device, on_report=judge)
    except _Stopped as end:
        metrics, steps = best_so_far(curves)
        return Trained(metrics, last_terms(curves), steps, end.rung, end.dominators, folder.name)
    return Trained(summary["metrics"], last_terms(curves), summary["steps"], place=folder.name)


def best_so_far(curves: Path) -> tuple[dict[str, float], int]:
    """Validation metrics of the best epoch in curves.jsonl, and the steps taken by its end; it holds one at least."""
    with curves.open(encoding="utf-8") as lines:
        found = [line for line in map(json.loads, lines) if "validation" in line]
    return max((line["validation"] for line in found), key=lambda each: each["objective"]), found[-1]["step"]


def objectives_of(name: str, metrics: Mapping[str, float], objectives: Sequence[str]) -> dict[str, float]:
    """The objectives among the validation metrics.

    Raises:
        EquipoiseError: E_CONFIG_KEY (78) for one that validation does not give, with the nearest.
    """
    for wanted in objectives:
        if wanted not in metrics:
            place, hint = f"params.yaml: {name}.tuning.objectives", nearest_hint(wanted, metrics)
            raise misconfigured(place, "no such validation metric", got=wanted, hint=hint, code="CONFIG_KEY")
    return {wanted: metrics[wanted] for wanted in objectives}


def last_terms(curves: Path) -> dict[str, Any]:
    """The loss terms of the last report in curves.jsonl; empty where training was too short for a report."""
    found: dict[str, Any] = {}
    with curves.open(encoding="utf-8") as lines:
        for line in lines:
            found = json.loads(line).get("terms", found)
    return found


class Stopwatch:
    """CPU seconds of this process since it was made."""

    def __init__(self) -> None:
        self._began = time.process_time()

    def seconds(self) -> float:
        """CPU seconds since then, to the millisecond."""
        return round(time.process_time() - self._began, 3)
