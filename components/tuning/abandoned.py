"""Candidates whose campaign was killed: found without disturbing one that is at work, and put back into the queue.

A campaign that goes on finds such a candidate by itself and trains it on. One that nobody continues would show it as
running for ever.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import TrialState

from components.tuning.storage import explained, open_storage
from components.tuning.trials import OWNER


@dataclass(frozen=True)
class Abandoned:
    """A trial that is RUNNING although nobody holds the folder of its study, `<project>/<workload>/<campaign>`."""

    study: str
    number: int
    trial_id: int
    folder: Path
    storage: str

    @property
    def workload(self) -> str:
        """The workload whose weights were tuned."""
        return self.study.split("/")[1]


def abandoned(state: Path, address: str | None, project: str) -> list[Abandoned]:
    """The running trials of this state folder's campaigns that no process works on; nothing is created by asking.

    Trials of another state folder are left out: whether somebody trains them can only be told there.

    Args:
        address: of the storage; None is optuna.db in the state folder.

    Raises:
        EquipoiseError: E_STUDY_STORAGE (69, 73, 75, 78).
    """
    folders = {path.parent.relative_to(state / "campaigns").as_posix(): path.parent
               for path in sorted((state / "campaigns" / project).glob("*/*/owner"))}  # fmt: skip
    if not folders or (address is None and not (state / "optuna.db").is_file()):
        return []
    storage, place = open_storage(state, address)
    try:
        with explained(place):
            found = []
            for name in set(folders) & set(optuna.get_all_study_names(storage)):
                with _free(folders[name]) as free:
                    running = _running(storage, name, folders[name], address is None) if free else []
                found += [Abandoned(name, number, id_, folders[name], place) for number, id_ in running]
    finally:
        storage.engine.dispose()
    return sorted(found, key=lambda each: (each.study, each.number))


def put_back(state: Path, address: str | None, trial: Abandoned) -> bool:
    """Makes the trial WAITING: its weights and its checkpoints stay, and the campaign's next call trains it on.

    Returns:
        False when somebody has taken up the campaign meanwhile; the trial is theirs then.

    Raises:
        EquipoiseError: E_STUDY_STORAGE (69, 73, 75, 78).
    """
    storage, place = open_storage(state, address)
    try:
        with explained(place), _free(trial.folder) as free:
            if free and storage.get_trial(trial.trial_id).state == TrialState.RUNNING:
                storage.set_trial_state_values(trial.trial_id, TrialState.WAITING)
    finally:
        storage.engine.dispose()
    return free


def _running(storage: optuna.storages.RDBStorage, name: str, folder: Path, embedded: bool) -> list[tuple[int, int]]:
    """(number, id) of the running trials that are this folder's; one without an owner is, where nobody else can be."""
    owner = (folder / "owner").read_text(encoding="utf-8").strip()
    trials = storage.get_all_trials(storage.get_study_id_from_name(name), deepcopy=False, states=(TrialState.RUNNING,))
    return [(t.number, t._trial_id) for t in trials if t.user_attrs.get(OWNER, owner if embedded else None) == owner]


@contextmanager
def _free(folder: Path) -> Iterator[bool]:
    """Whether nobody works in a campaign's folder; while the block runs nobody begins to."""
    with (folder / "lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
