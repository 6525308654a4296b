"""A state folder that was moved or copied goes on: its models are found, new ones lie beside them."""

import os
import shutil
import sqlite3
from contextlib import closing

import pytest

from components.errors import EquipoiseError, Exit
from components.registry import aliases, artefacts, packaging, tracking
from components.registry.relocation import is_folder, local_path, rebase

W = "tool_calling"


def checkpointed(state) -> None:
    """Brings what the write-ahead log holds into the database file, as the end of every process does."""
    with closing(sqlite3.connect(state / "mlflow.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def texts(state) -> str:
    """All that stands in the database, in any column of any table."""
    with closing(sqlite3.connect(state / "mlflow.db")) as connection:
        return "\n".join(line for line in connection.iterdump() if line.startswith("INSERT"))


def version_of(store, model_folder, requests, run_id) -> packaging.Registered:
    return packaging.log_model(store, run_id, model_folder, W, examples=requests[:1])


@pytest.fixture
def registered(tmp_path, monkeypatch, model_folder, requests):
    """(state folder, run, version) in a folder whose name has what addresses must quote."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    state = tmp_path / "müde 100% 'state'"
    store = tracking.open_store(state, "equipoise")
    run_id = tracking.start_run(store, "train", W, "baseline", params={}, tags={})
    made = version_of(store, model_folder, requests, run_id)
    checkpointed(state)
    return state, run_id, made


@pytest.mark.parametrize("way", ["moved", "copied"])
def test_a_state_at_another_place_goes_on(registered, tmp_path, way, model_folder, requests):
    state, run_id, made = registered
    other = tmp_path / "elsewhere" / "own state"
    other.parent.mkdir()
    shutil.move(state, other) if way == "moved" else shutil.copytree(state, other)
    store = tracking.open_store(other, "equipoise")
    folder = aliases.resolve(store, W, made.version, made.digest)
    assert folder.is_relative_to(other) and artefacts.verify(folder) == made.digest
    second = version_of(store, model_folder, requests, run_id)
    assert aliases.resolve(store, W, second.version, second.digest).is_relative_to(other)
    tracking.finish_run(store, run_id, files=[model_folder / "model.json"])
    assert [p for p in (other / "mlartifacts").rglob("model.json") if run_id in p.parts]
    stored = texts(other)
    assert state.as_uri().replace("'", "''") not in stored and str(state).replace("'", "''") not in stored
    if way == "copied":  # the original is as it was, and complete
        first = tracking.open_store(state, "equipoise")
        assert aliases.resolve(first, W, made.version, made.digest).is_relative_to(state)
        assert len(list((state / "mlartifacts").rglob("MLmodel"))) == 1


def test_a_state_moved_there_and_back_is_the_same(registered, tmp_path):
    state, _, made = registered
    before = texts(state)
    for source, target in ((state, tmp_path / "b"), (tmp_path / "b", state)):
        shutil.move(source, target)
        tracking._client.cache_clear()  # as another process would find it
        aliases.resolve(tracking.open_store(target, "equipoise"), W, made.version)
        checkpointed(target)
    assert texts(state) == before


def test_what_has_not_moved_is_not_touched(registered):
    state, _, _ = registered
    written = (state / "mlflow.db").read_bytes()
    assert rebase(state / "mlflow.db", state / "mlartifacts", tracking.KINDS) == 0
    assert (state / "mlflow.db").read_bytes() == written


def test_a_link_to_the_state_is_the_same_state(registered, tmp_path):
    state, _, made = registered
    (tmp_path / "link").symlink_to(state)
    folder = aliases.resolve(tracking.open_store(tmp_path / "link", "equipoise"), W, made.version)
    assert folder == aliases.resolve(tracking.open_store(state, "equipoise"), W, made.version)


def test_addresses_elsewhere_are_left_alone(registered, tmp_path):
    """Only what lay in the earlier artefact folder moves: not a neighbour with a longer name, not a server's."""
    state, _, _ = registered
    database = state / "mlflow.db"
    kept = [f"{(state / 'mlartifacts').as_uri()}-more/x", "s3://bucket/mlartifacts/train/x", "/srv/mlartifacts/train"]
    with closing(sqlite3.connect(database)) as connection, connection:
        for number, address in enumerate(kept):
            connection.execute(
                "INSERT INTO model_versions (name, version, source, storage_location) VALUES (?, ?, ?, ?)",
                ("equipoise-tool_calling", 100 + number, address, address),
            )
    # experiment, run and logged model, and the version twice: where it came from and where it lies
    assert rebase(database, tmp_path / "new" / "mlartifacts", tracking.KINDS) == 5
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT source, storage_location FROM model_versions WHERE version >= 100").fetchall()
    assert rows == [(address, address) for address in kept]


def test_a_database_of_ones_own_does_not_follow_the_state(tmp_path, monkeypatch, registered):
    """Two state folders on one database: the second says where the artefacts lie instead of scattering them."""
    state, _, _ = registered
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'shared.db'}")
    shutil.copyfile(state / "mlflow.db", tmp_path / "shared.db")
    tracking.experiment_id(tracking.open_store(state, "equipoise"), "train")
    with pytest.raises(EquipoiseError, match="E_STATE_MOVED") as caught:
        tracking.experiment_id(tracking.open_store(tmp_path / "other", "equipoise"), "train")
    assert caught.value.exit_code == Exit.CONFIGURATION and "mlartifacts" in str(caught.value.got)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_moved_state_that_cannot_be_written_says_so(registered, tmp_path):
    state, _, _ = registered
    shutil.move(state, tmp_path / "b")
    (tmp_path / "b" / "mlflow.db").chmod(0o400)
    with pytest.raises(EquipoiseError) as caught:
        tracking.client(tracking.open_store(tmp_path / "b", "equipoise"))
    assert caught.value.exit_code == Exit.CANNOT_WRITE


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("file:///a/b%20c", "/a/b c"),
        ("/a/b%20c", "/a/b%20c"),
        ("s3://bucket/a", None),
        ("mlflow-artifacts:/1", None),
    ],
)
def test_the_folder_of_an_address(address, path, tmp_path):
    assert (found := local_path(address)) == path or str(found) == path
    assert not is_folder(address, tmp_path)
