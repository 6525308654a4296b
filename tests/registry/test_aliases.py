"""The ledger's state as MLflow shows it, and versions fetched from the store."""

import os
import shutil
import sqlite3
import subprocess
import sys
import urllib.request
from contextlib import closing

import pytest

from components.errors import EquipoiseError, Exit
from components.registry import artefacts, packaging, tracking
from components.registry.aliases import Standing, agree, project, resolve


@pytest.fixture(scope="module")
def versions(registry, model_folder, requests):
    """(store, [three versions of one model])."""
    store, run_id, first = registry
    more = [
        packaging.log_model(store, run_id, model_folder, "tool_calling", examples=requests[:1]).version
        for _ in range(2)
    ]
    return store, [first.version, *more]


@pytest.fixture
def bare(versions):
    """The same registry without aliases and generation."""
    store, numbers = versions
    mlflow = tracking.client(store)
    model = mlflow.get_registered_model("equipoise-tool_calling")
    for alias in model.aliases:
        mlflow.delete_registered_model_alias(model.name, alias)
    if "generation" in model.tags:
        mlflow.delete_registered_model_tag(model.name, "generation")
    return store, numbers


def shown(store):
    model = tracking.client(store).get_registered_model("equipoise-tool_calling")
    return {alias: int(version) for alias, version in model.aliases.items()}


def test_a_promotion_is_shown(bare):
    store, (one, two, three) = bare
    standing = Standing(two, one, three, 2, "2026-11-01T00:00:00.000000Z", "ab" * 32)
    assert project(store, "tool_calling", standing)
    assert shown(store) == {"champion": two, "previous-champion": one, "challenger": three}
    tags = tracking.client(store).get_model_version("equipoise-tool_calling", str(two)).tags
    assert (tags["generation"], tags["promoted_at"], tags["gate_report"]) == (
        "2",
        "2026-11-01T00:00:00.000000Z",
        "ab" * 32,
    )
    assert agree(store, "tool_calling", standing) == []


def test_projecting_again_changes_nothing(bare):
    store, (one, two, _) = bare
    standing = Standing(two, one, None, 2)
    project(store, "tool_calling", standing)
    before = tracking.client(store).get_registered_model("equipoise-tool_calling").last_updated_timestamp
    assert project(store, "tool_calling", standing)
    after = tracking.client(store).get_registered_model("equipoise-tool_calling").last_updated_timestamp
    assert before == after


def test_aliases_that_the_ledger_does_not_know_are_taken_away_and_foreign_ones_are_not(bare):
    store, (one, two, three) = bare
    project(store, "tool_calling", Standing(two, one, three, 2))
    tracking.client(store).set_registered_model_alias("equipoise-tool_calling", "somebodys-own", "1")
    project(store, "tool_calling", Standing(one, None, None, 3))
    assert shown(store) == {"champion": one, "somebodys-own": one}


def test_an_older_generation_does_not_overwrite_a_newer_one(bare):
    """Two promotions follow each other and the slower process projects last."""
    store, (one, two, three) = bare
    project(store, "tool_calling", Standing(three, two, None, 3))
    assert not project(store, "tool_calling", Standing(two, one, None, 2))
    assert shown(store) == {"champion": three, "previous-champion": two}


def test_a_crash_between_two_aliases_is_repaired_by_the_next_call(bare, monkeypatch):
    store, (one, two, _) = bare
    project(store, "tool_calling", Standing(one, None, None, 1))
    mlflow, done = tracking.client(store), []
    kept = type(mlflow).set_registered_model_alias

    def once(self, *given):
        if done:
            raise KeyboardInterrupt
        done.append(given)
        return kept(self, *given)

    monkeypatch.setattr(type(mlflow), "set_registered_model_alias", once)
    standing = Standing(two, one, None, 2)
    with pytest.raises(KeyboardInterrupt):
        project(store, "tool_calling", standing)
    monkeypatch.undo()
    assert agree(store, "tool_calling", standing) != []
    assert project(store, "tool_calling", standing)
    assert agree(store, "tool_calling", standing) == []


def test_every_disagreement_is_said(bare):
    store, (one, two, three) = bare
    project(store, "tool_calling", Standing(two, one, None, 2, "then"))
    mlflow = tracking.client(store)
    mlflow.set_registered_model_alias("equipoise-tool_calling", "champion", str(three))
    mlflow.delete_registered_model_alias("equipoise-tool_calling", "previous-champion")
    mlflow.set_model_version_tag("equipoise-tool_calling", str(two), "promoted_at", "never")
    assert agree(store, "tool_calling", Standing(two, one, None, 2, "then")) == [
        "alias champion of equipoise-tool_calling is on version 3, the ledger says version 2",
        "alias previous-champion of equipoise-tool_calling is on no version, the ledger says version 1",
        "tag promoted_at of equipoise-tool_calling version 2 is never, the ledger says then",
    ]
    ahead = agree(store, "tool_calling", Standing(two, one, None, 3, "then"))
    assert "generation of equipoise-tool_calling is 2, the ledger says 3" in ahead


def test_a_champion_that_the_registry_lost(bare):
    store, _ = bare
    problems = agree(store, "tool_calling", Standing(99, None, None, 1))
    assert any("version 99 of equipoise-tool_calling is not in the registry" in each for each in problems)
    with pytest.raises(EquipoiseError, match="E_TRACKING"):
        project(store, "tool_calling", Standing(99, None, None, 1))


