"""The cycle against servers: MLflow's keeps runs and models, Prefect's the flow run, the state folder neither."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.registry import aliases, artefacts, tracking
from components.registry.database import cache_folder, ensure_template
from components.registry.ledger import open_ledger
from flows.scheduling import free_port, server
from flows.state import Place, make_state
from tests.flows.projects import command, real_project

W = "tool_calling"


@contextlib.contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """The address of a real MLflow server that keeps database and artefacts in `folder` and proxies the artefacts."""
    folder.mkdir()
    tracking.calm_environment()
    shutil.copyfile(ensure_template(cache_folder(folder)), folder / "mlflow.db")
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination",
        str(folder / "a"),
    ]
    process = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    )  # fmt: skip
    up = threading.Event()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if "Application startup complete" in line:
                up.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        assert up.wait(600), "the MLflow server did not come up"
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
        reader.join(60)


def asked_of_prefect(address: str, path: str) -> list[dict]:
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: address}), get_client(sync_client=True) as client:
        return client.request("POST", path, json={}).json()  # type: ignore[arg-type]


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "EQUIPOISE_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    folder = real_project(tmp_path / "project")
    tool = {"name": "clock.set", "description": "Sets an alarm", "parameters": {"time": "when it rings"}}
    row = {"tools": [tool], "history": [{"role": "user", "content": "wake me at 7:30 please"}]}
    (folder / "asked.jsonl").write_text(json.dumps(row) + "\n")
    return folder


@pytest.mark.timeout(3000)
def test_a_retraining_against_servers(project, tmp_path, monkeypatch):
    servers = Place(tmp_path, tmp_path / "servers")
    make_state(servers)
    with mlflow_server(tmp_path / "mlflow") as mlflow, server(servers) as prefect:
        there = {"MLFLOW_TRACKING_URI": mlflow, "PREFECT_API_URL": prefect}
        done = command(project, "retrain", W, "--json", **there)
        outcome = json.loads(done.stdout)
        assert done.returncode in (0, 10, 11), done.stderr[-3000:]
        assert outcome["version"] == 2 and all(stage["ran"] for stage in outcome["stages"].values())
        monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow)
        check_mlflow(project, outcome)
        check_prefect(prefect)
        predicted = command(project, "predict", W, "--input", "asked.jsonl", "--version", "2", **there)
        assert predicted.returncode == 0 and len(predicted.stdout.splitlines()) == 1, predicted.stderr
    check_without_servers(project, there)


def check_mlflow(project: Path, outcome: dict) -> None:
    """Both versions lie on the server, byte for byte as the ledger has them, and its aliases show the champion."""
    state = project / ".equipoise"
    store = tracking.open_store(state, "equipoise")
    mlflow = tracking.client(store)
    shown = mlflow.get_registered_model(store.model_name(W)).aliases
    assert int(shown["champion"]) == outcome["champion"]
    with open_ledger(state / "ledger.db") as ledger:
        digests = {version: ledger.registered(W, version)["artefact_digest"] for version in (1, 2)}
    for version, digest in digests.items():
        folder = aliases.resolve(store, W, version, digest)
        assert folder == state / "models" / digest and artefacts.verify(folder) == digest
    runs = mlflow.search_runs([tracking.experiment_id(store, "train")])
    assert {run.info.status for run in runs} == {"FINISHED"}
    kinds = [{name.partition("/")[0] for name in run.data.metrics} for run in runs]
    assert {"train", "validation", "test"} in kinds  # of the trained model: its curves and its evaluation
    assert not (state / "mlflow.db").exists() and not (state / "mlartifacts").exists()


def check_prefect(address: str) -> None:
    """The run's page is on the server: the flow, its tasks, the tables."""
    (run,) = asked_of_prefect(address, "/flow_runs/filter")
    assert run["name"] == f"retrain {W}" and run["state"]["type"] == "COMPLETED"
    names = {task["name"] for task in asked_of_prefect(address, "/task_runs/filter")}
    assert {f"prepare@{W}", f"train@{W}", f"evaluate@{W}", f"register {W}", f"gate {W} version 2"} <= names
    keys = {artifact["key"] for artifact in asked_of_prefect(address, "/artifacts/filter")}
    assert keys == {"tool-calling-stages", "tool-calling-metrics", "tool-calling-gate"}


def check_without_servers(project: Path, there: dict[str, str]) -> None:
    """With both servers gone: nothing to do is still answered, everything else says at once which server is missing."""
    again = command(project, "retrain", W, "--json", **there)
    assert again.returncode == 0 and json.loads(again.stdout)["decision"] == "UNCHANGED"
    asked = command(project, "predict", W, "--input", "asked.jsonl", "--json", **there)
    assert asked.returncode == 69 and json.loads(asked.stdout)["error"]["code"] == "E_TRACKING"
    changed = command(project, "retrain", W, "--seed", "5", "--json", **there)
    assert changed.returncode == 69 and json.loads(changed.stdout)["error"]["code"] == "E_PREFECT"
    assert not list((project / ".equipoise" / "prefect").rglob("*.db"))
