"""The story of one training run, for every workload: seed, build, resume, step, report, validate, keep the best."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from components.data.manifest import verify_once
from components.errors import EquipoiseError, Exit
from components.losses.balancing import balancer
from components.losses.composite import Composite, Report
from components.losses.contract import Batch
from components.losses.gradient_panel import GradientPanel
from components.losses.health import as_text
from components.training import checkpoint, ema, optimizer
from components.training.curves import Curves
from components.training.distributed import (
    Ranks,
    check_divisible,
    from_leader,
    joined,
    sum_over_ranks,
    wait_for_all,
)
from components.training.epoch import steps_left
from components.training.fingerprint import fingerprint, numerics
from components.training.finished import card_of, finished_summary, remove_finished, write_finished
from components.training.interrupt import TrainingInterrupted, stop_requests
from components.training.precision import choose_device, choose_precision, compile_blocks, reproducible
from components.training.progress import Show, say, shown
from components.training.report import Window, panel_due
from components.training.seeds import seed_everything
from components.training.state import Run, restore, save, usable_slot
from components.training.step import counts_of, panel_of, rollouts, take_gradients, teach_balancer
from components.training.watch import Watch
from components.workload import Workload


def train(
    workload: Workload,
    section: Any,
    prepared: Path,
    folder: Path,
    *,
    device: str | None = None,
    on_report: Callable[[Mapping[str, Any]], object] | None = None,
) -> dict[str, Any]:
    """Trains a workload's model into `folder`, going on where an earlier call of the same recipe was stopped or killed.

    Args:
        section: the workload's part of params.yaml.
        prepared: folder that prepare wrote.
        folder: receives model.safetensors (averaged weights of the best epoch), model.json, vocabularies, curves.jsonl
            and, until training has finished, resume/.
        device: torch device name; None takes a GPU where there is one.
        on_report: called with every line of curves.jsonl, on rank 0.

    Returns:
        {"ran", "steps", "epochs", "best_epoch", "objective", "metrics", "alarms", "fingerprint"}; ran is False when
        there was nothing left to do.

    Raises:
        TrainingInterrupted: after SIGINT or SIGTERM, with the state saved.
        EquipoiseError: E_NONFINITE (65) at the first loss or gradient that is not finite; E_MISSING (66), E_MANIFEST
            (65) for the data; E_WRITE (73), E_IO (74).
    """
    settings = section.training
    with (
        reproducible(settings.threads),
        joined(choose_device(device)) as (ranks, place),
        stop_requests() as stop_asked,
    ):
        check_divisible(settings.accumulate, ranks)
        digest = fingerprint(workload.name, section, prepared, workload.beside(section, prepared))
        summary = finished_summary(folder, digest)
        if summary is not None:
            _tidy(folder, ranks)
            return {**summary, "ran": False}
        verify_once(prepared)
        workload.facts(section)  # what the finished model would lack is said before hours of training
        run = _start(workload, section, prepared, folder, digest, place, ranks, stop_asked, on_report)
        with shown(f"train {workload.name}", _share_done(run, 1), quiet=not ranks.leads) as show:
            while run.position.epoch < settings.epochs and run.position.stale < settings.patience:
                _train_epoch(run, show)
                _validate(run, show)
                save(run)
                _stop_if_asked(run)
        return {**_finish(run), "ran": True}


def _start(
    workload: Workload,
    section: Any,
    prepared: Path,
    folder: Path,
    digest: str,
    device: torch.device,
    ranks: Ranks,
    stop_asked: Callable[[], bool],
    on_report: Callable[[Mapping[str, Any]], object] | None,
) -> Run:
    """Builds model, average and optimizer from the seed, then puts back what a checkpoint of this recipe holds."""
    settings = section.training
    composite = Composite(workload.terms, section.loss)
    seed_everything(settings.seed, "build")
    model = workload.build(section, prepared).to(device)
    average = copy.deepcopy(model).eval().requires_grad_(False)
    if settings.compile:
        compile_blocks(model)
    run = Run(
        workload=workload,
        section=section,
        prepared=prepared,
        folder=folder,
        fingerprint=digest,
        device=device,
        precision=choose_precision(settings.precision, device),
        ranks=ranks,
        model=model,
        average=average,
        optimizer=optimizer.adamw(model, settings.learning_rate, settings.weight_decay),
        composite=composite,
        balancer=balancer(settings.balancer, composite.weighted),
        window=Window(composite.names, device),
        curves=Curves(folder / "curves.jsonl", ranks.leads),
        watch=Watch(workload.health),
        stop_asked=stop_asked,
        on_report=on_report,
    )
    slot = usable_slot(run)
    wait_for_all(ranks)  # nobody writes before everybody has read
    if ranks.leads:
        checkpoint.sweep(folder)
    if slot is None:
        if ranks.leads:
            checkpoint.clear(run.resume)
            remove_finished(folder, workload.served)
            folder.mkdir(parents=True, exist_ok=True)
        run.curves.start()
    else:
        restore(run, slot)
    return run


def _train_epoch(run: Run, show: Show) -> None:
    """The optimizer steps of the epoch under way that have not been taken yet.

    Schedules are read in the middle of a step: the first learning rate is above 0 and so is the last.
    """
    settings, position = run.section.training, run.position
    steps, groups = steps_left(run.workload, run.section, run.prepared, position.epoch, position.step_in_epoch)
    run.model.train()
    for group in groups:
        progress = _share_done(run, steps) + 0.5 / (steps * settings.epochs)
        left, first = steps - position.step_in_epoch - 1, position.epoch == 0
        due = panel_due(position.step + 1, left, first, settings.report_every, len(run.composite.names))
        panel = panel_of(run, group, progress) if due else None
        norm, rate = _take_step(run, group, progress)
        position.step += 1
        position.step_in_epoch += 1
        if position.step % settings.report_every == 0:
            _report(run, progress, norm, rate, panel)
        if position.step % settings.checkpoint_every == 0:
            save(run)
        show(_share_done(run, steps), f"epoch {position.epoch + 1}/{settings.epochs} step {position.step}")
        _stop_if_asked(run)


def _share_done(run: Run, steps: int) -> float:
    """Progress in [0, 1]. Epochs count alike, however many steps each has."""
    return (run.position.epoch + run.position.step_in_epoch / steps) / run.section.training.epochs


def _take_step(run: Run, group: list[Batch], progress: float) -> tuple[Tensor, float]:
    """One optimizer step over a group of micro-batches, of which this rank computes its share.

    Every rank holds the whole group, so the counts that losses are divided by need no message.

    Returns:
        The gradient norm before clipping and the learning rate.
    """
    settings = run.section.training
    counts = counts_of(run, group, run.ranks.world)
    run.optimizer.zero_grad(set_to_none=True)
    loss, total = take_gradients(run, group, counts, progress)
    run.window.steps += 1
    if total is not None:
        run.window.add(loss, total)
    norm = optimizer.gradient_norm(run.parameters)
    finite = torch.isfinite(norm) if total is None else torch.isfinite(norm) & torch.isfinite(total.sums).all()
    if not finite:
        _refuse_not_finite(run, group, total, norm)
    optimizer.clip(run.parameters, norm, settings.clip_norm)
    rate = settings.learning_rate * optimizer.rate_factor(progress, settings.warmup_share)
    optimizer.set_rate(run.optimizer, rate)
    run.optimizer.step()
    teach_balancer(run, group, counts, total, rate)
    ema.update(run.averaged, ema.decay_at(run.position.step + 1, settings.ema))
    return norm, rate


def _refuse_not_finite(run: Run, group: list[Batch], total: Report | None, norm: Tensor) -> NoReturn:
    """Computes the step once more, now looking at every value, to name the term and the samples; else the parameters.

    Raises:
        EquipoiseError: E_NONFINITE (65), always.
    """
    step = run.position.step + 1
    if total is not None:
        replay = ((outputs, batch) for batch, outputs in rollouts(run, group))
        run.composite.check_finite(total, step, replay)
    broken = [n for n, p in run.model.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
    samples = [i for batch in group if "sample_id" in batch for i in batch["sample_id"].tolist()]
    raise EquipoiseError(
        "NONFINITE",
        f"gradient of {', '.join(broken[:3]) or 'all parameters'} at step {step}, samples {samples[:8]}",
        "the gradient norm must be finite",
        got=float(norm),
        hint="Lower training.learning_rate or look at these samples; the last good checkpoint is kept",
        exit_code=Exit.BAD_DATA,
    )


def _report(run: Run, progress: float, norm: Tensor, rate: float, panel: GradientPanel | None) -> None:
    report = run.window.summarise(run.ranks)
    run.window.clear()
    gradients = panel.rows() if panel else {}
    nested = run.composite.totals(report["terms"], progress) if run.balancer is None else {}
    totals = {"composites": nested} if nested else {}
    _publish(run, {**report, **totals, **gradients, "gradient_norm": float(norm), "learning_rate": rate}, progress)


def _publish(run: Run, values: Mapping[str, Any], progress: float) -> None:
    """Appends a line to the curves, with the alarms it is the first to raise."""
    line = {"step": run.position.step, "epoch": run.position.epoch + 1, "progress": progress, **values}
    if run.ranks.leads and (raised := run.watch.judge(line)):
        line["alarms"] = raised
        for row in raised:
            say(f"alarm: {as_text(row)}")
    run.curves.append(line)
    if run.ranks.leads and run.on_report is not None:
        run.on_report(line)


def _validate(run: Run, show: Show) -> None:
    """Judges the averaged weights on the validation split and keeps them if they are the best so far.

    Rank 0 judges and the others are told, so that all stop in the same epoch.
    """
    position = run.position
    metrics: dict[str, float] = {}
    if run.ranks.leads:
        with torch.no_grad():
            found = run.workload.validate(run.average.eval(), run.section, run.prepared, run.device)
        metrics = {name: float(value) for name, value in found.items() if math.isfinite(value)}
    objective = from_leader(metrics.get("objective", math.nan), run.ranks, run.device)
    if not math.isfinite(objective):
        raise EquipoiseError(
            "NONFINITE",
            f"validation after epoch {position.epoch + 1}",
            "the objective must be finite",
            got=objective,
            hint="Look at the validation split; the last good checkpoint is kept",
            exit_code=Exit.BAD_DATA,
        )
    progress = (position.epoch + 1) / run.section.training.epochs
    _publish(run, {"validation": metrics}, progress)
    position.epoch += 1
    position.step_in_epoch = 0
    if run.balancer is not None:
        run.balancer.end_epoch()
    if position.best is None or objective > position.best:
        position.best, position.best_epoch, position.stale, position.metrics = objective, position.epoch, 0, metrics
        run.best = {name: t.detach().cpu().clone() for name, t in run.average.state_dict().items()}
    else:
        position.stale += 1
    show(progress, f"epoch {position.epoch} validated, objective {objective:.4f} (best {position.best:.4f})")


def _stop_if_asked(run: Run) -> None:
    """All ranks stop together as soon as one was asked to."""
    asked = run.stop_asked()
    if run.ranks.world > 1:
        asked = bool(sum_over_ranks(torch.tensor([float(asked)], device=run.device), run.ranks).item())
    if asked:
        save(run)
        raise TrainingInterrupted(
            f"Training of {run.workload.name} stopped after step {run.position.step}; its state is saved in "
            f"{run.resume}. Run the same command again to go on"
        )


def _finish(run: Run) -> dict[str, Any]:
    position = run.position
    summary = {
        "steps": position.step,
        "epochs": position.epoch,
        "best_epoch": position.best_epoch,
        "objective": position.best,
        "metrics": position.metrics,
        "alarms": run.watch.raised,
        "fingerprint": run.fingerprint,
    }
    if run.ranks.leads:
        card = card_of(run.workload, run.section, run.model, numerics(run.device, run.precision), summary)
        run.curves.mark()
        write_finished(run.folder, run.prepared, run.workload.served, run.best, card, summary)
    _tidy(run.folder, run.ranks)
    return summary


def _tidy(folder: Path, ranks: Ranks) -> None:
    """A finished folder holds the same files however often its training was killed."""
    wait_for_all(ranks)
    if ranks.leads:
        checkpoint.clear(folder / "resume")
        checkpoint.sweep(folder)
