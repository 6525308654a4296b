"""Where the ledger lies: a SQLite file or a PostgreSQL database, opened, migrated and locked."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from components.errors import EquipoiseError, Exit, busy, misconfigured
from components.registry.ledger_schema import HEAD, VERSION_TABLE

LOCK_SECONDS = 30  # how long a writer waits for its turn before it says busy
CONNECT_SECONDS = 10
ADVISORY_LOCK = 0x4551504C  # "EQPL": PostgreSQL's name of our write lock
WRITE = "ledger_write"


class Store:
    """A database with the ledger's table at the newest schema; hands out reading and writing transactions."""

    def __init__(self, target: str | Path) -> None:
        self.url = _url(target)
        self.place = self.url.render_as_string(hide_password=True)
        self.engine = _engine(self.url)
        self._migrate()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent snapshot."""
        with _explained(self.place), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """The only writer: waits for its turn before it reads anything, commits at the end, or leaves no trace.

        Raises:
            EquipoiseError: E_BUSY (75) when the turn does not come, E_LEDGER_UNREACHABLE (69) without a server,
                E_WRITE (73) and E_IO (74) when the file or disk refuses.
        """
        with (
            _explained(self.place),
            self.engine.connect().execution_options(**{WRITE: True}) as connection,
            connection.begin(),
        ):
            if self.engine.dialect.name == "postgresql":
                connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS * 1000:.0f}ms'"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
            yield connection

    def close(self) -> None:
        """Closes all connections to the database."""
        self.engine.dispose()

    def _migrate(self) -> None:
        if self.engine.dialect.name == "postgresql":
            with self.reading() as connection:
                found = _revision(connection)
            if found != HEAD:
                self._upgrade()
            return
        path = Path(self.url.database or "")
        if _is_wal(path):
            with self.reading() as connection:
                found = _revision(connection)
            if found == HEAD:
                return
        with _creation_lock(path):
            self._to_wal()
            self._upgrade()

    def _to_wal(self) -> None:
        with _explained(self.place):
            raw = self.engine.raw_connection()
            try:
                raw.cursor().execute("PRAGMA journal_mode = WAL")
            finally:
                raw.close()

    def _upgrade(self) -> None:
        with self.writing() as connection:
            if (found := _revision(connection)) != HEAD:  # another process may have been faster
                upgrade(connection, found, self.place)


def upgrade(connection: Connection, found: str | None, place: str) -> None:
    """Brings the schema from revision `found` (None: empty database) to HEAD inside the caller's transaction.

    Raises:
        EquipoiseError: E_LEDGER_SCHEMA (78) when a newer version of the product made the ledger.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    folder = Path(__file__).parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise misconfigured(
            place,
            f"the ledger's schema must be one of {', '.join(sorted(known))}",
            got=found,
            hint="A newer version of the product made this ledger: update the program",
            code="LEDGER_SCHEMA",
        )
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()


def _url(target: str | Path) -> URL:
    """A path, `sqlite:///path` or `postgresql://...` as SQLAlchemy's URL with the driver that is installed."""
    if isinstance(target, Path) or "://" not in target:
        return URL.create("sqlite", database=str(Path(target).absolute()))
    try:
        url = make_url(target)
    except (ArgumentError, ValueError) as error:
        raise _bad_url("a URL that cannot be read") from error
    if url.get_backend_name() in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        return url.set(drivername="sqlite", database=str(Path(url.database).absolute()))
    raise _bad_url(url.render_as_string(hide_password=True))


