"""A campaign's candidates as trials of its study: made, begun, taken up again, told, each of them once.

Several processes may work on one study, here and elsewhere. Whoever begins or takes over a candidate holds the study's
mutex of the storage for that moment, and from then on the candidate's lock in the campaign's folder, which the kernel
releases when the process ends: among those that share the folder a candidate that a kill cut off is known at once, and
goes on from its checkpoint. Those of other folders show signs of life in the storage; one that fell silent is taken
over and begins anew. The sampler is seeded anew for each trial from (seed, number), so a campaign that was interrupted
suggests what an undisturbed one would have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from components.errors import EquipoiseError, misconfigured
from components.tuning.alone import taken
from components.tuning.constraint import violations
from components.tuning.space import Knob, defaults, rounded
from components.tuning.storage import beaten, claiming, patiently, stale
from components.tuning.trial import Candidate, Trained, objectives_of
from components.workload import Workload

POPULATION = 8  # of NSGA-II: campaigns are tens of candidates, not thousands
IDENTITY, TOTAL, FIRST, CHAMPION = (f"equipoise.{each}" for each in ("comparable", "total", "first", "champion"))
OWNER, WAVE, RESULT, SPENT, RUNGS = (f"equipoise.{each}" for each in ("owner", "wave", "result", "cpu", "rungs"))
STOPPED = "equipoise.stopped"

Say = Callable[[str], object]


@dataclass(frozen=True)
class Work:
    """What every part of a campaign needs.

    Attributes:
        section: the workload's part of params.yaml; `screen`: the same as the screen trains it.
        folder: of the campaign; holds the candidates' folders and locks.
        owner: names the folder in the storage.
    """

    workload: Workload
    section: Any
    screen: Any
    prepared: Path
    folder: Path
    storage: optuna.storages.RDBStorage
    study: optuna.Study
    space: tuple[Knob, ...]
    owner: str
    device: str | None
    say: Say

    @property
    def objectives(self) -> tuple[str, ...]:
        """Names of the validation metrics that the campaign maximises."""
        return self.section.tuning.objectives

    def trials(self) -> list[FrozenTrial]:
        """All trials as the storage has them now."""
        return patiently(lambda: self.study.get_trials(deepcopy=False))

    def finished(self) -> list[FrozenTrial]:
        """Those that were told."""
        return [trial for trial in self.trials() if trial.state.is_finished()]


@dataclass(frozen=True)
class Claimed:
    """A candidate that this process trains; nobody else does while `lock` is open."""

    trial: optuna.Trial
    wave: int
    lock: IO[str]

    @property
    def number(self) -> int:
        """Of the trial in the study."""
        return self.trial.number


def make_study(
    storage: optuna.storages.RDBStorage,
    name: str,
    identity: str,
    objectives: Sequence[str],
    space: tuple[Knob, ...],
    champion: Mapping[str, float] | None,
    starts: Sequence[Mapping[str, float]],
) -> optuna.Study:
    """The study of that name. A new one begins with the defaults, the champion's weights and other starting points.

    Raises:
        EquipoiseError: E_STUDY (78) when it was made of other data, another model, recipe or space.
    """
    directions = [optuna.study.StudyDirection.MAXIMIZE] * len(objectives)
    with claiming(storage, name):
        study = optuna.create_study(storage=storage, study_name=name, directions=directions, load_if_exists=True)
        trials, known = study.get_trials(deepcopy=False), study.user_attrs.get(IDENTITY)
        if known is None and not trials:
            points: list[dict[str, float]] = []
            for point in (defaults(space), *([champion] if champion else []), *starts):
                if (rounded_point := rounded(space, point)) not in points:
                    points.append(rounded_point)
            study.set_metric_names(list(objectives))
            study.set_user_attr(FIRST, points)
            study.set_user_attr(CHAMPION, points.index(rounded(space, champion)) if champion else None)
            study.set_user_attr(IDENTITY, identity)
        elif known != identity:
            raise broken(name, "must be of this data, model, recipe and space", str(known)[:12])
        for point in study.user_attrs.get(FIRST, [defaults(space)])[len(trials) :]:
            study.enqueue_trial(point)
    return study


def broken(name: str, rule: str, got: str) -> EquipoiseError:
    """E_STUDY (78)."""
    hint = "Begin another campaign with --campaign NAME"
    return misconfigured(f"study {name}", rule, got=got, hint=hint, code="STUDY")


@contextmanager
def claimed(work: Work, size: int, total: int) -> Iterator[list[Claimed]]:
    """Up to `size` candidates to be trained now: those a kill cut off, else silent ones from elsewhere, else new ones.

    None where `total` candidates were begun and all that run are in good hands.
    """
    found: list[Claimed] = []

    def claim() -> None:
        release(found)
        with claiming(work.storage, work.study.study_name):
            if not _cut_off(work, size, total, found) and not _silent(work, found):
                _fresh(work, size, total, found)

    try:
        patiently(claim)
        yield list(found)
    finally:
        release(found)


def release(found: list[Claimed]) -> None:
    """Lets go of candidates."""
    while found:
        found.pop().lock.close()


def _cut_off(work: Work, size: int, total: int, found: list[Claimed]) -> bool:
    """Takes up the first wave of this folder that nobody trains; one that was cut off while it was asked for, and of
    which nothing was trained, is completed, so that it is the wave that it would have been."""
    trials = work.study.get_trials(deepcopy=False)
    for trial in trials:
        wave = trial.user_attrs.get(WAVE, trial.number)
        mine = trial.state == TrialState.RUNNING and trial.user_attrs.get(OWNER, work.owner) == work.owner
        if mine and wave == (found[0].wave if found else wave):
            _take(work, trial, wave, found)
    if found and len(found) < size and found[-1].number == trials[-1].number and not _begun(work, found[0].wave):
        _fresh(work, size - len(found), total, found)
    return bool(found)


def _begun(work: Work, wave: int) -> bool:
    """Whether training of a wave has begun, or some of it was told."""
    told = [
        t for t in work.study.get_trials(deepcopy=False) if t.state.is_finished() and t.user_attrs.get(WAVE) == wave
    ]
    return bool(told) or wave_folder(work.folder, wave).exists()


def wave_folder(folder: Path, wave: int) -> Path:
    """Where a wave trains that trains as one."""
    return folder / f"wave-{wave}"


def _silent(work: Work, found: list[Claimed]) -> bool:
    """Takes over a candidate of another folder that gave no sign of life; one that never gave any gets its time."""
    others = [t for t in work.study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
              if t.user_attrs.get(OWNER, work.owner) != work.owner]  # fmt: skip
    if not others:
        return False
    silent = stale(work.storage, work.study._study_id)
    for trial_id in {trial._trial_id for trial in others} - beaten(work.storage):
        work.storage.record_heartbeat(trial_id)
    for trial in others:
        if trial._trial_id in silent and not found:
            work.say(f"candidate {trial.number} is taken over: whoever trained it fell silent")
            _take(work, trial, trial.number, found)
    return bool(found)


def _fresh(work: Work, size: int, total: int, found: list[Claimed]) -> None:
    """Begins new candidates as one wave, those that wait first."""
    trials = work.study.get_trials(deepcopy=False)
    waiting = [t.number for t in trials if t.state == TrialState.WAITING]
    numbers = [*waiting, *range(len(trials), len(trials) + size)]
    ranges: dict[str, optuna.distributions.BaseDistribution] = {
        knob.key: optuna.distributions.FloatDistribution(knob.low, knob.high, log=True) for knob in work.space
    }
    for number in numbers[: max(0, min(size, total - (len(trials) - len(waiting))))]:
        work.study.sampler = sampler(work.section.tuning, number)
        trial = work.study.ask(ranges)
        _own(work, trial, found[0].wave if found else trial.number, found)


def _take(work: Work, trial: FrozenTrial, wave: int, found: list[Claimed]) -> None:
    """Claims a running trial unless another process of this folder has it; what it lacks is suggested now."""
    work.study.sampler = sampler(work.section.tuning, trial.number)
    _own(work, trial, wave, found)


def _own(work: Work, trial: FrozenTrial | optuna.Trial, wave: int, found: list[Claimed]) -> None:
    lock = taken(work.folder, f"candidate-{trial.number}")
    if lock is None:
        return
    live = trial if isinstance(trial, optuna.Trial) else optuna.Trial(work.study, trial._trial_id)
    found.append(Claimed(live, wave, lock))
    for knob in work.space:
        live.suggest_float(knob.key, knob.low, knob.high, log=True)
    work.storage.record_heartbeat(live._trial_id)
    live.set_user_attr(WAVE, wave)
    live.set_user_attr(OWNER, work.owner)


def sampler(settings: Any, number: int) -> optuna.samplers.BaseSampler:
    """The sampler of a trial: seeded by the campaign's seed and the trial's number, so no two are seeded alike."""
    digest = hashlib.sha256(f"{settings.seed} {number}".encode("ascii")).digest()
    seed = int.from_bytes(digest[:4], "little")
    if settings.sampler == "nsga2":
        return optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed)
    return optuna.samplers.TPESampler(seed=seed, constant_liar=True)


def spent(work: Work, each: Claimed, seconds: float) -> None:
    """Adds CPU seconds to a candidate's account."""
    total = round(each.trial.user_attrs.get(SPENT, 0.0) + seconds, 3)

    def note() -> None:
        if _still_mine(work, each):
            each.trial.set_user_attr(SPENT, total)

    patiently(note)


