"""Retraining through a work pool: two workers at once, a worker that is lost, and databases that are lost."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import boto3
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from components.config_edit import edit
from flows.scheduling import free_port
from tests.flows.processes import descendants
from tests.infra.stack import Stack, kill, new_database
from tests.registry.postgres import binaries

W = "tool_calling"
SECONDS = 2400.0  # on a busy machine
SAVED = 10  # checkpoints after which the worker is killed
DATABASES = ("mlflow", "mlflow_auth", "prefect", "equipoise")  # the ledger last, as docs/operations.md says
DECISIONS = ("promote", "hold", "reject")
pytestmark = [pytest.mark.infra, pytest.mark.timeout(4800)]


@contextmanager
def worker(stack: Stack, name: str):
    """A worker of the pool; what it prints lies in NAME.log."""
    with stack.started("worker", name, PREFECT_WORKER_WEBSERVER_PORT=str(free_port())) as process:
        yield process


@contextmanager
def prefect(stack: Stack) -> Iterator[SyncPrefectClient]:
    """A client of the stack's Prefect server, with the worker's account."""
    there = stack.environment("worker")
    chosen: dict[Any, str] = {
        PREFECT_API_URL: there["PREFECT_API_URL"],
        PREFECT_API_AUTH_STRING: there["PREFECT_API_AUTH_STRING"],
    }
    with temporary_settings(chosen), get_client(sync_client=True) as client:
        yield client


def begin(client: SyncPrefectClient) -> UUID:
    """A run of the deployment that the compose file's service made, as its schedule would begin one."""
    return client.create_flow_run_from_deployment(client.read_deployment_by_name(f"retrain/equipoise-{W}").id).id


def ends(client: SyncPrefectClient, *runs: UUID) -> list[str]:
    """How these runs end, sorted."""
    wake, until = threading.Event(), time.monotonic() + SECONDS
    while True:
        states = [state for run in runs if (state := client.read_flow_run(run).state)]
        if len(states) == len(runs) and all(state.is_final() for state in states):
            return sorted(state.type.value for state in states)
        assert time.monotonic() < until, f"the runs did not end: {states}"
        wake.wait(1.0)


def flow_runs(stack: Stack) -> list[tuple[str, str]]:
    """(id, state) of every flow run that Prefect knows and that is no longer to come, sorted."""
    with prefect(stack) as client:
        found = [(str(run.id), run.state.type.value) for run in client.read_flow_runs() if run.state]
    return sorted(each for each in found if each[1] != "SCHEDULED")


def events(stack: Stack) -> list[tuple[str, int | None, str]]:
    """(event, version, actor) of all that the ledger holds of the workload, its chain checked."""
    told = stack.equipoise("history", W, "--verify", "--json")
    assert told.returncode == 0, told.stderr
    return [(each["event"], each["version"], each["actor"]) for each in json.loads(told.stdout)["events"]]


def doctor(stack: Stack) -> tuple[int, set[str]]:
    """Its status and the codes of what it finds."""
    done = stack.equipoise("doctor", "--json")
    return done.returncode, {each["code"] for each in json.loads(done.stdout)["findings"]}


def answer(stack: Stack) -> str:
    """What the champion answers to the request of asked.jsonl."""
    done = stack.equipoise("predict", W, "--input", "asked.jsonl")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 1, done.stderr
    return done.stdout


def kept(stack: Stack) -> list[str]:
    """The models in the bucket of MLflow, by their key."""
    there = stack.environment("buckets")
    store = boto3.client(
        "s3", endpoint_url=there["AWS_ENDPOINT_URL"], region_name=there["AWS_DEFAULT_REGION"],
        aws_access_key_id=there["AWS_ACCESS_KEY_ID"], aws_secret_access_key=there["AWS_SECRET_ACCESS_KEY"],
    )  # fmt: skip
    pages = store.get_paginator("list_objects_v2").paginate(Bucket="mlflow")
    return [each["Key"] for page in pages for each in page["Contents"] if each["Key"].endswith("/MLmodel")]


@pytest.fixture(scope="module")
def retrained(stack):
    """How three runs at once ended that two workers were offered, then how a later one did, each with the ledger."""
    with worker(stack, "one"), worker(stack, "two"), prefect(stack) as client:
        for each in client.read_deployments():
            client.pause_deployment(each.id)  # a schedule's hour may come while the tests run
        three = ends(client, *(begin(client) for _ in range(3))), events(stack)
        later = ends(client, begin(client)), events(stack)
    return three, later


