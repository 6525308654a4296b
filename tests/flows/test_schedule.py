"""The schedule: what is planned, what infra/prefect.yaml says, and a real server that really fires."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from components.config import load_config
from components.workload import NAMES
from flows.scheduling import plan, server
from flows.state import Place, make_state
from tests.flows.processes import descendants, gone

ROOT = Path(__file__).parents[2]
SERVE = """
from pathlib import Path
from prefect import serve
from flows.deployments import deployment, every
from flows.state import Place
p = Path({project!r})
serve(deployment(Place(p, p / ".equipoise"), "tool_calling", every(4)), print_starting_message=False, limit=1)
"""
HOLDING = """
import threading
from pathlib import Path
from flows.scheduling import server
from flows.state import Place
p = Path({project!r})
with server(Place(p, p / ".equipoise")) as address:
    print(address, flush=True)
    threading.Event().wait()
"""
QUICK = {
    "PREFECT_RUNNER_POLL_FREQUENCY": "2",
    "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
    "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "2",
}


def test_the_plan_names_the_next_runs_in_utc(plain):
    planned = plan(plain, "tool_calling", dry_run=True)
    assert planned["cron"] == load_config(plain.params).tool_calling.schedule.cron
    assert (planned["concurrency_limit"], planned["collision_strategy"]) == (1, "CANCEL_NEW")
    assert len(planned["next"]) == 3 and all(moment.endswith("T02:00Z") for moment in planned["next"])


@pytest.mark.parametrize("workload", NAMES)
def test_the_file_for_a_work_pool_says_the_same(workload):
    document = yaml.safe_load((ROOT / "infra" / "prefect.yaml").read_text())
    (listed,) = [each for each in document["deployments"] if each["parameters"]["workload"] == workload]
    section = getattr(load_config(ROOT / "params.yaml"), workload)
    assert listed["schedules"] == [{"cron": section.schedule.cron, "timezone": "UTC", "active": True}]
    assert listed["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}
    path, name = listed["entrypoint"].split(":")
    assert (ROOT / path).is_file() and f"def {name}(" in (ROOT / path).read_text()
    assert listed["parameters"]["actor"] == section.schedule.actor


@pytest.mark.timeout(400)
def test_a_schedule_fires(plain, monkeypatch):
    """The project lacks its pipeline, so the run that the schedule starts ends at once and says so on its page."""
    for name, value in QUICK.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    (plain.project / "dvc.yaml").unlink()
    make_state(plain)
    with server(plain) as address:
        code = SERVE.format(project=str(plain.project))
        runner = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
        try:
            run = first_finished_run(address)
        finally:
            runner.send_signal(signal.SIGINT)
            runner.wait(60)
    assert run is not None, "the scheduler created no run that started"
    assert run.auto_scheduled and run.parameters["workload"] == "tool_calling"
    assert "E_MISSING" in run.state.message and "dvc.yaml" in run.state.message


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
@pytest.mark.timeout(1200)
def test_a_killed_command_leaves_no_server_behind(plain, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    make_state(plain)
    code = HOLDING.format(project=str(plain.project))
    command = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert command.stdout is not None
    assert command.stdout.readline().startswith("http://127.0.0.1")
    below = descendants(command.pid)
    command.kill()
    command.wait()
    assert below and [pid for pid in below if not gone(pid, 300.0)] == []


def first_finished_run(address: str, limit: float = 200.0):
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    end, wake = time.monotonic() + limit, threading.Event()
    with temporary_settings({PREFECT_API_URL: address}), get_client(sync_client=True) as client:
        while time.monotonic() < end:
            for run in client.read_flow_runs():
                if run.state is not None and run.state.is_final():
                    return run
            wake.wait(1.0)
    return None


def test_a_place_is_text_for_a_flow(tmp_path):
    from flows.state import place_of

    assert place_of(str(tmp_path), str(tmp_path / "s")) == Place(tmp_path, tmp_path / "s")