def _still_mine(work: Work, each: Claimed) -> bool:
    """Whether nobody took a candidate over, which may have been told then and cannot be changed any more."""
    now = work.storage.get_trial(each.trial._trial_id)
    return now.state == TrialState.RUNNING and now.user_attrs.get(OWNER) == work.owner


def at_rung(
    work: Work, values: Mapping[int, Sequence[float]], rung: int, mine: Mapping[int, Claimed]
) -> dict[int, tuple[float, ...]]:
    """Notes what these candidates reached at a rung, and returns what all others did that were there."""

    def note() -> dict[int, tuple[float, ...]]:
        for number, found in values.items():
            if not _still_mine(work, mine[number]):
                continue
            trial = mine[number].trial
            known = work.storage.get_trial(trial._trial_id).user_attrs.get(RUNGS, {})
            trial.set_user_attr(RUNGS, {**known, str(rung): list(found)})
        trials = work.study.get_trials(deepcopy=False)
        reached = {t.number: t.user_attrs[RUNGS][str(rung)] for t in trials
                   if str(rung) in t.user_attrs.get(RUNGS, {}) and t.state != TrialState.FAIL}  # fmt: skip
        return {number: tuple(each) for number, each in reached.items() if number not in values}

    return patiently(note)


def tell(work: Work, each: Claimed, trained: Trained | str) -> None:
    """What came out of a candidate, told once: its values, or why its training failed.

    Nothing is told of a candidate that another has taken over, or that was told although the answer was lost.
    """

    def call() -> None:
        with claiming(work.storage, work.study.study_name):
            now = work.storage.get_trial(each.trial._trial_id)
            if now.user_attrs.get(OWNER) != work.owner:
                work.say(f"candidate {each.number} was taken over meanwhile: what comes out there counts")
            elif now.state == TrialState.RUNNING:
                _tell(work, each, trained, now)

    patiently(call)


