"""The Prefect server that a flow starts for itself: it is there for the flow's whole life and not a moment longer."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.processes import descendants, gone
from tests.flows.projects import command, real_project

W = "tool_calling"


@contextlib.contextmanager
def flow_at_its_first_stage(project: Path):
    """A retraining whose flow run the server has recorded: its first stage has begun."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_", "EQUIPOISE_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "retrain", W], cwd=project, env={**keep, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        seen = next((line for line in process.stderr if "generate@tool_calling" in line), None)
        assert seen is not None, "the flow ended before its first stage"
        yield process
    finally:
        process.kill()
        process.communicate()


def listening(pid: int) -> list[int]:
    """The loopback ports that a process listens on."""
    inodes = set()
    for each in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            inodes.add(os.readlink(f"/proc/{pid}/fd/{each}"))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [int(row[1].partition(":")[2], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes]


def server_of(process: subprocess.Popen) -> tuple[int, int]:
    """(process, port) of the Prefect server that a flow started."""
    shown = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in descendants(process.pid)}
    (pid,) = [pid for pid, line in shown.items() if b"flows.prefect_child" in line]
    (port,) = listening(pid)
    return pid, port


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends children with their parent on Linux only")
@pytest.mark.timeout(600)
def test_a_killed_flow_leaves_no_server_and_no_stage_behind(tmp_path):
    with flow_at_its_first_stage(real_project(tmp_path / "project")) as process:
        server, port = server_of(process)
        with socket.create_connection(("127.0.0.1", port), 10):
            pass
        below = descendants(process.pid)
        assert server in below and len(below) > 1  # and a stage
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
        left = [each for each in below if not gone(each, 60.0)]
        assert left == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 10)


@pytest.mark.timeout(600)
def test_a_server_that_cannot_start_is_named_in_one_line(tmp_path):
    project = real_project(tmp_path / "project")
    home = project / ".equipoise" / "prefect"
    home.mkdir(parents=True)
    (home / "prefect.db").write_text("no database")
    done = command(project, "retrain", W, "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"]) == (69, "E_PREFECT"), done.stderr[-3000:]
    assert "prefect/server.log" in error["message"] and "not a database" in (home / "server.log").read_text()
    assert not (project / "data").exists()  # nothing was begun
