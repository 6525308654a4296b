"""All that a training of several candidates holds, and how it goes to disk and comes back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from components.data import strict_json
from components.errors import EquipoiseError
from components.files import write_json
from components.losses.composite import Composite
from components.losses.health import alarms
from components.training import checkpoint
from components.training.curves import Curves
from components.training.fingerprint import numerics
from components.training.finished import card_of, finished_summary, write_finished
from components.training.lanes import Lane, Outcome
from components.training.stacked import KEPT, Rollout, Stack
from components.training.stacked_loss import StackedLoss
from components.workload import Workload

RESULT = "outcomes.json"
Say = Callable[[str], object]


@dataclass
class Active:
    """A lane that still trains: what it has for itself beside its row of the tables."""

    lane: Lane
    fingerprint: str
    composite: Composite
    curves: Curves
    best: float | None = None  # highest objective so far
    best_epoch: int = 0  # counted from 1
    stale: int = 0  # epochs since
    metrics: dict[str, float] = field(default_factory=dict)  # of the best epoch
    terms: dict[str, Any] = field(default_factory=dict)  # as last reported


@dataclass
class Position:
    """Where all lanes stand."""

    step: int = 0
    epoch: int = 0
    step_in_epoch: int = 0
    window_steps: int = 0  # since the last report


@dataclass
class Together:
    """Everything that one training of several candidates holds. Row i of every table is that of `active[i]`."""

    workload: Workload
    section: Any  # the first lane's: what all share
    prepared: Path
    folder: Path
    fingerprint: str
    device: torch.device
    precision: str
    single: nn.Module  # takes one lane's row where a workload wants a model
    rollout: Rollout
    stack: Stack
    active: list[Active]
    at_once: int  # lanes whose forward and backward pass are one
    stop_asked: Callable[[], bool]
    say: Say
    window: Tensor  # [K, T + 1, 2] as report.Window holds one, since the last report
    position: Position = field(default_factory=Position)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    runs: list[range] = field(default_factory=list)
    losses: list[StackedLoss] = field(default_factory=list)
    slot: checkpoint.Slot | None = None

    @property
    def resume(self) -> Path:
        """The folder of the training state."""
        return self.folder / "resume"

    def arrange(self) -> None:
        """Divides the lanes into runs, and says which losses each run has. To be called whenever lanes have changed."""
        self.runs = self.stack.cut(self.at_once) if self.active else []
        self.losses = [StackedLoss([self.active[i].composite for i in run]) for run in self.runs]

    def keep(self, lanes: Sequence[int]) -> None:
        """Drops all other rows."""
        self.active = [self.active[i] for i in lanes]
        self.window = self.window[list(lanes)]
        self.stack.keep(lanes)
        self.arrange()


def save(run: Together) -> None:
    """Writes a checkpoint."""
    state = {
        "fingerprint": run.fingerprint,
        "numerics": numerics(run.device, run.precision),
        "position": asdict(run.position),
        "outcomes": {str(number): asdict(outcome) for number, outcome in run.outcomes.items()},
        "lanes": [_as_state(active) for active in run.active],
    }
    tensors = {name: getattr(run.stack, name) for name in KEPT} | {"window": run.window}
    run.slot = checkpoint.save_slot(run.resume, run.slot, tensors, state)


def usable_slot(run: Together) -> checkpoint.Slot | None:
    """The newest undamaged checkpoint, if it belongs to these lanes, to these numerics and to the curves beside it."""
    slot = checkpoint.newest_slot(run.resume, run.say)
    if slot is None:
        return None
    if slot.state["fingerprint"] != run.fingerprint:
        run.say("data, parameters, candidates or code changed since the last checkpoint: training starts afresh")
        return None
    if slot.state["numerics"] != numerics(run.device, run.precision):
        run.say(f"the last checkpoint was computed with {slot.state['numerics']}: training starts afresh")
        return None
    by_number = {active.lane.number: active for active in run.active}
    for lane in slot.state["lanes"]:
        curves = by_number[lane["number"]].curves
        if not curves.can_return_to(lane["curves"]):
            run.say(f"warning: {curves.path} was changed since the last checkpoint: training starts afresh")
            return None
    return slot


def restore(run: Together, slot: checkpoint.Slot) -> None:
    """Puts tables, position, outcomes and curves back, as `save` found them."""
    run.slot, state = slot, slot.state
    run.position = Position(**state["position"])
    run.outcomes = {int(number): _outcome(values) for number, values in state["outcomes"].items()}
    by_number = {active.lane.number: active for active in run.active}
    run.active = [by_number[lane["number"]] for lane in state["lanes"]]
    for active, kept in zip(run.active, state["lanes"], strict=True):
        active.curves.return_to(kept["curves"])
        for name in ("best", "best_epoch", "stale", "metrics", "terms"):
            setattr(active, name, kept[name])
    for name in KEPT:
        setattr(run.stack, name, slot.tensors[name].to(getattr(run.stack, name).device))
    run.stack.gradient = torch.zeros_like(run.stack.parameters)
    run.window = slot.tensors["window"].to(run.device)
    run.arrange()
    run.say(f"going on at step {run.position.step} with {len(run.active)} candidates")


def record(
    run: Together, lane: int, *, dominators: tuple[int, ...] = (), failure: str | None = None, steps: int | None = None
) -> Outcome:
    """Notes what became of a lane; its row still stands."""
    active, position = run.active[lane], run.position
    taken = position.step if steps is None else steps
    outcome = Outcome(active.metrics, active.terms, taken, position.epoch, dominators, failure)
    run.outcomes[active.lane.number] = outcome
    if failure is not None:
        run.say(f"candidate {active.lane.number} failed: {failure}")
    return outcome


def write_lane(run: Together, lane: int, outcome: Outcome) -> None:
    """A lane's folder as `train` leaves it: the averaged weights of its best epoch and what else serving needs."""
    active = run.active[lane]
    run.stack.put(run.stack.best, lane, run.single)
    found = {
        "steps": outcome.steps,
        "epochs": outcome.rung,
        "best_epoch": active.best_epoch,
        "objective": active.best,
        "metrics": active.metrics,
        "alarms": [alarm.as_row() for alarm in alarms(active.curves.lines(), run.workload.health)],
        "fingerprint": marked(active.fingerprint, outcome),
    }
    active.curves.mark()
    computed = numerics(run.device, run.precision)
    card = card_of(run.workload, active.lane.section, run.single, computed, found)
    folder = run.folder / str(active.lane.number)
    write_finished(folder, run.prepared, run.workload.served, run.single.state_dict(), card, found)


