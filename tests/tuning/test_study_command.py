"""`equipoise study` as a person runs it: killed and run again, one document on stdout, each training in MLflow once."""

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
    "training.checkpoint_every=1",
    "study.epochs=1",
    "study.leave_one_out=false",
)
STUDY = ("study", "tool_calling", "--json")


def killed_in_a_run(project):
    """Starts the command and kills it as soon as it says that the third run is under way."""
    child = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *STUDY], cwd=project, env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    seen = []
    for line in child.stderr:
        seen.append(line)
        if line.startswith("run 3 of 6: full, seed 2"):
            os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL, "".join(seen[-5:])


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    """A project whose study was killed in its third run and then run to its end."""
    project = real_project(tmp_path_factory.mktemp("study") / "project")
    edit(project / "params.yaml", "tool_calling", SMALL)
    killed_in_a_run(project)
    return project, command(project, *STUDY)


def test_one_document_on_stdout_and_nothing_trained_twice(studied):
    _, done = studied
    assert done.returncode == 0, done.stderr[-2000:]
    document = json.loads(done.stdout)
    assert [each["name"] for each in document["settings"]] == ["full", "cross-entropy"]
    assert len(document["runs"]) == 6 and all(each["cpu_seconds"] > 0 for each in document["runs"])
    assert all(each["activation_megabytes"] > 0 for each in document["settings"])
    assert set(document["settings"][1]["against"]) == {"decision/accuracy", "tool/accuracy", "arguments/exact_match"}
    assert document["settings"][1]["verdict"] and document["sentence"]
    assert "run 6 of 6: cross-entropy, seed 3, left " in done.stderr
    assert all(os.path.isfile(path) for path in document["files"].values())


def test_mlflow_has_a_parent_and_each_training_once(studied):
    project, done = studied
    store = tracking.open_store(project / ".equipoise", "equipoise")
    client, parent = tracking.client(store), json.loads(done.stdout)["run_id"]
    runs = client.search_runs([tracking.experiment_id(store, "study")])
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent]
    assert len(runs) == 7 and {run.info.status for run in runs} == {"FINISHED"}
    assert sorted((run.data.tags["setting"], run.data.tags["seed"]) for run in children) == sorted(
        (name, seed) for name in ("full", "cross-entropy") for seed in "123"
    )
    assert all("validation/decision/accuracy" in run.data.metrics for run in children)
    names = {each.path for each in client.list_artifacts(parent)}
    assert {"forest.png", "report.md", "result.json"} <= names


@pytest.mark.torture
def test_more_seeds_add_runs_and_mlflow_has_each_once(studied):
    project, done = studied
    again = command(project, *STUDY, "--set", "study.seeds=[1, 2, 3, 4]")
    assert again.returncode == 0, again.stderr[-2000:]
    first, document = json.loads(done.stdout), json.loads(again.stdout)
    assert document["run_id"] == first["run_id"] and document["runs"][:3] == first["runs"][:3]
    store = tracking.open_store(project / ".equipoise", "equipoise")
    client = tracking.client(store)
    runs = client.search_runs([tracking.experiment_id(store, "study")])
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == document["run_id"]]
    assert len(runs) == 9 and {run.info.status for run in runs} == {"FINISHED"}
    assert len(children) == 8
    history = client.get_metric_history(document["run_id"], "cross-entropy less full/decision/accuracy")
    assert [each.step for each in history] == [3, 4], "what a fourth seed changed"


@pytest.mark.parametrize(
    ("arguments", "status", "code", "says"),
    [
        (["--split", "train"], 2, "E_USAGE", "must be one of validation, test"),
        (["--set", "study.sedes=[1, 2, 3]"], 78, "E_CONFIG_KEY", "study.seeds"),
        (["--set", "study.settings.full={loss.tol.weight: 0}"], 78, "E_CONFIG_KEY", "`loss.tool.weight`"),
    ],
)
def test_a_wrong_command_is_one_line(studied, arguments, status, code, says):
    project, _ = studied
    params = (project / "params.yaml").read_text()
    try:
        done = command(project, *STUDY, *arguments)
    finally:
        (project / "params.yaml").write_text(params)
    assert done.returncode == status and json.loads(done.stdout)["error"]["code"] == code
    assert says in done.stderr.splitlines()[-1] and "run 1 of" not in done.stderr
