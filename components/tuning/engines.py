"""How the candidates of a screen train: stacked as one model, or one after another in each of several processes."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from components.errors import EquipoiseError, bad_data, misconfigured
from components.training import checkpoint
from components.training.candidates import train_together
from components.training.fit import how_many_fit
from components.training.interrupt import TrainingInterrupted
from components.training.lanes import Lane, why_not_together
from components.training.progress import as_clock
from components.tuning.pruner import stopped
from components.tuning.space import rounded, with_weights
from components.tuning.storage import beating
from components.tuning.trial import Stopwatch, Trained, objectives_of, run_trial
from components.tuning.trials import CHAMPION, SPENT, Claimed, Work, at_rung, spent, tell, wave_folder


@dataclass(frozen=True)
class Engine:
    """How candidates train.

    Attributes:
        batched: stacked as one model in one process.
        wave: candidates that are asked for at once by a process.
        processes: of this machine that work on the campaign.
    """

    batched: bool
    wave: int
    processes: int


def choose(work: Work, total: int) -> Engine:
    """What section.tuning.engine and .wave say; `auto` stacks candidates where their model allows it.

    As many are asked for at once as memory allows, but at most half of a campaign, so that the second half learns from
    the first.

    Raises:
        EquipoiseError: E_CONFIG (78) for `batched` where the model cannot be stacked; E_MANIFEST (65) for the data.
    """
    settings, threads = work.section.tuning, work.screen.training.threads
    reason = None
    if settings.engine != "processes":
        section = with_weights(work.screen, {})
        reason = why_not_together(work.workload, section, work.prepared, work.device)
        if reason is None:
            wave = settings.wave
            if wave == "auto":
                fit = how_many_fit(work.workload, section, work.prepared, work.device)
                wave = max(1, min(fit, math.ceil(total / 2)))
            return Engine(True, wave, 1)
        if settings.engine == "batched":
            place, hint = f"params.yaml: {work.workload.name}.tuning.engine", "Choose auto or processes"
            raise misconfigured(place, "batched needs a model that can be stacked", got=reason, hint=hint)
        work.say(f"candidates train one by one: {reason}")
    return Engine(False, 1, settings.wave if settings.wave != "auto" else max(1, (os.cpu_count() or 1) // threads))


def train_wave(work: Work, engine: Engine, wave: Sequence[Claimed], total: int, rungs: Sequence[int]) -> None:
    """Trains what this process has claimed and tells what came out. Diverging is a candidate's own failure, but not the
    default's.

    Raises:
        TrainingInterrupted: on ctrl-C, with the state saved.
        EquipoiseError: what training of the default reports, and what is no candidate's own failure.
    """
    with beating(work.storage, [each.trial._trial_id for each in wave]):
        try:
            if engine.batched:
                _train_stacked(work, wave, total, rungs)
            else:
                for each in wave:
                    _train_one(work, each, total, rungs)
        except TrainingInterrupted as stop:
            raise TrainingInterrupted(
                f"Campaign {work.study.study_name} stopped in candidate {wave[0].number}, {len(work.finished())} of "
                f"{total} are done; the state is saved"
            ) from stop


def _train_stacked(work: Work, wave: Sequence[Claimed], total: int, rungs: Sequence[int]) -> None:
    """All of a wave as one stack; each has an equal share of what that took."""
    mine = {each.number: each for each in sorted(wave, key=lambda each: each.number)}
    lanes = [Lane(number, with_weights(work.screen, _weights(work, each))) for number, each in mine.items()]
    folder, watch = wave_folder(work.folder, wave[0].wave), Stopwatch()
    for each in mine.values():
        _announce(work, each, total)
    try:
        outcomes = train_together(
            work.workload, lanes, work.prepared, folder, rungs=rungs, stop=partial(_stopped, work, mine),
            device=work.device, say=work.say,
        )  # fmt: skip
    finally:
        share = watch.seconds() / len(wave)
        for each in mine.values():
            spent(work, each, share)
    for number, each in mine.items():
        found = outcomes[number]
        if found.failure is not None:
            _failed(work, each, found.failure)
            continue
        rung = found.rung if found.dominators else None
        place = f"{folder.name}/{number}"
        _told(work, each, Trained(found.metrics, found.terms, found.steps, rung, found.dominators, place), total)


def _train_one(work: Work, each: Claimed, total: int, rungs: Sequence[int]) -> None:
    _announce(work, each, total)
    folder, watch = work.folder / str(each.number), Stopwatch()
    section = with_weights(work.screen, _weights(work, each))
    try:
        try:
            ahead = partial(_ahead, work, each)
            trained = run_trial(work.workload, section, work.prepared, folder, work.device, rungs, ahead)
        finally:
            spent(work, each, watch.seconds())
    except EquipoiseError as error:
        if error.code != "E_NONFINITE" or each.number == 0:
            raise
        _failed(work, each, str(error))
        return
    _told(work, each, trained, total)
    if trained.rung is not None:
        checkpoint.clear(folder / "resume")  # nobody trains it on


def _weights(work: Work, each: Claimed) -> dict[str, float]:
    return rounded(work.space, each.trial.params)


def _announce(work: Work, each: Claimed, total: int) -> None:
    shown = ", ".join(f"{k} {v:g}" for k, v in _weights(work, each).items())
    work.say(f"candidate {each.number} of {total}: {'the default weights' if each.number == 0 else shown}")


def _failed(work: Work, each: Claimed, failure: str) -> None:
    """Raises E_NONFINITE (65) for the default: without it nothing can be compared."""
    if each.number == 0:
        hint = "Look at the data and training.learning_rate; without the default nothing can be compared"
        raise bad_data("candidate 0", "the default weights must train to the end", got=failure, hint=hint,
                       code="NONFINITE")  # fmt: skip
    work.say(f"candidate {each.number} failed: {failure}")
    tell(work, each, failure)


def _told(work: Work, each: Claimed, trained: Trained, total: int) -> None:
    tell(work, each, trained)
    found = objectives_of(work.workload.name, trained.metrics, work.objectives)
    said = ", ".join(f"{k} {v:.4f}" for k, v in found.items())
    if trained.rung is not None:
        said += f", stopped after epoch {trained.rung}: candidate {trained.dominators[0]} is ahead in everything"
    left = cpu_left(work.section.tuning, [t.user_attrs.get(SPENT, 0.0) for t in work.finished()], total)
    work.say(f"candidate {each.number}: {said}; CPU time left about {as_clock(left)}")


def cpu_left(settings: Any, took: Sequence[float], total: int) -> float:
    """CPU seconds until a campaign's verdict, by what its candidates took so far, at least one.

    An epoch of the screen is taken for one at full length, so with a narrow screen the true figure is higher; when the
    longer trainings run, they show their own.
    """
    each = sum(took) / len(took)
    longer = each * (1.0 if settings.screen is None else settings.epochs / settings.screen.epochs)
    after = 0 if settings.screen is None else settings.screen.full + 1
    after += (settings.closing.candidates + 1) * settings.closing.seeds
    return max(0, total - len(took)) * each + after * longer


def _ahead(work: Work, each: Claimed, rung: int, metrics: Mapping[str, float]) -> Sequence[int]:
    """Who of those that reached the rung before beats a candidate by the margin in every objective."""
    return _stopped(work, {each.number: each}, rung, {each.number: metrics}).get(each.number, ())


def _stopped(
    work: Work, mine: Mapping[int, Claimed], rung: int, metrics: Mapping[int, Mapping[str, float]]
) -> dict[int, list[int]]:
    """Who of these stops at a rung, and because of whom; never the default, nor the champion's weights."""
    name, margin = work.workload.name, work.section.tuning.screen.margin
    values = {number: tuple(objectives_of(name, each, work.objectives).values()) for number, each in metrics.items()}
    others = at_rung(work, values, rung, mine)
    kept = {0, work.study.user_attrs.get(CHAMPION), *others}
    return stopped({**others, **values}, margin, kept)
