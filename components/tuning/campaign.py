"""A campaign: a multi-objective study of loss weights that goes on where an earlier call was stopped or killed.

What a candidate is, is decided when its trial is made and kept by the storage; what has been computed, is kept by its
checkpoints. A trial that a kill left RUNNING is therefore simply trained on, and told once: no number is used twice and
none is lost. The sampler is seeded anew for each trial from (seed, trials so far), so an interrupted campaign suggests
what an uninterrupted one would have.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from components.errors import EquipoiseError, busy, misconfigured, missing
from components.files import sha256_file, sha256_json, write_text
from components.training.interrupt import TrainingInterrupted
from components.tuning.alone import alone
from components.tuning.space import Knob, defaults, knobs, rounded, with_weights
from components.tuning.storage import explained, open_storage
from components.tuning.trial import Candidate, Stopwatch, Trained, objectives_of, run_trial
from components.workload import Workload

POPULATION = 8  # of NSGA-II: campaigns are tens of candidates, not thousands
IDENTITY, OWNER, RESULT, SPENT = ("equipoise.comparable", "equipoise.owner", "equipoise.result", "equipoise.cpu")

Say = Callable[[str], object]


@dataclass(frozen=True)
class Campaign:
    """A study and where the models of its candidates lie.

    Attributes:
        name: of the study, `<project>/<workload>/<campaign>`.
        folder: holds a folder per trial number.
        storage: the storage's address without a password.
        candidates: finished ones, by number.
    """

    name: str
    folder: Path
    storage: str
    space: tuple[Knob, ...]
    objectives: tuple[str, ...]
    candidates: tuple[Candidate, ...]

    @property
    def complete(self) -> list[Candidate]:
        """Candidates whose training did not fail; the first is the default."""
        return [each for each in self.candidates if each.failure is None]


def comparable(section: Any, prepared: Path) -> str:
    """Hex SHA-256 of what must be the same for candidates to be compared: data, model, recipe, loss, space, objectives.

    The whole loss section is in it, because candidate 0 has its weights.

    Raises:
        EquipoiseError: E_MISSING (66) before prepare.
    """
    manifest = prepared / "manifest.json"
    if not manifest.is_file():
        raise missing(str(manifest), "the data must be prepared", got="no file", hint="Run prepare for this workload")
    values = section.model_dump(mode="json")
    training = {**values["training"], "epochs": section.tuning.epochs}
    parts = {"data": sha256_file(manifest), "model": values["model"], "loss": values["loss"], "training": training}
    return sha256_json({**parts, "space": values["tuning"]["space"], "objectives": list(section.tuning.objectives)})


def run(
    workload: Workload,
    section: Any,
    prepared: Path,
    state: Path,
    *,
    project: str,
    total: int,
    address: str | None = None,
    name: str | None = None,
    device: str | None = None,
    say: Say,
) -> Campaign:
    """Brings the campaign to `total` finished candidates and returns all of them.

    Args:
        address: of the storage; None keeps the study in optuna.db in the state folder.
        name: of the campaign; None derives it from what makes candidates comparable.

    Raises:
        TrainingInterrupted: on ctrl-C, with the candidate's state saved.
        EquipoiseError: E_CONFIG_KEY, E_CONFIG (78) for space or objectives; E_STUDY (78) for a study that is not this
            campaign's; E_STUDY_STORAGE (69, 73, 78); E_BUSY (75) while another process works on it; what training of
            the default reports.
    """
    space, identity = knobs(workload.name, section), comparable(section, prepared)
    full = f"{project}/{workload.name}/{name or identity[:12]}"
    folder = state / "campaigns" / full
    with alone(folder, full, "a campaign", "Wait for it to end, or name another campaign"):
        storage, place = open_storage(state, address)
        try:
            with explained(place):
                study = _study(storage, full, identity, section.tuning, space)
                owner = _owner(folder)
                work = _Work(workload, section, prepared, folder, study, space, owner, device, say)
                while len(_finished(study)) < total:
                    _advance(work, _next(work), total)
                done = tuple(_candidate(work, trial) for trial in _finished(study))
        finally:
            storage.engine.dispose()
    return Campaign(full, folder, place, space, section.tuning.objectives, done)


@dataclass(frozen=True)
class _Work:
    workload: Workload
    section: Any
    prepared: Path
    folder: Path
    study: optuna.Study
    space: tuple[Knob, ...]
    owner: str
    device: str | None
    say: Say


def _study(storage: Any, name: str, identity: str, settings: Any, space: tuple[Knob, ...]) -> optuna.Study:
    """The study of that name, made with the default weights as its first trial.

    Raises:
        EquipoiseError: E_STUDY (78) when it was made of other data, another model, recipe or space.
    """
    directions = [optuna.study.StudyDirection.MAXIMIZE] * len(settings.objectives)
    study = optuna.create_study(storage=storage, study_name=name, directions=directions, load_if_exists=True)
    trials = study.get_trials(deepcopy=False)
    known = study.user_attrs.get(IDENTITY)
    if known is None and not trials:
        study.set_metric_names(list(settings.objectives))
        study.set_user_attr(IDENTITY, identity)
    elif known != identity:
        raise _broken(name, "must be of this data, model, recipe and space", str(known)[:12])
    if not trials:
        study.enqueue_trial(defaults(space))
    return study


def _next(work: _Work) -> optuna.Trial:
    """The trial that was left running, else a new one; its weights are in the storage when this returns."""
    study, settings = work.study, work.section.tuning
    trials = study.get_trials(deepcopy=False)
    for trial in trials:
        owner = trial.user_attrs.get(OWNER, work.owner)
        if trial.state == TrialState.RUNNING and owner != work.owner:
            hint = "Go on there, or begin another campaign with --campaign NAME"
            raise busy(study.study_name, "its candidates must train in one state folder",
                       got=f"candidate {trial.number} in another", hint=hint)  # fmt: skip
    begun = len([t for t in trials if t.state != TrialState.WAITING])
    running = [t for t in trials if t.state == TrialState.RUNNING]
    study.sampler = _sampler(settings, running[0].number if running else begun)
    ranges: dict[str, optuna.distributions.BaseDistribution] = {
        knob.key: optuna.distributions.FloatDistribution(knob.low, knob.high, log=True) for knob in work.space
    }
    if running:
        trial = optuna.Trial(study, running[0]._trial_id)
        for knob in work.space:
            trial.suggest_float(knob.key, knob.low, knob.high, log=True)
    else:
        trial = study.ask(ranges)
    trial.set_user_attr(OWNER, work.owner)
    return trial


def _sampler(settings: Any, number: int) -> optuna.samplers.BaseSampler:
    digest = hashlib.sha256(f"{settings.seed} {number}".encode("ascii")).digest()
    seed = int.from_bytes(digest[:4], "little")
    if settings.sampler == "nsga2":
        return optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed)
    return optuna.samplers.TPESampler(seed=seed)


def _advance(work: _Work, trial: optuna.Trial, total: int) -> None:
    """Trains a trial and tells its values. Diverging is the candidate's own failure, but not the default's."""
    weights = rounded(work.space, trial.params)
    shown = "the default weights" if trial.number == 0 else ", ".join(f"{k} {v:g}" for k, v in weights.items())
    work.say(f"candidate {trial.number} of {total}: {shown}")
    try:
        trained = _train(work, trial, with_weights(work.section, weights))
    except TrainingInterrupted as stop:
        done = len(_finished(work.study))
        raise TrainingInterrupted(
            f"Campaign {work.study.study_name} stopped in candidate {trial.number}, {done} of {total} are done; "
            "the state is saved"
        ) from stop
    except EquipoiseError as error:
        if error.code != "E_NONFINITE" or trial.number == 0:
            raise
        work.say(f"candidate {trial.number} failed: {error}")
        trial.set_user_attr(RESULT, {"failure": str(error)})
        work.study.tell(trial, state=TrialState.FAIL)
        return
    found = objectives_of(work.workload.name, trained.metrics, work.section.tuning.objectives)
    trial.set_user_attr(RESULT, asdict(trained))
    work.study.tell(trial, list(found.values()))
    work.say(f"candidate {trial.number}: {', '.join(f'{k} {v:.4f}' for k, v in found.items())}")


def _train(work: _Work, trial: optuna.Trial, section: Any) -> Trained:
    """The candidate's training; what it spent is added to the trial however it ends, short of a kill."""
    watch = Stopwatch()
    try:
        return run_trial(work.workload, section, work.prepared, work.folder / str(trial.number), work.device)
    finally:
        trial.set_user_attr(SPENT, trial.user_attrs.get(SPENT, 0.0) + watch.seconds())


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    return [t for t in study.get_trials(deepcopy=False) if t.state.is_finished()]


