"""Where studies are kept, as `optuna-dashboard` opens them: optuna.db in the state folder, or PostgreSQL."""

from __future__ import annotations

import fcntl
import sqlite3
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import optuna
import sqlalchemy
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from components.errors import EquipoiseError, Exit, misconfigured

WAIT_SECONDS = 30  # for another writer, and for a server to answer
VARIABLE = "EQUIPOISE_DATABASE_URL"
BEAT_SECONDS, GRACE_SECONDS = 15, 60  # a candidate without a sign of life for so long is taken over
PATIENCE_SECONDS = 120.0  # how long a server may be away while it restarts
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0  # between two calls to a server that is away

Found = TypeVar("Found")


def open_storage(state: Path, address: str | None) -> tuple[optuna.storages.RDBStorage, str]:
    """The storage of `address` (PostgreSQL or SQLite; None: optuna.db in the state), and its name without a password.

    Raises:
        EquipoiseError: E_STUDY_STORAGE 69 without a server, 73 where nothing may be written, 78 for an address or a
            database that is not one of Optuna's.
    """
    url = _url(state, address)
    place = url.render_as_string(hide_password=True)
    sqlite = url.get_backend_name() == "sqlite"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    warnings.filterwarnings("ignore", message="Heartbeat of storage")  # trials are asked for, and beat while they run
    connection = {"timeout" if sqlite else "connect_timeout": WAIT_SECONDS}
    options = {"connect_args": connection, "pool_pre_ping": not sqlite}
    with explained(place):
        return optuna.storages.RDBStorage(
            url.render_as_string(hide_password=False), engine_kwargs=options,
            heartbeat_interval=BEAT_SECONDS, grace_period=GRACE_SECONDS,
        ), place  # fmt: skip


@contextmanager
def claiming(storage: optuna.storages.RDBStorage, study: str) -> Iterator[None]:
    """One process at a time, on whatever machine, begins candidates of a study or takes them over."""
    engine = storage.engine
    if engine.url.get_backend_name() == "sqlite":
        with Path(f"{engine.url.database}.lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        return
    key = zlib.crc32(study.encode("utf-8"))
    with engine.begin() as connection:  # the server lets go at its end, also where this process or the line dies
        connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
        yield


@contextmanager
def beating(
    storage: optuna.storages.RDBStorage, trials: Collection[int], seconds: float = BEAT_SECONDS
) -> Iterator[None]:
    """Signs of life of these trials (by their ids) while the block runs, by the storage's own clock.

    One that does not get through is made up by the next: whether the storage is there is found out when it is told.
    """
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT_SECONDS):
            for trial in trials:
                try:
                    storage.record_heartbeat(trial)
                except optuna.exceptions.StorageInternalError as error:
                    if not unreachable(error):
                        raise
                    break

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def stale(storage: optuna.storages.RDBStorage, study_id: int) -> set[int]:
    """Ids of the running trials that gave no sign of life for the grace period; those that never did are left out."""
    return set(storage._get_stale_trial_ids(study_id))


def beaten(storage: optuna.storages.RDBStorage) -> set[int]:
    """Ids of the trials, of whatever study, that gave a sign of life at some time."""
    with storage.engine.connect() as connection:
        return {row[0] for row in connection.execute(sqlalchemy.text("SELECT trial_id FROM trial_heartbeats"))}


def patiently(call: Callable[[], Found], patience: float = PATIENCE_SECONDS) -> Found:
    """What the call returns; it is called again while the database server is away, for at most `patience` seconds.

    The call may have taken effect although its answer was lost: it must look before it repeats what cannot be undone.
    """
    end, pause = time.monotonic() + patience, FIRST_PAUSE
    while True:
        try:
            return call()
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            if not unreachable(error) or time.monotonic() + pause > end:
                raise
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def unreachable(error: BaseException) -> bool:
    """Whether a database server did not answer, or hung up."""
    database = next((e for e in _causes(error) if isinstance(e, DBAPIError)), None)
    if database is None or getattr(database.orig, "sqlite_errorcode", None) is not None:
        return False
    kinds = {kind.__name__ for kind in type(database.orig).__mro__}
    return database.connection_invalidated or "OperationalError" in kinds


@contextmanager
def explained(place: str) -> Iterator[None]:
    """Turns what the storage raises into one line with an exit code."""
    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "table schema" not in str(error):
            raise
        raise _translated(place, error) from error


def _translated(place: str, error: BaseException) -> EquipoiseError:
    database = next((e for e in _causes(error) if isinstance(e, DBAPIError)), None)
    original = database.orig if database is not None else error
    lines = str(original).strip().splitlines()
    got = lines[0] if lines else type(original).__name__
    number = getattr(original, "sqlite_errorcode", None)
    if number is not None and number & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return _error(place, "must be free", got, "Run the same command again", Exit.BUSY)
    if number is not None and number & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        hint = "Grant write permission there or name another folder with --state"
        return _error(place, "must be writable", got, hint, Exit.CANNOT_WRITE)
    if number is not None and number & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return _error(place, "must have room", got, "Free space, then run the same command again", Exit.IO_ERROR)
    if unreachable(error):
        hint = f"Start the server or mend {VARIABLE}, then run the same command again"
        return _error(place, "the database server must answer and let us in", got, hint, Exit.SERVICE_UNAVAILABLE)
    hint = "Restore it, or move it away to begin anew"
    return _error(place, "must be a database of this Optuna's studies", got, hint, Exit.CONFIGURATION)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _error(place: str, rule: str, got: str, hint: str, status: Exit) -> EquipoiseError:
    return EquipoiseError("STUDY_STORAGE", place, rule, got=got, hint=hint, exit_code=status)


def _url(state: Path, address: str | None) -> URL:
    if not address:
        return URL.create("sqlite", database=str(state.absolute() / "optuna.db"))
    rule = "must be sqlite:///PATH or postgresql://USER@HOST/DATABASE"
    hint = "Unset it to keep studies in the state folder"
    try:
        url = make_url(address)
        if url.get_backend_name() in {"postgresql", "postgres"}:
            return url.set(drivername="postgresql+psycopg")
        if url.get_backend_name() == "sqlite" and url.database:
            return url
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise misconfigured(VARIABLE, rule, got="an address that cannot be read", hint=hint) from error
    raise misconfigured(VARIABLE, rule, got=url.render_as_string(hide_password=True), hint=hint)
