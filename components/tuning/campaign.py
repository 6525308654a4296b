"""A campaign: a multi-objective study of loss weights that goes on where an earlier call was stopped or killed.

All candidates train first as the screen says, shorter and smaller, and stop early where they are beaten everywhere; the
best of them train at full length. What a candidate is, is decided when its trial is made and kept by the storage; what
has been computed, is kept by its checkpoints. A trial that a kill left RUNNING is therefore simply trained on, and told
once: no number is used twice and none is lost.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from components.errors import missing
from components.files import sha256_file, sha256_json, write_text
from components.training.interrupt import TrainingInterrupted
from components.tuning import full_length
from components.tuning.agreement import Agreement
from components.tuning.alone import alone, among_others, wait_for
from components.tuning.engines import Engine, choose, train_wave
from components.tuning.space import Knob, knobs, screened
from components.tuning.storage import claiming, explained, open_storage
from components.tuning.trial import Candidate
from components.tuning.trials import OWNER, TOTAL, Say, Work, bounded, candidate, claimed, make_study
from components.workload import Workload

HOME = "equipoise.home"  # of the study: whose folder holds what is trained at full length
LOOK_SECONDS = 2.0  # between two looks at candidates that train elsewhere

Helpers = Callable[[int], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Campaign:
    """A study and where the models of its candidates lie.

    Attributes:
        name: of the study, `<project>/<workload>/<campaign>`.
        folder: holds a folder per trial number, and `full` with those that trained at full length after a screen.
        storage: the storage's address without a password.
        candidates: finished ones, by number, as the screen trained them; at full length without a screen.
        full: those that trained at full length after the screen; None without one.
        agreement: how screen and full length rank them; None without a screen.
    """

    name: str
    folder: Path
    storage: str
    space: tuple[Knob, ...]
    objectives: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    full: tuple[Candidate, ...] | None = None
    agreement: Agreement | None = None

    @property
    def complete(self) -> list[Candidate]:
        """Candidates whose training did not fail; the first is the default."""
        return [each for each in self.candidates if each.failure is None]

    @property
    def judged(self) -> list[Candidate]:
        """Those that trained at full length to their end; the first is the default."""
        return self.complete if self.full is None else [each for each in self.full if each.failure is None]

    @property
    def stopped(self) -> list[Candidate]:
        """Candidates that were stopped early."""
        return [each for each in self.candidates if each.stopped]

    def model(self, each: Candidate) -> Path:
        """The folder of a candidate's model."""
        return self.folder / (each.place or str(each.number))

    @property
    def cpu_seconds(self) -> float:
        """What all of it took, short of the closing comparison."""
        return sum(each.cpu_seconds for each in (*self.candidates, *(self.full or ())))


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
    training, screen = {**values["training"], "epochs": section.tuning.epochs}, values["tuning"]["screen"]
    parts = {"data": sha256_file(manifest), "model": values["model"], "loss": values["loss"], "training": training}
    if screen is not None:
        parts["screen"] = {key: screen[key] for key in ("epochs", "changes", "rungs", "margin")}
    return sha256_json({**parts, "space": values["tuning"]["space"], "objectives": list(section.tuning.objectives)})


