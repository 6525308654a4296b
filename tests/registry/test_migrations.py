"""Opening a ledger: migrations on both databases, and clear answers where it cannot be opened."""

from __future__ import annotations

import os
import socket
import sqlite3
import stat
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect, text

from components.errors import EquipoiseError
from components.registry import ledger_store
from components.registry.ledger import open_ledger
from components.registry.ledger_schema import HEAD, LEDGER, METADATA, VERSION_TABLE
from tests.registry.postgres import postgres_server, postgres_url  # noqa: F401

W = "tool_calling"


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "ledger.db") if request.param == "sqlite" else request.getfixturevalue("postgres_url")


def engine_of(target: str) -> Engine:
    return create_engine(
        target.replace("postgresql://", "postgresql+psycopg://") if "://" in target else f"sqlite:///{target}"
    )


def migrations() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(ledger_store.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def test_the_named_head_is_the_newest_migration() -> None:
    assert migrations().get_heads() == [HEAD]


def test_migrations_from_empty_give_the_schema_of_the_code(target: str) -> None:
    open_ledger(target).close()
    engine = engine_of(target)
    with engine.connect() as connection:
        assert connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar() == HEAD
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, METADATA) == []
        columns = {c["name"]: c["nullable"] for c in inspect(connection).get_columns(LEDGER.name)}
    assert columns == {c.name: c.nullable for c in LEDGER.columns}
    engine.dispose()


def test_opening_again_changes_nothing(target: str) -> None:
    with open_ledger(target) as ledger:
        ledger.append_register(W, 1, actor="a", key="k", details={})
    with open_ledger(target) as ledger:
        assert ledger.verify().events == 1


def test_a_shared_database_keeps_the_other_tools_revision_table(target: str) -> None:
    """MLflow, Optuna and Prefect keep theirs in `alembic_version`; ours must neither read nor write it."""
    engine = engine_of(target)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('of mlflow')"))
    open_ledger(target).close()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "of mlflow"
    engine.dispose()


def test_a_ledger_of_a_newer_version_is_left_alone(target: str) -> None:
    open_ledger(target).close()
    engine = engine_of(target)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(EquipoiseError, match=r"E_LEDGER_SCHEMA .* got 9999\. A newer version") as caught:
        open_ledger(target)
    assert caught.value.exit_code == 78
    engine.dispose()


def test_the_embedded_ledger_is_durable_and_readable_while_written(tmp_path: Path) -> None:
    path = tmp_path / "state" / "deep" / "ledger.db"
    with open_ledger(path) as ledger, open_ledger(f"sqlite:///{path}") as reader:
        ledger.append_register(W, 1, actor="a", key="k", details={})
        with ledger._store.writing():
            assert len(reader.history(W)) == 1
        with ledger._store.engine.connect() as connection:
            assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
            assert connection.execute(text("PRAGMA synchronous")).scalar() == 2


def test_a_writer_that_waits_in_vain_says_busy(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_store, "LOCK_SECONDS", 0.2)
    with open_ledger(target) as one, open_ledger(target) as other, one._store.writing():
        with pytest.raises(EquipoiseError, match="E_BUSY") as caught:
            other.append_register(W, 1, actor="a", key="k", details={})
        assert caught.value.exit_code == 75


def test_an_interrupted_first_migration_starts_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.db"
    monkeypatch.setattr(ledger_store, "upgrade", lambda connection, found, place: _half_upgrade(connection))
    with pytest.raises(KeyboardInterrupt):
        open_ledger(path)
    monkeypatch.undo()
    with open_ledger(path) as ledger:
        assert ledger.verify().events == 0


def _half_upgrade(connection) -> None:
    LEDGER.create(connection)
    raise KeyboardInterrupt


UNUSABLE_URLS = [
    ("mysql://u:canary@h/d", "E_LEDGER_URL", 78),
    ("postgresql://u:canary@h:port/d", "E_LEDGER_URL", 78),
    ("sqlite://", "E_LEDGER_URL", 78),
    ("://", "E_LEDGER_URL", 78),
    ("postgresql://u:canary@127.0.0.1:1/d", "E_LEDGER_UNREACHABLE", 69),
    ("postgresql://u:canary@/d?host=/nonexistent", "E_LEDGER_UNREACHABLE", 69),
]


@pytest.mark.parametrize("url,code,status", UNUSABLE_URLS)
def test_unusable_urls_are_answered_without_their_password(url: str, code: str, status: int) -> None:
    with pytest.raises(EquipoiseError) as caught:
        open_ledger(url)
    assert caught.value.code == code
    assert caught.value.exit_code == status
    assert "canary" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_that_says_nothing_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_store, "CONNECT_SECONDS", 2)  # the least that libpq takes
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(EquipoiseError) as caught:
        open_ledger(f"postgresql://u:canary@127.0.0.1:{silent.getsockname()[1]}/d")
    assert (caught.value.code, caught.value.exit_code) == ("E_LEDGER_UNREACHABLE", 69)
    assert "canary" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_database_that_is_not_there_is_unreachable(postgres_url: str) -> None:  # noqa: F811
    with pytest.raises(EquipoiseError, match="E_LEDGER_UNREACHABLE") as caught:
        open_ledger(postgres_url.replace("/postgres?", "/absent?"))
    assert caught.value.exit_code == 69


@pytest.mark.parametrize(
    "content",
    [b"not a database, but longer than a header would be" * 30, b"\x00" * 100, b"SQLite format 3\x00" + b"\x02" * 200],
)
def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(content)
    with pytest.raises(EquipoiseError, match="E_LEDGER_DAMAGED") as caught:
        open_ledger(path)
    assert caught.value.exit_code == 78
    assert path.read_bytes() == content


def test_a_place_that_is_a_folder_or_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "file" / "ledger.db"):
        with pytest.raises(EquipoiseError, match="E_WRITE") as caught:
            open_ledger(path)
        assert caught.value.exit_code == 73


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(EquipoiseError, match="E_WRITE"):
        open_ledger(tmp_path / "ledger.db")


def test_a_full_disk_leaves_the_earlier_events(tmp_path: Path) -> None:
    """SQLite's own page limit stands in for the full disk: the same SQLITE_FULL comes back."""
    path = tmp_path / "ledger.db"
    with open_ledger(path) as ledger:
        ledger.append_register(W, 1, actor="a", key="k", details={})
        with sqlite3.connect(path) as raw:
            pages = raw.execute("PRAGMA page_count").fetchone()[0]
        raw.close()
        with ledger._store.engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(EquipoiseError, match="E_IO") as caught:
            ledger.append_register(W, 2, actor="a", key="k2", details={"x": "y" * 50_000})
        assert caught.value.exit_code == 74
        assert ledger.verify().events == 1