def test_of_three_runs_at_once_one_trains(stack, retrained):
    (ended, done), later = retrained
    assert ended == ["CANCELLED", "CANCELLED", "COMPLETED"]
    baseline = [("register", 1, "schedule"), ("promote", 1, "schedule")]
    assert done[:3] == [*baseline, ("register", 2, "schedule")]
    assert len(done) == 4 and done[3] in [(event, 2, "schedule") for event in DECISIONS]
    assert later == (["COMPLETED"], done), "nothing was left to do"


def test_nothing_is_kept_outside_of_the_servers(stack, retrained):
    assert doctor(stack) == (0, set())
    assert len(kept(stack)) == 2
    assert not list(stack.folder.rglob("mlflow.db")) + list(stack.folder.rglob("ledger.db"))


def newest(resume: Path) -> int:
    """How many checkpoints the training has saved so far, told by the newest; 0 while none lies there."""
    serials = [0]
    for path in resume.glob("slot-*.json"):
        try:
            serials.append(json.loads(path.read_text())["serial"])
        except FileNotFoundError:  # the older slot is being overwritten
            continue
    return max(serials)


def kill_at_work(process: subprocess.Popen[bytes], resume: Path) -> int:
    """Kills a worker and all it started, as if its machine had died, once training has saved something; how often."""
    wake, until = threading.Event(), time.monotonic() + SECONDS
    while newest(resume) < SAVED:
        assert time.monotonic() < until and process.poll() is None, "nothing was trained"
        wake.wait(0.02)
    kill(process.pid, *descendants(process.pid))
    process.wait()
    return newest(resume)


def watched(client: SyncPrefectClient, run: UUID, resume: Path) -> list[int]:
    """The newest checkpoint's number, looked at many times a second until the run ends."""
    wake, until, seen = threading.Event(), time.monotonic() + SECONDS, []
    while not ((state := client.read_flow_run(run).state) and state.is_final()):
        assert time.monotonic() < until, f"the run did not end: {state}"
        for _ in range(50):
            seen.append(newest(resume))
            wake.wait(0.02)
    return [each for each in seen if each]


def test_a_lost_worker_leaves_a_run_that_is_closed_and_done_again(stack, retrained):
    before, resume = events(stack), stack.project / "checkpoints" / W / "resume"
    edit(stack.project / "params.yaml", W, ("training.epochs=8", "training.checkpoint_every=1"))
    with prefect(stack) as client:
        with worker(stack, "one") as process:
            lost = begin(client)
            saved = kill_at_work(process, resume)
        assert doctor(stack) == (78, {"E_FLOW_RUN_LEFT", "E_RUN_LEFT"})
        with worker(stack, "one"):  # whose first act is to close them
            assert ends(client, lost) == ["CRASHED"]
            run = begin(client)
            seen = watched(client, run, resume)
            assert ends(client, run) == ["COMPLETED"]
    assert min(seen) >= saved and max(seen) > saved, "it went on from the checkpoint"
    after = events(stack)
    assert after[: len(before)] == before
    repair, register, decision = after[len(before) :]
    assert repair[:2] == ("repair", None) and register == ("register", 3, "schedule")
    assert decision in [(event, 3, "schedule") for event in DECISIONS]
    assert doctor(stack) == (0, set()) and len(kept(stack)) == 3


def test_lost_databases_are_put_back(stack, retrained, tmp_path):
    """As docs/operations.md tells it, with PostgreSQL's own tools; nothing else is touched or restarted."""
    before, answered, known, tools = events(stack), answer(stack), flow_runs(stack), binaries()
    assert tools is not None and known

    def run(tool: str, *words: str) -> None:
        there = {"PATH": os.defpath, "PGHOST": stack.sockets, "PGPORT": str(stack.ports["postgres"]), "PGUSER": "test"}
        done = subprocess.run([tools / tool, *words], env=there, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr

    for name in DATABASES:
        run("pg_dump", "--format=custom", f"--file={tmp_path / name}.dump", name)
    new_database(stack)
    assert events(stack) == [], "they are lost"
    for name in DATABASES:
        run("pg_restore", "--clean", "--if-exists", f"--dbname={name}", f"{tmp_path / name}.dump")
    assert events(stack) == before and doctor(stack) == (0, set()) and answer(stack) == answered
    assert flow_runs(stack) == known