def _tell(work: Work, each: Claimed, trained: Trained | str, now: FrozenTrial) -> None:
    if isinstance(trained, str):
        each.trial.set_user_attr(RESULT, {"failure": trained})
        work.study.tell(each.trial, state=TrialState.FAIL)
        return
    found = objectives_of(work.workload.name, trained.metrics, work.objectives)
    each.trial.set_user_attr(RESULT, asdict(trained))
    if trained.rung is not None:
        each.trial.set_user_attr(STOPPED, {"rung": trained.rung, "dominators": list(trained.dominators)})
    for key, value in _constraints(work, each.number, trained).items():
        if key not in now.constraints:
            each.trial.set_constraint(key, value)
    work.study.tell(each.trial, list(found.values()))


def _constraints(work: Work, number: int, trained: Trained) -> dict[str, float]:
    """Above 0: what keeps a candidate off the front. Heads below the champion's by more than their margin, where the
    champion's weights were tried in the same way, and having been stopped."""
    stopped = {"stopped": 1.0} if trained.rung is not None else {}
    champion = work.study.user_attrs.get(CHAMPION)
    if champion is None or champion == number or not hasattr(work.section, "gate"):
        return stopped
    result = next((t.user_attrs[RESULT] for t in work.study.get_trials(deepcopy=False)
                   if t.number == champion and t.state == TrialState.COMPLETE), None)  # fmt: skip
    if result is None or result.get("rung") is not None:
        return stopped
    return stopped | violations(trained.metrics, result["metrics"], work.section.gate.heads)


def candidate(work: Work, trial: FrozenTrial) -> Candidate:
    """A finished trial as it was told.

    Raises:
        EquipoiseError: E_STUDY (78) for a trial that no campaign made.
    """
    name, result = work.study.study_name, trial.user_attrs.get(RESULT)
    if result is None or set(trial.params) != {knob.key for knob in work.space}:
        raise broken(name, "every trial must be a candidate that this command trained", f"trial {trial.number}")
    weights = rounded(work.space, trial.params)
    if trial.number == 0 and weights != defaults(work.space):
        raise broken(name, "trial 0 must have the default weights", f"{weights}")
    objectives = dict(zip(work.objectives, trial.values or [], strict=False))
    if trial.state == TrialState.COMPLETE and len(objectives) != len(work.objectives):
        raise broken(name, "every candidate must have a value per objective", f"trial {trial.number}")
    return Candidate(
        number=trial.number,
        weights=weights,
        objectives=objectives,
        metrics=result.get("metrics", {}),
        terms=result.get("terms", {}),
        steps=result.get("steps", 0),
        cpu_seconds=trial.user_attrs.get(SPENT, 0.0),
        failure=result.get("failure"),
        stopped=trial.user_attrs.get(STOPPED),
        place=result.get("place", ""),
    )


def bounded(work: Work, candidates: Sequence[Candidate]) -> list[Candidate]:
    """The same candidates of one stage, each with whether the gate could promote it in place of the champion."""
    number = work.study.user_attrs.get(CHAMPION)
    champion = next((each for each in candidates if each.number == number and not each.failure), None)

    def feasible(each: Candidate) -> bool:
        if each.stopped or champion is None or not hasattr(work.section, "gate"):
            return not each.stopped
        found = violations(each.metrics, champion.metrics, work.section.gate.heads)
        return each is champion or all(value <= 0 for value in found.values())

    return [each if each.failure else replace(each, feasible=feasible(each)) for each in candidates]