def _candidate(work: _Work, trial: FrozenTrial) -> Candidate:
    """A finished trial as it was told.

    Raises:
        EquipoiseError: E_STUDY (78) for a trial that no campaign made.
    """
    name, result = work.study.study_name, trial.user_attrs.get(RESULT)
    if result is None or set(trial.params) != {knob.key for knob in work.space}:
        raise _broken(name, "every trial must be a candidate that this command trained", f"trial {trial.number}")
    weights = rounded(work.space, trial.params)
    if trial.number == 0 and weights != defaults(work.space):
        raise _broken(name, "trial 0 must have the default weights", f"{weights}")
    values = trial.values or []
    objectives = dict(zip(work.section.tuning.objectives, values, strict=False))
    if trial.state == TrialState.COMPLETE and len(objectives) != len(work.section.tuning.objectives):
        raise _broken(name, "every candidate must have a value per objective", f"trial {trial.number}")
    return Candidate(
        number=trial.number,
        weights=weights,
        objectives=objectives,
        metrics=result.get("metrics", {}),
        terms=result.get("terms", {}),
        steps=result.get("steps", 0),
        cpu_seconds=trial.user_attrs.get(SPENT, 0.0),
        failure=result.get("failure"),
    )


def _broken(name: str, rule: str, got: str) -> EquipoiseError:
    hint = "Begin another campaign with --campaign NAME"
    return misconfigured(f"study {name}", rule, got=got, hint=hint, code="STUDY")


def _owner(folder: Path) -> str:
    """A name of this folder's own, kept in it: the checkpoints of a trial lie where its owner is."""
    path = folder / "owner"
    if not path.is_file():
        write_text(path, uuid.uuid4().hex + "\n")
    return path.read_text(encoding="utf-8").strip()
