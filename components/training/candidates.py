"""Several candidates trained as one stack: one forward and one backward pass for all of them.

What each learns is what `loop.train` teaches it alone, from the same batches with the same random numbers, up to the
rounding of batched products. At the rungs some are stopped; their rows leave the tables and the others go on as if they
had never been there. A candidate that diverges fails alone.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from components.data.manifest import verify_once
from components.errors import EquipoiseError
from components.files import sha256_file, sha256_json
from components.losses.composite import Composite, Report
from components.losses.contract import Batch, Outputs
from components.training import checkpoint, ema
from components.training.curves import Curves
from components.training.epoch import steps_left
from components.training.fingerprint import fingerprints
from components.training.finished import remove_finished
from components.training.fit import lanes_at_once
from components.training.interrupt import TrainingInterrupted, stop_requests
from components.training.lanes import Lane, Outcome, check_lanes, fresh_model
from components.training.optimizer import rate_factor
from components.training.precision import autocast, choose_device, choose_precision, reproducible
from components.training.progress import Show, say, shown
from components.training.reach import reached
from components.training.report import summary
from components.training.seeds import seed_everything
from components.training.stacked import Rollout, Stack
from components.training.stacked_loss import StackedLoss
from components.training.together import (
    RESULT,
    Active,
    Say,
    Together,
    finished_result,
    finite,
    record,
    restore,
    save,
    usable_slot,
    write_lane,
    write_result,
)
from components.workload import Workload

Stop = Callable[[int, Mapping[int, Mapping[str, float]]], Mapping[int, Sequence[int]]]


def train_together(
    workload: Workload,
    lanes: Sequence[Lane],
    prepared: Path,
    folder: Path,
    *,
    rungs: Sequence[int],
    stop: Stop,
    device: str | None = None,
    say: Say = say,
) -> dict[int, Outcome]:
    """Trains all lanes at once, going on where an earlier call for the same lanes was stopped or killed.

    Args:
        lanes: as `lanes.Lane` says; `why_not_together` has been asked for one of them.
        prepared: folder that prepare wrote.
        folder: receives for each lane a folder of its number as `train` leaves it, and the state until all is done. A
            lane that ran to its end is found by `train` as its own work; one that was stopped is not.
        rungs: epochs after which `stop` is asked; those from a training's last epoch on are not.
        stop: (epochs, number -> validation metrics of the best epoch so far, of all that were neither stopped nor
            failed) -> number of each lane to stop -> the lanes it is stopped for. It must be a pure function: after a
            kill it may be asked once more.

    Returns:
        The outcome of each lane by its number.

    Raises:
        TrainingInterrupted: after SIGINT or SIGTERM, with the state saved.
        EquipoiseError: E_LANES (78) for lanes that cannot share a stack; E_MISSING (66), E_MANIFEST (65) for the data;
            E_WRITE (73), E_IO (74). What is not finite is its lane's own failure.
    """
    check_lanes(lanes)
    section = lanes[0].section
    with reproducible(section.training.threads), stop_requests() as stop_asked:
        beside, numbers = workload.beside(section, prepared), [lane.number for lane in lanes]
        own = fingerprints(workload.name, [lane.section for lane in lanes], prepared, beside)
        prints = dict(zip(numbers, own, strict=True))
        digest = _fingerprint(prints, rungs)
        if (outcomes := finished_result(folder, digest, prints)) is not None:
            return outcomes
        verify_once(prepared)
        workload.facts(section)  # what the finished models would lack is said before hours of training
        run = start(workload, lanes, prepared, folder, digest, prints, choose_device(device), stop_asked, say)
        _train(run, rungs, stop)
        write_result(run)
        checkpoint.clear(run.resume)
        checkpoint.sweep(folder)
        return run.outcomes


def _train(run: Together, rungs: Sequence[int], stop: Stop) -> None:
    with shown(f"train {run.workload.name} x {len(run.active)}", _share_done(run, 1)) as show:
        while run.active:
            _train_epoch(run, show)
            _validate(run, show)
            _end_epoch(run, rungs, stop)
            save(run)
            _stop_if_asked(run)


def _fingerprint(prints: Mapping[int, str], rungs: Sequence[int]) -> str:
    """Of all lanes' recipes, of the rungs, and of this engine's own code."""
    code = [sha256_file(path) for path in reached([(__name__, "train_together")])]
    return sha256_json({"lanes": [[number, own] for number, own in prints.items()], "rungs": list(rungs), "code": code})


def start(
    workload: Workload,
    lanes: Sequence[Lane],
    prepared: Path,
    folder: Path,
    digest: str,
    prints: Mapping[int, str],
    device: torch.device,
    stop_asked: Callable[[], bool],
    say: Say,
) -> Together:
    """Builds the stack from the seed, then puts back what a checkpoint of these lanes holds."""
    section = lanes[0].section
    model = fresh_model(workload, section, prepared, device)
    active = [
        Active(
            lane=lane,
            fingerprint=prints[lane.number],
            composite=Composite(workload.terms, lane.section.loss),
            curves=Curves(folder / str(lane.number) / "curves.jsonl", True),
        )
        for lane in lanes
    ]
    terms = len(active[0].composite.names)
    run = Together(
        workload=workload,
        section=section,
        prepared=prepared,
        folder=folder,
        fingerprint=digest,
        device=device,
        precision=choose_precision(section.training.precision, device),
        single=copy.deepcopy(model),
        rollout=Rollout(workload, model, section),
        stack=Stack(model, len(lanes)),
        active=active,
        at_once=lanes_at_once(workload, section, prepared, device),
        stop_asked=stop_asked,
        say=say,
        window=torch.zeros(len(lanes), terms + 1, 2, dtype=torch.float64, device=device),
    )
    slot = usable_slot(run)
    checkpoint.sweep(folder)
    if slot is None:
        _clear(run)
        run.arrange()
    else:
        restore(run, slot)
    return run


def _clear(run: Together) -> None:
    """Takes away what an earlier training left, results first."""
    (run.folder / RESULT).unlink(missing_ok=True)
    checkpoint.clear(run.resume)
    for each in run.active:
        remove_finished(run.folder / str(each.lane.number), run.workload.served)
        each.curves.path.parent.mkdir(parents=True, exist_ok=True)
        each.curves.start()


def _train_epoch(run: Together, show: Show) -> None:
    """The optimizer steps of the epoch under way that have not been taken yet, as `loop.train` takes them."""
    settings, position = run.section.training, run.position
    steps, groups = steps_left(run.workload, run.section, run.prepared, position.epoch, position.step_in_epoch)
    while run.active and (group := next(groups, None)):
        progress = _share_done(run, steps) + 0.5 / (steps * settings.epochs)
        norms, factor = take_step(run, group, progress)
        position.step += 1
        position.step_in_epoch += 1
        if position.step % settings.report_every == 0:
            _report(run, progress, norms, factor)
        if position.step % settings.checkpoint_every == 0:
            save(run)
        show(_share_done(run, steps), f"epoch {position.epoch + 1}/{settings.epochs} step {position.step}")
        _stop_if_asked(run)


def _share_done(run: Together, steps: int) -> float:
    return (run.position.epoch + run.position.step_in_epoch / steps) / run.section.training.epochs


def take_step(run: Together, group: list[Batch], progress: float) -> tuple[list[float], float]:
    """One optimizer step of every lane over a group of micro-batches.

    Returns:
        Each lane's gradient norm before clipping, and the share of the full learning rates.
    """
    settings, stack, number = run.section.training, run.stack, run.position.step + 1
    sums = _gradients(run, group, progress)
    norms = stack.norms()
    fine = (norms.isfinite() & sums[:, :-1, 0].isfinite().all(1)).tolist()
    run.window += sums
    run.position.window_steps += 1
    if not all(fine):
        for lane in (i for i, good in enumerate(fine) if not good):
            failure = _why_not_finite(run, lane, group, sums[lane], float(norms[lane]))
            record(run, lane, failure=failure, steps=number)
        kept = [i for i, good in enumerate(fine) if good]
        norms = norms[kept]
        run.keep(kept)
    factor = rate_factor(progress, settings.warmup_share)
    own = [active.lane.section.training for active in run.active]
    rates, decays = (each.learning_rate * factor for each in own), (each.weight_decay for each in own)
    stack.step(number, norms, settings.clip_norm, rates, decays, ema.decay_at(number, settings.ema))
    return norms.tolist(), factor


def _gradients(run: Together, group: list[Batch], progress: float) -> Tensor:
    """Leaves every lane's gradient in the stack; returns what a report window adds up, [K, T + 1, 2]."""
    supervision, place = run.workload.supervision_steps(run.section), (run.section.training.seed, run.position.step)
    whole = StackedLoss([active.composite for active in run.active])
    counts = whole.counts(group, supervision).to(run.device)
    sums = torch.zeros_like(run.window)
    run.stack.gradient.zero_()
    for index, on_cpu in enumerate(group):
        batch = {name: tensor.to(run.device, non_blocking=True) for name, tensor in on_cpu.items()}
        for i, (lanes, leaves, losses) in enumerate(zip(run.runs, run.stack.leaves, run.losses, strict=True)):
            part = slice(lanes.start, lanes.stop)
            seed_everything(*place, index)
            with autocast(run.device, run.precision):
                steps = run.rollout(leaves, batch)
            total = _loss(steps, losses, batch, counts[part], progress, sums[part])
            del steps
            if total.requires_grad:
                run.stack.backward(total, i, lanes)
    return sums


