"""`equipoise tune` as a person runs it: one document on stdout, a second call continues, MLflow has each run once."""

import json
import os
import signal
import subprocess
import sys

import pytest

from components.config_edit import edit
from components.registry import tracking
from tests.flows.projects import command, real_project

SMALL = (
    "data.embedded_conversations=30",
    "data.window=128",
    "training.compile=false",
    "training.checkpoint_every=1",
    "tuning.epochs=1",
    "tuning.screen.epochs=1",
    "tuning.screen.rungs=[]",
    "tuning.screen.changes={model.width: 8}",
    "tuning.engine=processes",
    "tuning.wave=1",
    "tuning.closing.candidates=1",
)
FLOW = """
import json, sys
from pathlib import Path
from flows.orchestration import embedded
from flows.state import Place
place = Place(Path(sys.argv[1]), Path(sys.argv[1]) / ".equipoise")
with embedded(place, print):
    from flows.tune_flow import tune
    document = tune("tool_calling", str(place.project), str(place.state), 2)
print(json.dumps(document))
"""
TUNE = ("tune", "tool_calling", "--candidates", "2", "--json")


def killed_in_a_candidate(project):
    """Starts the command and kills it as soon as it says that the second candidate is under way."""
    child = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *TUNE], cwd=project, env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    seen = []
    for line in child.stderr:
        seen.append(line)
        if line.startswith("candidate 1 of 2"):
            os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL, "".join(seen[-5:])


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A project whose campaign of two was killed in its second candidate and then run to its end."""
    project = real_project(tmp_path_factory.mktemp("tune") / "project")
    edit(project / "params.yaml", "tool_calling", SMALL)
    killed_in_a_candidate(project)
    return project, command(project, *TUNE)


def test_one_document_on_stdout(tuned):
    _, done = tuned
    assert done.returncode == 0, done.stderr[-2000:]
    document = json.loads(done.stdout)
    assert {"best", "default", "verdict", "front", "cpu_seconds", "pruned"} <= set(document)
    assert document["candidates"] == 2 and document["default"]["number"] == 0 and document["pruned"] == 0
    assert set(document["default"]["objectives"]) == {"decision/accuracy", "tool/accuracy", "arguments/exact_match"}
    assert document["verdict"].startswith(("better: ", "within seed noise: keep the defaults", "trade-off: choose "))
    assert len(document["closing"]["seeds"]) == 3 and list(document["closing"]["rows"]) == ["1"]
    assert "candidate 1 of 2" in done.stderr and "candidate 0 of" not in done.stderr, "candidate 0 was done already"
    assert "CPU time left about" in done.stderr and "run 6 of 6: candidate 1" in done.stderr
    assert all(os.path.isfile(path) for path in document["files"].values())
    assert document["study"].startswith("equipoise/tool_calling/")


def test_mlflow_has_a_parent_and_each_candidate_once(tuned):
    project, done = tuned
    store = tracking.open_store(project / ".equipoise", "equipoise")
    client, parent = tracking.client(store), json.loads(done.stdout)["run_id"]
    again = command(project, *TUNE)
    assert json.loads(again.stdout) == json.loads(done.stdout), "nothing left to do: the same answer"
    runs = client.search_runs([tracking.experiment_id(store, "tune")])
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent]
    assert len(runs) == 5 and sorted(run.data.tags["candidate"] for run in children) == ["0", "0", "1", "1"]
    names = {run.info.run_name for run in children}
    assert names == {f"candidate {n}{length}" for n in (0, 1) for length in ("", " at full length")}
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert all("validation/decision/accuracy" in run.data.metrics for run in children)
    assert all("loss.decision.weight" in run.data.params for run in children)
    names = {each.path for each in client.list_artifacts(parent)}
    assert {"pareto.png", "report.md", "result.json", "tool_calling.yaml"} <= names


def test_the_flow_finds_the_campaign_done(tuned):
    project, done = tuned
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", FLOW, str(project)], cwd=project, env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert json.loads(ran.stdout.splitlines()[-1]) == json.loads(done.stdout)


def test_a_second_process_helps_and_a_worker_ends_when_all_is_done(tuned):
    project, _ = tuned
    done = command(project, "tune", "tool_calling", "--candidates", "4", "--set", "tuning.wave=2", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 0 and document["candidates"] == 4, done.stderr[-2000:]
    begun = [line.split()[1] for line in done.stderr.splitlines() if " of 4: " in line and line.startswith("candidate")]
    assert sorted(begun) == ["2", "3"], "each by one of them"
    helped = command(project, "tune", "tool_calling", "--worker", "--json")
    assert json.loads(helped.stdout) == {"study": document["study"], "candidates": 4}


def test_a_misspelled_weight_is_one_line_and_78(tuned):
    project, _ = tuned
    params = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(params.replace("q.weight: [", "qq.weight: ["))
    try:
        done = command(project, *TUNE)
    finally:
        (project / "params.yaml").write_text(params)
    assert done.returncode == 78 and json.loads(done.stdout)["error"]["code"] == "E_CONFIG_KEY"
    assert "Did you mean `q.weight`?" in done.stderr.splitlines()[-1]