def test_a_workload_without_a_model(bare):
    store, _ = bare
    assert agree(store, "trading", Standing(None, None, None, 0)) == []
    assert agree(store, "trading", Standing(4, 3, None, 2)) == [
        "model equipoise-trading is not in the registry, the ledger knows version 3 of it",
        "model equipoise-trading is not in the registry, the ledger knows version 4 of it",
    ]


def test_resolve_gives_a_verified_folder(versions):
    store, (one, *_) = versions
    folder = resolve(store, "tool_calling", one)
    assert folder.is_relative_to(store.artefacts) and (folder / "MLmodel").is_file()


def test_resolve_checks_the_ledgers_digest_not_only_its_own(versions):
    store, (one, *_) = versions
    with pytest.raises(EquipoiseError, match="E_ARTEFACT") as caught:
        resolve(store, "tool_calling", one, "0" * 64)
    assert caught.value.exit_code == Exit.BAD_DATA


def test_resolve_of_a_version_that_is_not_there(versions):
    store, _ = versions
    with pytest.raises(EquipoiseError, match="E_MODEL_VERSION") as caught:
        resolve(store, "tool_calling", 99)
    assert caught.value.exit_code == Exit.MISSING_INPUT


def foreign_version(store, source, digest="0" * 64):
    """A version that somebody put into the registry's database by hand."""
    name = "equipoise-tool_calling"
    version = tracking.client(store).create_model_version(name, "file:///nowhere", tags={"artefact_digest": digest})
    with closing(sqlite3.connect(store.state / "mlflow.db")) as connection, connection:
        connection.execute(
            "UPDATE model_versions SET source = ?, storage_location = ? WHERE name = ? AND version = ?",
            (str(source), str(source), name, int(version.version)),
        )
    return int(version.version)


@pytest.mark.parametrize(
    "source",
    ["{outside}", "file://{outside}", "{inside}/../../outside", "{store}", "/etc", "s3://bucket/model", "models:/m-1"],
)
def test_sources_outside_the_store_are_refused_unread(versions, tmp_path, source):
    store, (one, *_) = versions
    inside = resolve(store, "tool_calling", one)
    outside = tmp_path / "outside"
    shutil.copytree(inside, outside)
    text = source.format(outside=outside, inside=inside, store=store.artefacts)
    version = foreign_version(store, text, artefacts.verify(outside))
    with pytest.raises(EquipoiseError, match="E_MODEL_SOURCE") as caught:
        resolve(store, "tool_calling", version)
    assert caught.value.exit_code == Exit.CONFIGURATION


def test_a_link_that_leads_out_of_the_store_is_refused(versions, tmp_path):
    store, (one, *_) = versions
    inside = resolve(store, "tool_calling", one)
    shutil.copytree(inside, tmp_path / "outside")
    link = store.artefacts / "train" / "linked"
    link.symlink_to(tmp_path / "outside")
    version = foreign_version(store, link, artefacts.verify(inside))
    with pytest.raises(EquipoiseError, match="E_MODEL_SOURCE"):
        resolve(store, "tool_calling", version)


def test_a_version_without_a_digest_is_not_loaded(versions):
    store, (one, *_) = versions
    mlflow = tracking.client(store)
    made = mlflow.create_model_version("equipoise-tool_calling", str(resolve(store, "tool_calling", one)))
    with pytest.raises(EquipoiseError, match="E_ARTEFACT") as caught:
        resolve(store, "tool_calling", int(made.version))
    assert caught.value.exit_code == Exit.BAD_DATA


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A real MLflow server with its own database and artefacts, on loopback."""
    import socket
    import time

    folder = tmp_path_factory.mktemp("server")
    tracking.calm_environment()
    from components.registry.database import ensure_database

    ensure_database(folder / "server.db", folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}"]
    command += ["--artifacts-destination", str(folder / "artefacts")]
    address = f"http://127.0.0.1:{port}"
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        try:
            deadline = time.monotonic() + 300
            while True:
                try:
                    urllib.request.urlopen(f"{address}/version", timeout=2).close()
                    break
                except OSError:
                    assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
                    time.sleep(0.2)
            yield address
        finally:
            os.killpg(process.pid, 15)
            process.wait(30)


def test_the_same_works_against_a_server(server, tmp_path, model_folder, requests, monkeypatch):
    """Run, version, aliases, and the artefact downloaded once, verified, and refused after a flip."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    store = tracking.open_store(tmp_path / "state", "equipoise")
    run_id = tracking.start_run(store, "train", "tool_calling", "remote", params={"a": 1}, tags={"seed": 1})
    made = packaging.log_model(store, run_id, model_folder, "tool_calling", examples=requests)
    tracking.finish_run(store, run_id)
    standing = Standing(made.version, None, None, 1)
    project(store, "tool_calling", standing)
    assert agree(store, "tool_calling", standing) == []
    folder = resolve(store, "tool_calling", made.version, made.digest)
    assert folder == store.state / "models" / made.digest
    assert resolve(store, "tool_calling", made.version) == folder
    (folder / "MLmodel").write_text("changed")
    with pytest.raises(EquipoiseError, match="E_ARTEFACT"):
        resolve(store, "tool_calling", made.version)
