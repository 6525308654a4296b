"""All that one training holds, and how it goes to disk and comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from components.losses.balancing import Balancer
from components.losses.composite import Composite
from components.training import checkpoint, ema
from components.training.curves import Curves
from components.training.distributed import Ranks, sum_over_ranks
from components.training.fingerprint import numerics
from components.training.progress import say
from components.training.report import Window
from components.training.watch import Watch
from components.workload import Workload


@dataclass
class Position:
    """Where a run stands; all of it goes into a checkpoint."""

    step: int = 0  # optimizer steps taken
    epoch: int = 0  # epochs finished and validated
    step_in_epoch: int = 0  # optimizer steps taken in the epoch under way
    best: float | None = None  # highest objective so far
    best_epoch: int = 0  # counted from 1
    stale: int = 0  # epochs since
    metrics: dict[str, float] = field(default_factory=dict)  # of the best epoch


@dataclass
class Run:
    """Everything one training holds."""

    workload: Workload
    section: Any
    prepared: Path
    folder: Path
    fingerprint: str
    device: torch.device
    precision: str
    ranks: Ranks
    model: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    composite: Composite
    balancer: Balancer | None
    window: Window
    curves: Curves
    watch: Watch
    stop_asked: Callable[[], bool]
    on_report: Callable[[Mapping[str, Any]], object] | None
    position: Position = field(default_factory=Position)
    best: dict[str, Tensor] = field(default_factory=dict)
    slot: checkpoint.Slot | None = None

    @property
    def resume(self) -> Path:
        """The folder of the training state."""
        return self.folder / "resume"

    @cached_property
    def parameters(self) -> list[nn.Parameter]:
        """What the optimizer moves, in the order of the modules."""
        return [p for p in self.model.parameters() if p.requires_grad]

    @cached_property
    def averaged(self) -> ema.Pairs:
        """The average beside what it averages."""
        return ema.pairs(self.average, self.model)


def usable_slot(run: Run) -> checkpoint.Slot | None:
    """The newest undamaged checkpoint, if it belongs to this recipe, to these numerics and to the curves beside it."""
    tell = say if run.ranks.leads else (lambda text: None)
    slot = checkpoint.newest_slot(run.resume, tell)
    if slot is None:
        return None
    if slot.state["fingerprint"] != run.fingerprint:
        tell("data, parameters or code changed since the last checkpoint: training starts afresh")
        return None
    if slot.state["numerics"] != numerics(run.device, run.precision):
        tell(f"the last checkpoint was computed with {slot.state['numerics']}: training starts afresh")
        return None
    if not run.curves.can_return_to(slot.state["curves"]):
        tell(f"warning: {run.curves.path} was changed since the last checkpoint: training starts afresh")
        return None
    return slot


def restore(run: Run, slot: checkpoint.Slot) -> None:
    """Puts a checkpoint's tensors, generators, position, report window and curves back, as `save` found them."""
    run.slot = slot
    run.model.load_state_dict(checkpoint.under("model", slot.tensors))
    run.average.load_state_dict(checkpoint.under("average", slot.tensors))
    checkpoint.restore_optimizer(run.optimizer, run.model, checkpoint.under("optimizer", slot.tensors))
    checkpoint.restore_random_state(checkpoint.under("random", slot.tensors), slot.state["random"])
    if run.balancer is not None:
        run.balancer.restore(checkpoint.under("balancer", slot.tensors))
    run.best = checkpoint.under("best", slot.tensors)
    run.position = Position(**slot.state["position"])
    window = slot.tensors["window"] if run.ranks.leads else torch.zeros_like(run.window.sums)
    run.window.restore(window, slot.state["window_steps"])
    run.curves.return_to(slot.state["curves"])
    if run.ranks.leads:
        run.watch.recall(run.curves.lines())
        say(f"going on at step {run.position.step}, epoch {run.position.epoch + 1}")


def save(run: Run) -> None:
    """Writes a checkpoint. The report window of all ranks is gathered into rank 0's."""
    gathered = sum_over_ranks(run.window.sums.clone(), run.ranks)
    run.window.restore(gathered if run.ranks.leads else torch.zeros_like(gathered), run.window.steps)
    if not run.ranks.leads:
        return
    random_tensors, random_plain = checkpoint.random_state()
    tensors = {
        **checkpoint.prefixed("model", run.model.state_dict()),
        **checkpoint.prefixed("average", run.average.state_dict()),
        **checkpoint.prefixed("optimizer", checkpoint.optimizer_tensors(run.optimizer, run.model)),
        **checkpoint.prefixed("balancer", run.balancer.state() if run.balancer is not None else {}),
        **checkpoint.prefixed("best", run.best),
        **checkpoint.prefixed("random", random_tensors),
        "window": gathered,
    }
    state = {
        "fingerprint": run.fingerprint,
        "numerics": numerics(run.device, run.precision),
        "position": asdict(run.position),
        "window_steps": run.window.steps,
        "curves": run.curves.mark(),
        "random": random_plain,
    }
    run.slot = checkpoint.save_slot(run.resume, run.slot, tensors, state)
