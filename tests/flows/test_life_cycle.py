"""One project from nothing to a judged model by the commands: real DVC, MLflow, Prefect, ledger, training."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from components.files import sha256_tree
from tests.flows.projects import command, real_project

W = "tool_calling"
HEAD = {"head", "metric", "difference", "low", "high", "verdict"}


def answer(project, *arguments: str, status: tuple[int, ...] = (0,)) -> dict:
    done = command(project, *arguments, "--json")
    assert done.returncode in status, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.timeout(1500)
def test_the_cycle_of_a_model(tmp_path):
    project = real_project(tmp_path / "project")
    first = answer(project, "retrain", W, status=(0, 10, 11))
    assert first["decision"] in ("PROMOTE", "HOLD", "REJECT") and first["version"] == 2
    assert all(set(head) == HEAD for head in first["heads"])
    assert {name: stage["ran"] for name, stage in first["stages"].items()} == dict.fromkeys(
        ("generate", "prepare", "train", "evaluate"), True
    )

    again = answer(project, "retrain", W)
    assert (again["decision"], again["version"]) == ("UNCHANGED", 2)
    assert not any(stage["ran"] for stage in again["stages"].values()) and again["heads"] == first["heads"]

    standing = answer(project, "status")[W]
    assert standing["champion"]["version"] == first["champion"] and standing["champion"]["run_id"]
    told = answer(project, "history", W, "--verify")
    assert [e["event"] for e in told["events"][:3]] == ["register", "promote", "register"]
    assert told["verified"]["events"] == len(told["events"])

    evaluated = answer(project, "evaluate", W)
    assert set(evaluated) == {"workload", "split", "n", "metrics", "baselines"} and evaluated["split"] == "test"

    check_report(project, first)
    check_answers(project)
    check_moved_state(project, tmp_path / "elsewhere" / "state", first)
    check_lineage(project)
    check_rollback(project, first["champion"])
    check_shell_gives_the_same_bytes(project)


def check_report(project, first):
    """The page tells of the version that retrain made, from what was kept with it."""
    (kept,) = (project / ".equipoise" / "mlartifacts").glob("**/evaluation/report.json")
    assert json.loads(kept.read_text()) == json.loads((project / "evaluation" / W / "report.json").read_text())
    told = answer(project, "report", W, "--output", "report.html")
    assert told["version"] == 2 and f"The gate said {first['decision']} when it met version 1" in told["said"]
    assert not {"gate", "metrics", "slices", "calibration", "training", "lineage"} & set(told["without"])
    html = (project / "report.html").read_text()
    assert len(html.encode()) == told["bytes"] and "data:image/png;base64," in html


def check_answers(project):
    """predict streams: two good lines give two answers, a bad line gives none and leaves no file."""
    tool = {"name": "clock.set", "description": "Sets an alarm", "parameters": {"time": "when it rings"}}
    row = json.dumps({"tools": [tool], "history": [{"role": "user", "content": "wake me at 7:30 please"}]})
    (project / "good.jsonl").write_text(f"{row}\n{row}\n")
    done = command(project, "predict", W, "--input", "good.jsonl")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and len(lines) == 2 and lines[0] == lines[1]
    assert {"decision", "confidence", "tool", "arguments", "slots", "intent", "steps"} <= set(lines[0])
    (project / "bad.jsonl").write_text(f"{row}\n{{not json\n")
    refused = command(project, "predict", W, "--input", "bad.jsonl", "--output", "out.jsonl")
    assert refused.returncode == 65 and "bad.jsonl line 2" in refused.stderr
    assert not (project / "out.jsonl").exists()


def check_lineage(project):
    """The trained version tells its making, and comes out byte for byte though params.yaml was changed since."""
    told = answer(project, "lineage", W, "2")
    assert told["kind"] == "trm" and told["training"]["steps"] > 0 and told["judgements"][0]["heads"]
    parameters = (project / "params.yaml").read_bytes()
    edited = parameters.replace(b"learning_rate: 2.0e-3", b"learning_rate: 4.0e-3", 1)
    assert edited != parameters
    (project / "params.yaml").write_bytes(edited)
    made = answer(project, "reproduce", W, "2")
    (project / "params.yaml").write_bytes(parameters)
    assert made["equal"] and made["differs"] == [] and "model.safetensors" in made["files"]
    between = answer(project, "diff", W, "2", "1")
    assert not between["equal"] and between["training"]["steps"] == [told["training"]["steps"], None]


def check_moved_state(project, elsewhere, first):
    """With the state folder at another place the model answers, is judged and stands as before; and back again."""
    here, named = project / ".equipoise", ("--state", str(elsewhere))
    answers = command(project, "predict", W, "--input", "good.jsonl", "--version", "2").stdout
    elsewhere.parent.mkdir()
    shutil.move(here, elsewhere)
    moved = command(project, "predict", W, "--input", "good.jsonl", "--version", "2", *named)
    assert moved.returncode == 0 and moved.stdout == answers and len(answers.splitlines()) == 2
    assert answer(project, "retrain", W, *named)["decision"] == "UNCHANGED"
    judged = answer(project, "gate", W, "2", "--against", "1", *named, status=(0, 10, 11))
    assert judged["decision"] == first["decision"]
    named_by_a_person = answer(project, "promote", W, "2", *named, status=(0, 10, 11))
    assert named_by_a_person["decision"] == ("UNCHANGED" if first["decision"] == "PROMOTE" else first["decision"])
    assert not here.exists()
    shutil.move(elsewhere, here)


def check_rollback(project, champion):
    """With one champion only there is nothing to go back to, and the ledger says so; with two it goes back."""
    done = command(project, "rollback", W, "--reason", "shown by a test", "--json")
    document = json.loads(done.stdout)
    if champion == 1:
        assert done.returncode == 78 and document["error"]["code"] == "E_LEDGER_VERSION"
    else:
        assert done.returncode == 0 and document["champion"] == 1
        assert answer(project, "status")[W]["alarms"][0]["rule"] == "rollback"


def check_shell_gives_the_same_bytes(project):
    """`dvc repro --force` of a whole pipeline from the shell leaves lock file and folders as the flow left them."""
    folders = ("data/raw", "data/prepared", "checkpoints", "evaluation")
    before = {name: sha256_tree(project / name / W) for name in folders}
    lock = (project / "dvc.lock").read_bytes()
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"
    for name in folders[2:]:
        subprocess.run(["rm", "-rf", str(project / name / W)], check=True)
    shell = [sys.executable, "-m", "dvc", "repro", "--force", f"evaluate@{W}"]
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(shell, cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (project / "dvc.lock").read_bytes() == lock
    assert {name: sha256_tree(project / name / W) for name in folders} == before