def _loss(
    steps: list[dict[str, Tensor]],
    losses: StackedLoss,
    batch: Batch,
    counts: Tensor,
    progress: float,
    sums: Tensor,
) -> Tensor:
    """The loss of some lanes' supervision steps, a scalar; adds to `sums` what a report window adds up."""
    total = torch.zeros((), device=counts.device)
    for outputs in steps:
        loss, report = losses(outputs, batch, counts, progress)
        total = total + loss
        sums[:, :-1, 0] += report.sums
        sums[:, :-1, 1] += report.numbers
        sums[:, -1, 0] += report.loss
    return total


def _why_not_finite(run: Together, lane: int, group: list[Batch], sums: Tensor, norm: float) -> str:
    """Computes a lane's step once more by itself to name the term and the samples, else the gradient."""
    composite, step = run.active[lane].composite, run.position.step + 1
    run.stack.put(run.stack.parameters, lane, run.single.train())

    def again() -> Iterator[tuple[Outputs, Batch]]:
        for index, on_cpu in enumerate(group):
            batch = {name: tensor.to(run.device) for name, tensor in on_cpu.items()}
            seed_everything(run.section.training.seed, run.position.step, index)
            with autocast(run.device, run.precision):
                yield from ((outputs, batch) for outputs in run.workload.rollout(run.single, batch, run.section))

    report = Report(composite.names, (0.0,) * len(composite.names), sums[:-1, 0], sums[:-1, 1])
    try:
        composite.check_finite(report, step, again())
    except EquipoiseError as error:
        return str(error)
    return f"the gradient's norm at step {step} was {norm}; lower training.learning_rate or look at these samples"


