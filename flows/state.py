"""Where a command works: the project's folder, its state folder, and the one lock a workload's stages share."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from components.config import Config, load_config
from components.config_edit import Edit
from components.errors import EquipoiseError, Exit, busy, missing


@dataclass(frozen=True)
class Place:
    """Project and state folder of a command, both absolute."""

    project: Path
    state: Path

    @property
    def params(self) -> Path:
        """The project's params.yaml."""
        return self.project / "params.yaml"

    def config(self) -> Config:
        """Its values, read and checked now."""
        return load_config(self.params)

    def prepared(self, workload: str) -> Path:
        """The folder that prepare writes for a workload."""
        return self.project / "data" / "prepared" / workload

    def checkpoint(self, workload: str) -> Path:
        """The folder that train writes for a workload."""
        return self.project / "checkpoints" / workload

    def evaluation(self, workload: str) -> Path:
        """The folder that evaluate writes for a workload."""
        return self.project / "evaluation" / workload

    @property
    def ledger(self) -> str | Path:
        """What `open_ledger` takes: the address or file of the environment, else a file in the state folder."""
        named = os.environ.get("EQUIPOISE_DATABASE_URL", "").strip()
        return named if "://" in named else Path(named or self.state / "ledger.db")

    def ledger_exists(self) -> bool:
        """A look must not create a ledger where there is none."""
        return not isinstance(self.ledger, Path) or self.ledger.is_file()

    def first_scores(self, workload: str, version: int, digest: str) -> Path:
        """Where a version's per-sample scores lie as it was first judged, on the hold-out of that digest."""
        return self.state / "scores" / workload / f"{version}-{digest}.parquet"

    def gate_report(self, workload: str, digest: str) -> Path:
        """Where the gate's report of that SHA-256 lies."""
        return self.state / "gates" / workload / f"{digest}.json"


def place_of(project: str, state: str) -> Place:
    """The place of a flow's parameters, which are text; both must be absolute."""
    return Place(Path(project), Path(state))


def place(project: Path | None, state: Path | None) -> Place:
    """The folders a command names, or their defaults: this folder, and `.equipoise` in it.

    Raises:
        EquipoiseError: E_MISSING (66) without such a project folder, E_WRITE (73) where the state is no folder.
    """
    root = (project or Path.cwd()).expanduser()
    if not root.is_dir():
        raise missing("--project", "must be a folder", got=str(root), hint="Name the folder that holds params.yaml")
    root = root.resolve()
    named = state or (Path(os.environ["EQUIPOISE_STATE"]) if os.environ.get("EQUIPOISE_STATE", "").strip() else None)
    folder = named.expanduser().absolute() if named else root / ".equipoise"
    if folder.exists() and not folder.is_dir():
        raise _not_writable(folder, "a file")
    return Place(root, folder)


def make_state(place: Place) -> None:
    """Creates the state folder, readable by its owner alone.

    Raises:
        EquipoiseError: E_WRITE (73) where that is not allowed.
    """
    try:
        place.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise _not_writable(place.state, error.strerror or str(error)) from error
    if not os.access(place.state, os.W_OK | os.X_OK):
        raise _not_writable(place.state, "no write permission")


def _not_writable(folder: Path, got: str) -> EquipoiseError:
    hint = "Grant write permission or name another folder with --state"
    return EquipoiseError(
        "WRITE", str(folder), "the state folder must be writable", got=got, hint=hint, exit_code=Exit.CANNOT_WRITE
    )


@contextmanager
def exclusive(place: Place, workload: str) -> Iterator[None]:
    """Holds the workload in this project for one flow; the kernel lets go when the process ends, however it ends.

    Raises:
        EquipoiseError: E_BUSY (75) at once, naming who holds it, when another process does.
    """
    folder = place.project / ".dvc" / "tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / f"equipoise-{workload}.lock").open("a+")
    except OSError as error:
        hint = "Grant write permission to the project's folder"
        raise EquipoiseError(
            "WRITE",
            str(folder),
            "must be writable",
            got=error.strerror or str(error),
            hint=hint,
            exit_code=Exit.CANNOT_WRITE,
        ) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            handle.seek(0)
            holder = handle.read().strip() or "another process"
            raise busy(
                workload,
                "one command at a time may change it",
                got=holder,
                hint="Wait for it to end, then run this command again",
            ) from error
        handle.truncate(0)
        handle.write(f"process {os.getpid()} since {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
        handle.flush()
        yield
        handle.truncate(0)


def at_work(place: Place, workload: str) -> bool:
    """Whether a command or a stage of the workload runs in this project now, told by the locks they hold."""
    locks = (place.project / ".dvc" / "tmp" / f"equipoise-{workload}.lock",
             place.project / "checkpoints" / f".{workload}.lock")  # fmt: skip
    return any(_taken(path) for path in locks)


def _taken(lock: Path) -> bool:
    try:
        handle = lock.open("rb")
    except FileNotFoundError:
        return False
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def record_edits(place: Place, edits: Sequence[Edit]) -> None:
    """Appends what `--set`, `--data` and `--seed` changed in params.yaml to `edits.jsonl` in the state folder."""
    if not edits:
        return
    make_state(place)
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    with (place.state / "edits.jsonl").open("a", encoding="utf-8") as handle:
        for each in edits:
            line = {"time": now, "key": each.key, "before": each.before, "after": each.after}
            handle.write(json.dumps(line, ensure_ascii=False) + "\n")
        handle.flush()
        os.fsync(handle.fileno())


def user() -> str:
    """The person's login name, for the ledger."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