def run(
    workload: Workload,
    section: Any,
    prepared: Path,
    state: Path,
    *,
    project: str,
    total: int | None,
    address: str | None = None,
    name: str | None = None,
    device: str | None = None,
    say: Say,
    champion: Mapping[str, float] | None = None,
    starts: Sequence[Mapping[str, float]] = (),
    worker: bool = False,
    helpers: Helpers = lambda count: nullcontext(),
) -> Campaign:
    """Brings the campaign to `total` finished candidates and returns all of them.

    Args:
        total: None for a worker: as many as the command that it helps was asked for.
        address: of the storage; None keeps the study in optuna.db in the state folder.
        name: of the campaign; None derives it from what makes candidates comparable.
        champion: weights that a new campaign tries after the defaults, and whose heads bound the others.
        starts: further weights that a new campaign begins with.
        worker: only helps a campaign that exists, as one of many processes, wherever they are.
        helpers: makes a block in which so many further processes of this machine help.

    Raises:
        TrainingInterrupted: on ctrl-C, with the state saved.
        EquipoiseError: E_CONFIG_KEY, E_CONFIG (78) for space, screen or objectives; E_STUDY (78) for a study that is
            not this campaign's; E_STUDY_STORAGE (69, 73, 78); E_BUSY (75) while another process leads it; E_MISSING
            (66) for a worker without a campaign; what training of the default reports.
    """
    space, screen = knobs(workload.name, section), screened(workload.name, section)
    identity = comparable(section, prepared)
    full = f"{project}/{workload.name}/{name or identity[:12]}"
    folder = state / "campaigns" / full
    with _present(folder, full, worker):
        storage, place = open_storage(state, address)
        try:
            with explained(place):
                if worker:
                    _check_begun(storage, full)
                study = make_study(storage, full, identity, section.tuning.objectives, space, champion, starts)
                owner = _owner(storage, full, folder)
                total = _agreed(study, owner, total)
                work = Work(workload, section, screen, prepared, folder, storage, study, space, owner, device, say)
                return _worked(work, place, total, worker, helpers)
        except TrainingInterrupted:
            raise
        except KeyboardInterrupt as stop:
            raise TrainingInterrupted(f"Campaign {full} stopped; what is done is kept") from stop
        finally:
            storage.engine.dispose()


@contextmanager
def _present(folder: Path, name: str, worker: bool) -> Iterator[None]:
    """Shows that somebody works here; one process leads, the others help."""
    with among_others(folder, name):
        if worker:
            yield
        else:
            with alone(folder, name, "a campaign", "Wait for it to end, or help it with --worker", "leader.lock"):
                yield


def _check_begun(storage: optuna.storages.RDBStorage, name: str) -> None:
    """Raises E_MISSING (66) where nobody leads a campaign of that name, or has led one."""
    names = optuna.get_all_study_names(storage)
    if name not in names or TOTAL not in storage.get_study_user_attrs(storage.get_study_id_from_name(name)):
        hint = "Begin it without --worker"
        raise missing(name, "there must be a campaign to help", got="none", hint=hint)


def _agreed(study: optuna.Study, owner: str, total: int | None) -> int:
    """How many candidates the campaign is to have; who leads says it, who helps asks."""
    if total is None:
        return int(study.user_attrs[TOTAL])
    study.set_user_attr(TOTAL, total)
    study.set_user_attr(HOME, owner)
    return total


def _worked(work: Work, place: str, total: int, worker: bool, helpers: Helpers) -> Campaign:
    engine = choose(work, total)
    screen = work.section.tuning.screen
    here = work.study.user_attrs.get(HOME) == work.owner
    with nullcontext() if worker else helpers(engine.processes - 1):
        _screen(work, engine, total, () if screen is None else screen.rungs, waits=here)
        candidates = tuple(bounded(work, [candidate(work, trial) for trial in work.finished()]))
        done, agreement = None, None
        if screen is not None and here:
            passed = [each for each in candidates if not each.failure and not each.stopped]
            done, agreement = full_length.bring_up(work, passed)
    return Campaign(work.study.study_name, work.folder, place, work.space, work.objectives, candidates, done, agreement)


def _screen(work: Work, engine: Engine, total: int, rungs: Sequence[int], waits: bool) -> None:
    """Trains until `total` candidates are finished; a process whose folder nobody concludes in does not wait."""
    while True:
        with claimed(work, engine.wave, total) as wave:
            if wave:
                train_wave(work, engine, wave, total, rungs)
                continue
        running = [trial for trial in work.trials() if trial.state == TrialState.RUNNING]
        if not running or not waits:
            return
        if running[0].user_attrs.get(OWNER) == work.owner:
            wait_for(work.folder, f"candidate-{running[0].number}")
        else:
            time.sleep(LOOK_SECONDS)  # until it is told, or falls silent and is taken over


def _owner(storage: optuna.storages.RDBStorage, name: str, folder: Path) -> str:
    """A name of this folder's own, kept in it: the checkpoints of a trial lie where its owner is."""
    path = folder / "owner"
    with claiming(storage, name):
        if not path.is_file():
            write_text(path, uuid.uuid4().hex + "\n")
    return path.read_text(encoding="utf-8").strip()
