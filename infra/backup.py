"""A copy of a project and its state folder that can be put back: models, records, the ledger, data and parameters.

    python infra/backup.py make TARGET --project DIR --state DIR        # TARGET must not be there yet
    python infra/backup.py restore TARGET --project DIR --state DIR     # both must be missing or empty

No workload is retrained meanwhile: both take every workload's lock. Promotion and rollback may go on, so MLflow's
database is copied before the ledger: a ledger that knows more is what `equipoise doctor --fix` can mend. SQLite's own
backup copies the databases. What a restored copy must have is its digest, by which a damaged one is refused.
Databases and buckets of servers are copied by their own tools (docs/operations.md).
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from components.data import strict_json
from components.errors import EquipoiseError, Exit, bad_data, misconfigured, missing
from components.files import sha256_tree, write_error, write_json
from components.workload import NAMES
from flows.state import Place, exclusive

DIGEST = "backup.json"
LEDGER = "ledger.db"
WAL = (".db-wal", ".db-shm", ".db-journal")
MADE_AGAIN = (".venv", "__pycache__")  # and of DVC's folder what the outputs in the project make superfluous
OF_DVC = ("tmp", "cache")


def make(place: Place, target: Path) -> str:
    """Copies project and state into a new folder, which appears whole or not at all; says where and how much.

    Raises:
        EquipoiseError: E_BACKUP (78) where the target is there already, E_MISSING (66) without a project or a state,
            E_BUSY (75) while a workload is being changed, E_WRITE (73), E_IO (74).
    """
    for folder, holds in ((place.project, "params.yaml"), (place.state, "")):
        if not (folder / holds).exists():
            raise missing(str(folder / holds), "must be there", got="nothing", hint="Name the folder that is used")
    _unused(target, "TARGET must be a new folder")
    unfinished = target.with_name(f"{target.name}.part")
    with ExitStack() as held:
        for name in NAMES:
            held.enter_context(exclusive(place, name))
        shutil.rmtree(unfinished, ignore_errors=True)
        _project(place, unfinished / "project")
        _state(place.state, unfinished / "state")
    write_json(unfinished / DIGEST, {part: sha256_tree(unfinished / part) for part in ("project", "state")})
    unfinished.rename(target)
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    return f"{target}: {size / 1e6:.1f} MB"


def _project(place: Place, target: Path) -> None:
    """All but the environment and DVC's cache, which are made again; and the state where it lies inside."""

    def left_out(folder: str, names: list[str]) -> set[str]:
        again = MADE_AGAIN + (OF_DVC if Path(folder).name == ".dvc" else ())
        return {name for name in names if name in again or Path(folder, name) == place.state}

    shutil.copytree(place.project, target, ignore=left_out, symlinks=True)


def _state(source: Path, target: Path) -> None:
    """Files first, then the databases that name them, of those the ledger last."""
    databases = sorted(source.rglob("*.db"), key=lambda path: (path.name == LEDGER, path))
    known = set(databases)

    def left_out(folder: str, names: list[str]) -> set[str]:
        return {name for name in names if Path(folder, name) in known or name.endswith(WAL)}

    shutil.copytree(source, target, ignore=left_out, symlinks=True)
    for path in databases:
        to = target / path.relative_to(source)
        with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(to)) as new:
            old.backup(new)


def restore(place: Place, source: Path) -> str:
    """Puts a backup's project and state where nothing is yet; says what to do next.

    Raises:
        EquipoiseError: E_MISSING (66) for a folder that is no backup, E_BACKUP (65) for a damaged one, E_BACKUP (78)
            where something is there already.
    """
    digests = strict_json.read(source / DIGEST)
    for part in ("project", "state"):
        if not isinstance(digests, dict) or digests.get(part) != sha256_tree(source / part):
            hint = "Take another backup: this one is incomplete or was changed"
            raise bad_data(str(source / part), "must be as it was copied", got="other bytes", hint=hint, code="BACKUP")
    for folder in (place.project, place.state):
        _unused(folder, "nothing may be there yet")
    shutil.copytree(source / "project", place.project, symlinks=True, dirs_exist_ok=True)
    shutil.copytree(source / "state", place.state, symlinks=True, dirs_exist_ok=True)
    place.state.chmod(0o700)
    return f"{place.project}: restored. Next: equipoise doctor"


def _unused(folder: Path, rule: str) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise misconfigured(str(folder), rule, got="something there", hint="Name another folder", code="BACKUP")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code; one line about what was done or why not."""
    parser = argparse.ArgumentParser(description="Copies a project and its state, and puts the copy back.")
    parser.add_argument("verb", choices=("make", "restore"))
    parser.add_argument("target", type=Path)
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True)
    options = parser.parse_args(arguments)
    place = Place(options.project.absolute(), options.state.absolute())
    verb: Callable[[Place, Path], str] = make if options.verb == "make" else restore
    try:
        print(verb(place, options.target.absolute()))
    except EquipoiseError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except OSError as error:
        failure = write_error(Path(error.filename or options.target), error)
        print(failure, file=sys.stderr)
        return failure.exit_code
    return Exit.DONE


if __name__ == "__main__":
    sys.exit(main())