def _report(run: Together, progress: float, norms: list[float], factor: float) -> None:
    for active, sums, norm in zip(run.active, run.window.cpu(), norms, strict=True):
        composite = active.composite
        found = summary(composite.names, composite.factors(progress), sums, run.position.window_steps)
        nested = {"composites": totals} if (totals := composite.totals(found["terms"], progress)) else {}
        rate = active.lane.section.training.learning_rate * factor
        _publish(run, active, {**found, **nested, "gradient_norm": norm, "learning_rate": rate}, progress)
        active.terms = found["terms"]
    run.window.zero_()
    run.position.window_steps = 0


def _publish(run: Together, active: Active, values: Mapping[str, Any], progress: float) -> None:
    line = {"step": run.position.step, "epoch": run.position.epoch + 1, "progress": progress, **values}
    active.curves.append(line)


def _validate(run: Together, show: Show) -> None:
    """Judges every lane's averaged weights on the validation split and keeps them if they are its best so far."""
    position, failed = run.position, []
    progress = (position.epoch + 1) / run.section.training.epochs
    for lane, active in enumerate(run.active):
        run.stack.put(run.stack.average, lane, run.single)
        with torch.no_grad():
            found = run.workload.validate(run.single.eval(), active.lane.section, run.prepared, run.device)
        metrics = finite(found)
        objective = metrics.get("objective", math.nan)
        if not math.isfinite(objective):
            record(run, lane, failure=f"the objective after epoch {position.epoch + 1} is {objective}")
            failed.append(lane)
            continue
        _publish(run, active, {"validation": metrics}, progress)
        if active.best is None or objective > active.best:
            active.best, active.best_epoch, active.stale, active.metrics = objective, position.epoch + 1, 0, metrics
            run.stack.best[lane] = run.stack.average[lane].cpu()
        else:
            active.stale += 1
        show(progress - 1e-6, f"candidate {active.lane.number} validated, objective {objective:.4f}")
    position.epoch += 1
    position.step_in_epoch = 0
    if failed:
        run.keep([lane for lane in range(len(run.active)) if lane not in failed])


def _end_epoch(run: Together, rungs: Sequence[int], stop: Stop) -> None:
    """Ends the lanes that are through, and at a rung those that `stop` names."""
    settings, epoch = run.section.training, run.position.epoch
    through = [i for i, each in enumerate(run.active) if epoch >= settings.epochs or each.stale >= settings.patience]
    for lane in through:
        write_lane(run, lane, record(run, lane))
    going = [i for i in range(len(run.active)) if i not in through]
    if epoch in rungs and going:
        known = {number: outcome.metrics for number, outcome in run.outcomes.items() if _competes(outcome)}
        known |= {run.active[i].lane.number: run.active[i].metrics for i in going}
        stopped = stop(epoch, dict(sorted(known.items())))
        for lane in list(going):
            if dominators := tuple(stopped.get(run.active[lane].lane.number, ())):
                write_lane(run, lane, record(run, lane, dominators=dominators))
                going.remove(lane)
                named = ", ".join(map(str, dominators))
                run.say(f"candidate {run.active[lane].lane.number} stopped after epoch {epoch}: behind {named}")
    if len(going) < len(run.active):
        run.keep(going)


def _competes(outcome: Outcome) -> bool:
    return outcome.failure is None and not outcome.dominators


def _stop_if_asked(run: Together) -> None:
    if run.active and run.stop_asked():
        save(run)
        raise TrainingInterrupted(
            f"Training of {len(run.active)} candidates of {run.workload.name} stopped after step {run.position.step}; "
            f"their state is saved in {run.resume}. Run the same command again to go on"
        )