def _bad_url(got: str) -> EquipoiseError:
    return misconfigured(
        "EQUIPOISE_DATABASE_URL",
        "must be a path, sqlite:///PATH or postgresql://USER@HOST/DATABASE",
        got=got,
        hint="Unset it for the embedded ledger",
        code="LEDGER_URL",
    )


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        return create_engine(
            url,
            pool_size=1,
            max_overflow=4,
            pool_pre_ping=True,
            isolation_level="READ COMMITTED",
            connect_args={"connect_timeout": CONNECT_SECONDS},
        )
    try:
        Path(url.database or "").parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(str(url.database), error.strerror or str(error)) from error
    engine = create_engine(url, connect_args={"timeout": LOCK_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves; the driver would begin too late
    connection.execute("PRAGMA synchronous = FULL")  # a promotion that was answered survives a power cut


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _is_wal(path: Path) -> bool:
    """Read from the header itself: asking through SQLite would hold a lock while another process creates the file."""
    try:
        with path.open("rb") as handle:
            return handle.read(20)[18:20] == b"\x02\x02"
    except OSError:
        return False


@contextmanager
def _creation_lock(path: Path) -> Iterator[None]:
    """Switching to WAL cannot wait for its turn in SQLite itself; the kernel frees this lock if we are killed."""
    try:
        handle = path.with_name(path.name + ".lock").open("w")
    except OSError as error:
        raise _cannot_write(str(path), error.strerror or str(error)) from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def _explained(place: str) -> Iterator[None]:
    """Turns the database's errors into ours; what is none of the known ones passes unchanged."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        original: Any = error.orig if isinstance(error, DBAPIError) else error
        number = getattr(original, "sqlite_errorcode", None)
        if isinstance(error, DBAPIError) and number is None:
            answer = _postgresql_errors(error)
        else:
            answer = _sqlite_errors(number or 0)
        if answer is None:
            raise
        raise answer(place, _first_line(original)) from error


def _first_line(error: Any) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


Answer = Callable[[str, str], EquipoiseError]


def _sqlite_errors(code: int) -> Answer | None:
    """By SQLite's primary result code (https://www.sqlite.org/rescode.html)."""
    answers = {_is_busy: (5, 6), _cannot_write: (8, 14), _io_error: (10, 13), _no_ledger: (11, 26)}
    return next((answer for answer, codes in answers.items() if code & 0xFF in codes), None)


def _postgresql_errors(error: DBAPIError) -> Answer | None:
    """By SQLSTATE; an error without one never reached a server."""
    state = getattr(error.orig, "sqlstate", None)
    if error.connection_invalidated or (state is None and isinstance(error, OperationalError)):
        return _unreachable
    state = state or ""
    if state in {"55P03", "40001", "40P01", "53300"}:
        return _is_busy
    if state.startswith(("08", "28", "57P")) or state == "3D000":
        return _unreachable
    if state in {"25006", "42501"}:
        return _cannot_write
    return _io_error if state.startswith(("53", "58")) else None


def _is_busy(place: str, got: str) -> EquipoiseError:
    return busy(place, f"the ledger must be free within {LOCK_SECONDS} s", got=got, hint="Run the same command again")


def _unreachable(place: str, got: str) -> EquipoiseError:
    return EquipoiseError(
        "LEDGER_UNREACHABLE",
        place,
        "the database server must answer and let us in",
        got=got,
        hint="Start it or mend EQUIPOISE_DATABASE_URL, then run the same command again",
        exit_code=Exit.SERVICE_UNAVAILABLE,
    )


def _cannot_write(place: str, got: str) -> EquipoiseError:
    hint = "Grant write permission there or choose another --state folder"
    return EquipoiseError(
        "WRITE", place, "the ledger must be writable", got=got, hint=hint, exit_code=Exit.CANNOT_WRITE
    )


def _io_error(place: str, got: str) -> EquipoiseError:
    hint = "Free space or mend the disk, then run the same command again"
    return EquipoiseError(
        "IO", place, "the ledger's disk must take the event", got=got, hint=hint, exit_code=Exit.IO_ERROR
    )


def _no_ledger(place: str, got: str) -> EquipoiseError:
    hint = "Restore the file from a backup; nothing is promoted without a whole ledger"
    return misconfigured(place, "must be a whole SQLite database", got=got, hint=hint, code="LEDGER_DAMAGED")
