"""`equipoise serve` and `equipoise predict` on the same champion, and how serving ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request

import pytest

from flows import judging, registration
from flows.scheduling import free_port
from flows.state import Place
from tests.flows.processes import descendants, gone
from tests.flows.projects import command

W = "tool_calling"
LONG = 600.0  # seconds: a busy machine must not fail a test
TOOLS = [
    {"name": "clock.set", "description": "Sets an alarm", "parameters": {"time": "when it rings"}},
    {"name": "taxi.call", "description": "Calls a taxi", "parameters": {"address": "where it waits"}},
]
TEXTS = ("wake me at 7:30 please", "a taxi to Mill Lane 4, please", "thanks, that is all")
ROWS = [{"tools": TOOLS, "history": [{"role": "user", "content": text}]} for text in TEXTS]
ROWS.append({**ROWS[0], "intents": {"wake": "be woken", "ride": "go somewhere"}})


@pytest.fixture(scope="module")
def served(fitted, tmp_path_factory):
    """A state folder whose champion is the cheap baseline."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "EQUIPOISE_DATABASE_URL"):
            patch.delenv(name, raising=False)
        place = Place(fitted.project, tmp_path_factory.mktemp("served") / "state")
        with registration.desk(place, W, "tester", lambda _line: None) as at:
            judging.first_champion(at)
    return place


@pytest.fixture(scope="module")
def answers(served):
    """What `equipoise predict` says to the rows."""
    requests = served.state / "requests.jsonl"
    requests.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    done = command(served.project, "predict", W, "--input", str(requests), "--state", str(served.state))
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def wait_until_up(process: subprocess.Popen[str], port: int) -> None:
    """The server's own word that it listens; its lines are read on, so that its pipe never fills."""
    up = threading.Event()

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            if "Uvicorn running on" in line:
                up.set()

    threading.Thread(target=read, daemon=True).start()
    assert up.wait(LONG), "the server did not come up"
    urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=LONG).close()


@pytest.mark.timeout(2 * LONG)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGKILL, -9)])
def test_serve_answers_as_predict_does_and_leaves_nobody_behind(served, answers, number, status):
    port = free_port()
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "EQUIPOISE_DATABASE"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "serve", W, "--port", str(port), "--state", str(served.state)],
        cwd=served.project, env={**keep, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        wait_until_up(process, port)
        body = json.dumps({"dataframe_records": ROWS}).encode()
        address = f"http://127.0.0.1:{port}/invocations"
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=LONG) as answer:
            assert json.load(answer)["predictions"] == answers
        below = descendants(process.pid)
        assert below
        process.send_signal(number)
        assert process.wait(LONG) == status
        assert [pid for pid in below if not gone(pid, LONG)] == []
    finally:
        process.kill()
        process.wait()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_the_answers_are_about_what_was_asked(answers):
    assert len(answers) == len(ROWS) and all(row["decision"] in ("tool_call", "direct_answer") for row in answers)
    assert [row["intent"] is not None for row in answers] == [False, False, False, True]


def test_a_port_that_is_taken_is_said_before_anything_starts(served):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = command(served.project, "serve", W, "--port", port, "--state", str(served.state))
    assert done.returncode == 69 and done.stderr.startswith("E_PORT"), done.stderr
