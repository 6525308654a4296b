"""Flow runs of killed processes on a real Prefect server: told, closed by doctor, and closed by the next flow."""

import json
import os
import signal
import subprocess
import sys

import pytest

from flows.doctor import run
from flows.scheduling import server
from flows.state import Place, make_state
from tests.flows.projects import ROOT
from tests.flows.test_servers import asked_of_prefect

FLOW = """
import os, signal, sys
from uuid import UUID
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.context import TagsContext
from prefect.runtime import flow_run
from prefect.states import Pending, Running
from flows import flow_runs

@task
def work():
    pass

@flow(name="retrain", flow_run_name="retrain {workload}")
def retrain(workload):
    if sys.argv[1] == "die early":
        os.kill(os.getpid(), signal.SIGKILL)
    print(flow_runs.begin(), flush=True)
    if sys.argv[1] == "die":
        with get_client(sync_client=True) as client:
            client.create_task_run(work, UUID(flow_run.get_id()), "0", state=Running())
        os.kill(os.getpid(), signal.SIGKILL)

with flow_runs.named(), get_client(sync_client=True) as client:
    if sys.argv[1] == "die early":
        wanted = {"state": Pending(), "tags": TagsContext.get().current_tags}
        client.create_flow_run(retrain, parameters={"workload": "tool_calling"}, **wanted)
    retrain("tool_calling")
"""


def quiet(_line):
    pass


def flow(address: str, how: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PREFECT_API_URL": address, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", FLOW, how], env=environment, capture_output=True, text=True)


def states(address: str, what: str) -> list[str]:
    return sorted(each["state"]["type"] for each in asked_of_prefect(address, f"/{what}_runs/filter"))


@pytest.mark.timeout(900)
def test_flow_runs_whose_process_is_gone(plain, tmp_path, monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "EQUIPOISE_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    servers = Place(tmp_path, tmp_path / "servers")
    make_state(servers)
    with server(servers) as address:
        died = flow(address, "die")
        assert died.returncode == -signal.SIGKILL, died.stderr
        assert states(address, "flow") == ["RUNNING"] and states(address, "task") == ["RUNNING"]
        looked = run(plain, False, quiet)
        (found,) = looked["findings"]
        assert found["code"] == "E_FLOW_RUN_LEFT" and address in found["place"] and not looked["notes"]
        (mended,) = run(plain, True, quiet)["findings"]
        assert mended["fixed"] and states(address, "flow") == ["CRASHED"] and states(address, "task") == ["CRASHED"]
        assert run(plain, False, quiet)["findings"] == []

        assert flow(address, "die").returncode == -signal.SIGKILL
        ended = flow(address, "end")
        assert ended.stdout.strip() == "['retrain tool_calling']", ended.stderr
        assert states(address, "flow") == ["COMPLETED", "CRASHED", "CRASHED"]
        assert run(plain, False, quiet)["findings"] == []

        assert flow(address, "die early").returncode == -signal.SIGKILL
        assert states(address, "flow") == ["COMPLETED", "CRASHED", "CRASHED", "PENDING", "RUNNING"]
        assert all(found["fixed"] for found in run(plain, True, quiet)["findings"])
        assert states(address, "flow") == ["COMPLETED", *["CRASHED"] * 4]
    monkeypatch.setenv("PREFECT_API_URL", address)
    (away,) = run(plain, True, quiet)["findings"]
    assert away["code"] == "E_PREFECT" and not away["fixed"] and json.dumps(away)


def test_an_embedded_server_is_not_started_just_to_ask(plain, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    (plain.state / "prefect").mkdir(parents=True)
    (plain.state / "prefect" / "prefect.db").touch()
    found = run(plain, True, quiet)
    assert found["findings"] == [] and "Prefect was not asked" in found["notes"][0]
