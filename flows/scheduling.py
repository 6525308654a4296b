"""`equipoise deploy`: keeps a workload's schedule going, against the named Prefect server or one of its own."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from components.errors import misconfigured
from components.stage import die_with_parent
from flows.orchestration import ensure_database, environment, probe, unavailable
from flows.state import Place, make_state
from flows.terminal import say

HOST = "127.0.0.1"
START_SECONDS = 120.0
SHOWN = 3  # coming runs that the plan names


def deploy(place: Place, workload: str, dry_run: bool, show: Callable[[dict[str, Any]], None]) -> int:
    """Schedules retraining until the process is stopped, then pauses the schedule; `show` receives the plan first.

    Raises:
        EquipoiseError: E_CONFIG (78) for a cron that is none, E_PREFECT (69).
    """
    make_state(place)
    if dry_run:
        show(plan(place, workload, dry_run))
        return 0
    with server(place):  # before Prefect is imported: it reads the server's address only then
        schedule = plan(place, workload, dry_run)
        from prefect import serve

        from flows.deployments import cron, deployment

        made = deployment(place, workload, cron(getattr(place.config(), workload)))
        show(schedule)
        try:
            serve(made, print_starting_message=False, limit=1)
        finally:
            pause(f"retrain/{made.name}")
    return 0


def plan(place: Place, workload: str, dry_run: bool) -> dict[str, Any]:
    """What is scheduled, and when it comes up next (UTC)."""
    os.environ.update(environment(place))
    from prefect.server.schemas.schedules import CronSchedule

    from flows.deployments import LIMIT

    config = place.config()
    section = getattr(config, workload)
    try:
        schedule = CronSchedule(cron=section.schedule.cron, timezone="UTC")
        coming = asyncio.run(schedule.get_dates(SHOWN, start=dt.datetime.now(dt.UTC)))
    except ValueError as error:
        hint = 'Write five fields: minute hour day month weekday, for example "0 2 * * *"'
        where = f"params.yaml: {workload}.schedule.cron"
        raise misconfigured(where, "must be a cron expression", got=section.schedule.cron, hint=hint) from error
    return {
        "workload": workload,
        "deployment": f"retrain/{config.project}-{workload}",
        "cron": section.schedule.cron,
        "timezone": "UTC",
        "policy": section.schedule.policy,
        "concurrency_limit": LIMIT.limit,
        "collision_strategy": LIMIT.collision_strategy.value,
        "next": [f"{moment:%Y-%m-%dT%H:%MZ}" for moment in coming],
        "dry_run": dry_run,
        "parameters": {"project": str(place.project), "state": str(place.state), "actor": section.schedule.actor},
    }


@contextmanager
def server(place: Place, port: int | None = None) -> Iterator[str]:
    """The address of the Prefect server that PREFECT_API_URL names, else of one on loopback that ends with the block.

    Raises:
        EquipoiseError: E_PREFECT (69).
    """
    address = os.environ.get("PREFECT_API_URL", "").strip()
    if address:
        probe(address)
        yield address
        return
    os.environ.update(environment(place))
    ensure_database(place, say)
    port = port or free_port()
    address = f"http://{HOST}:{port}/api"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    log = (place.state / "prefect" / "server.log").open("ab")
    with log:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            preexec_fn=die_with_parent,
        )  # fmt: skip
    os.environ["PREFECT_API_URL"] = address
    try:
        _wait_until_healthy(child, address)
        yield address
    finally:
        del os.environ["PREFECT_API_URL"]
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGTERM)
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def _wait_until_healthy(child: subprocess.Popen[bytes], address: str) -> None:
    """Connecting is refused at once until the server listens, so the wait for its exit paces the questions."""
    end, last = time.monotonic() + START_SECONDS, "no answer"
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
                if answer.read(16).strip() == b"true":
                    return
        except (OSError, urllib.error.URLError) as error:
            last = str(error)
        try:
            child.wait(0.25)
        except subprocess.TimeoutExpired:
            continue
        raise unavailable(
            address, f"the server ended with {child.returncode}; see prefect/server.log in the state folder"
        )
    raise unavailable(address, last)


def pause(deployment: str) -> None:
    """Pauses a deployment's schedule: a runner that is gone must not leave runs waiting for it."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            found = client.read_deployment_by_name(deployment)
        except ObjectNotFound:
            return
        client.request("POST", "/deployments/{id}/pause_deployment", path_params={"id": found.id})


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe_socket:
        probe_socket.bind((HOST, 0))
        return probe_socket.getsockname()[1]
