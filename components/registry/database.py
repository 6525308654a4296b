"""The embedded MLflow database: a copy of a migrated template, because migrating a fresh one takes many seconds.

The template lives in the user's cache, named by MLflow's version and newest migration, so an upgrade makes a new one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

from components.errors import EquipoiseError, Exit
from components.files import write_atomically


def cache_folder(state: Path) -> Path:
    """EQUIPOISE_CACHE, else the user's cache folder; without a home, a folder inside the state."""
    if named := os.environ.get("EQUIPOISE_CACHE"):
        return Path(named)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "equipoise"
    home = os.environ.get("HOME")
    return Path(home) / ".cache" / "equipoise" if home and Path(home).is_dir() else state / "cache"


def ensure_database(database: Path, state: Path) -> None:
    """Puts a migrated, empty MLflow database at `database` unless one is there; safe when several processes ask.

    Raises:
        EquipoiseError: E_WRITE (73) or E_IO (74) when neither the cache nor the state can be written.
    """
    if database.exists():
        return
    with exclusive(state / "locks" / "mlflow-database.lock"):
        if not database.exists():
            template = ensure_template(_writable_cache(state))
            write_atomically(database, lambda target: _copy(template, target))


def ensure_template(cache: Path) -> Path:
    """The template of the installed MLflow; made under a lock, published by one rename, remade when damaged."""
    import mlflow
    from mlflow.store.db.utils import _get_latest_schema_revision

    head = _get_latest_schema_revision()
    template = cache / f"mlflow-{mlflow.__version__}-{head}.db"
    with exclusive(cache / "mlflow-template.lock"):
        if _revision(template) != head:
            unfinished = cache / f"{template.name}.{os.getpid()}.part"
            try:
                _migrate(unfinished)
                unfinished.replace(template)
            finally:
                for suffix in ("", "-wal", "-shm", "-journal"):
                    unfinished.with_name(unfinished.name + suffix).unlink(missing_ok=True)
    return template


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Holds an advisory lock on the file `lock`; the kernel frees it when its holder dies."""
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = lock.open("a")
    except OSError as error:
        rule, hint = "must be writable", "Grant write permission there or choose another --state folder"
        got = error.strerror or str(error)
        raise EquipoiseError("WRITE", str(lock), rule, got=got, hint=hint, exit_code=Exit.CANNOT_WRITE) from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _writable_cache(state: Path) -> Path:
    cache = cache_folder(state)
    try:
        with exclusive(cache / "mlflow-template.lock"):
            return cache
    except EquipoiseError:  # a read-only home: the state folder must be writable anyway
        return state / "cache"


def _migrate(path: Path) -> None:
    """Creates and migrates a database; WAL, so that a reader never waits for a writer, is kept in the file itself."""
    import logging

    import sqlalchemy
    from mlflow.store.db.utils import _initialize_tables

    for name in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.WARNING)
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    try:
        _initialize_tables(engine)
    finally:
        engine.dispose()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _revision(path: Path) -> str | None:
    """The newest migration applied to the database, None where there is no readable one."""
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            healthy = connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
    except sqlite3.Error:
        return None
    return row[0] if row and healthy else None


def _copy(source: Path, target: BinaryIO) -> None:
    with source.open("rb") as handle:
        shutil.copyfileobj(handle, target)
