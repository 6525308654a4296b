"""`mlflow models serve` on loopback answers as `equipoise predict` does: once, for real."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from components.registry import aliases, answers, packaging
from components.workload import workload


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(address: str, body: dict) -> tuple[int, dict]:
    request = urllib.request.Request(
        f"{address}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def wait_until_up(address: str, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{address}/ping", timeout=2).close()
            return
        except OSError:
            assert process.poll() is None, "the server ended"
            time.sleep(0.2)
    pytest.fail("the server did not come up within 300 s")


@pytest.fixture(scope="module")
def server(registry, tmp_path_factory):
    store, _, first = registry
    folder, scratch = aliases.resolve(store, "tool_calling", first.version), tmp_path_factory.mktemp("serving")
    address = f"http://127.0.0.1:{(port := free_port())}"
    with (scratch / "log").open("w") as log:
        process = subprocess.Popen(
            packaging.serve_command(folder, port=port),
            env=packaging.served_environment(),
            cwd=scratch,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            wait_until_up(address, process)
            yield address
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def split(rows):
    names = sorted({name for row in rows for name in row})
    return {"columns": names, "data": [[row.get(name) for name in names] for row in rows]}


FORMS = {
    "records": lambda rows: {"dataframe_records": rows},
    "inputs": lambda rows: {"inputs": rows},
    "split": lambda rows: {"dataframe_split": split(rows)},
    "records of JSON text": lambda rows: {
        "dataframe_records": [{name: json.dumps(value) for name, value in row.items()} for row in rows]
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_served_answers_equal_direct_prediction(server, requests, model_folder, form):
    record = workload("tool_calling")
    status, answer = ask(server, FORMS[form](requests))
    assert status == 200
    assert answer["predictions"] == answers.answer(record, record.load(model_folder), requests)
    assert {row["decision"] for row in answer["predictions"]} == {"tool_call", "direct_answer"}


BAD = {
    "no tools": [{"history": [{"role": "user", "content": "x"}]}],
    "history is a number": [{"tools": [], "history": 3}],
    "history is text but no JSON": [{"tools": [], "history": "["}],
    "an unknown role": [{"tools": [], "history": [{"role": "wizard", "content": "x"}]}],
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_request_gets_400_and_a_reason(server, case):
    status, answer = ask(server, {"dataframe_records": BAD[case]})
    assert status == 400
    assert "Traceback" not in answer["message"]


def test_the_server_stays_up_after_bad_requests(server, requests):
    ask(server, {"nonsense": 1})
    assert ask(server, {"inputs": requests[:1]})[0] == 200