def write_result(run: Together) -> None:
    """What a second call returns, with what it needs to see that nothing was changed since."""
    outcomes = {str(number): asdict(outcome) for number, outcome in run.outcomes.items()}
    write_json(run.folder / RESULT, {"fingerprint": run.fingerprint, "outcomes": outcomes})


def finished_result(folder: Path, fingerprint: str, prints: Mapping[int, str]) -> dict[int, Outcome] | None:
    """The outcomes of a finished training of these very lanes whose models are all undamaged, else None.

    Args:
        prints: fingerprint of each lane's recipe by its number.
    """
    path = folder / RESULT
    if not path.is_file():
        return None
    try:
        document = strict_json.read(path)
        same = document["fingerprint"] == fingerprint
        outcomes = {int(number): _outcome(values) for number, values in document["outcomes"].items()} if same else {}
    except (EquipoiseError, KeyError, TypeError, ValueError):
        return None
    whole = outcomes.keys() == prints.keys() and all(
        outcome.failure is not None or finished_summary(folder / str(number), marked(prints[number], outcome))
        for number, outcome in outcomes.items()
    )
    return outcomes if whole else None


def marked(fingerprint: str, outcome: Outcome) -> str:
    """By what a lane's model is known: like one trained alone if it ran to its end, else by where it was stopped."""
    return f"{fingerprint}, stopped after epoch {outcome.rung}" if outcome.dominators else fingerprint


def _as_state(active: Active) -> dict[str, Any]:
    names = ("best", "best_epoch", "stale", "metrics", "terms")
    kept = {name: getattr(active, name) for name in names}
    return {"number": active.lane.number, "curves": active.curves.mark(), **kept}


def _outcome(values: Mapping[str, Any]) -> Outcome:
    return Outcome(**{**values, "dominators": tuple(values["dominators"])})


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics that are numbers."""
    return {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
