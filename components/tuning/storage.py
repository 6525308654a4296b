"""Where studies are kept, as `optuna-dashboard` opens them: optuna.db in the state folder, or PostgreSQL."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from components.errors import EquipoiseError, Exit, misconfigured

WAIT_SECONDS = 30  # for another writer, and for a server to answer
VARIABLE = "EQUIPOISE_DATABASE_URL"


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
    options = {"connect_args": {"timeout" if sqlite else "connect_timeout": WAIT_SECONDS}}
    with explained(place):
        return optuna.storages.RDBStorage(url.render_as_string(hide_password=False), engine_kwargs=options), place


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
    if database is not None and number is None and type(original).__name__ == "OperationalError":
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
