"""The trading workload from nothing to a promoted model and back, by the commands a person types."""

import json
from itertools import islice

import pytest

from components.config import load_config
from components.config_edit import edit
from components.workloads.trading.data import samples
from components.workloads.trading.requests import request_of
from tests.flows.projects import command, real_project

W = "trading"
SMALL = (
    "model.width=16",
    "model.latent_updates=1",
    "training.epochs=1",
    "evaluation.resamples=100",
    "evaluation.parts=4",
    "gate.resamples=200",
    "gate.policy=refresh",
)


def answer(project, *arguments: str) -> dict:
    done = command(project, *arguments, "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.timeout(1500)
def test_the_cycle_of_a_trading_model(tmp_path):
    """Margins of nine tenths, nine of a Sharpe ratio: any model is promoted under `refresh`, and can be rolled back."""
    project = real_project(tmp_path / "project")
    edit(project / "params.yaml", W, SMALL)
    text = (project / "params.yaml").read_text()
    wide = text.replace("margin: 0.1,", "margin: 0.9,").replace("margin: 0.5,", "margin: 9.0,")
    (project / "params.yaml").write_text(wide)
    assert [head.margin for head in load_config(project / "params.yaml").trading.gate.heads] == [0.9, 0.9, 9.0, 0.9]

    first = answer(project, "retrain", W)
    assert (first["decision"], first["version"], first["champion"]) == ("PROMOTE", 2, 2)
    assert {name: stage["ran"] for name, stage in first["stages"].items()} == dict.fromkeys(
        ("generate", "prepare", "train", "evaluate"), True
    )
    assert [(head["head"], head["metric"]) for head in first["heads"]] == [
        ("return", "captured"),
        ("strategy", "accuracy"),
        ("return", "sharpe"),
        ("return", "drawdown"),
    ]

    evaluated = answer(project, "evaluate", W)
    assert evaluated["verdict"] in ("edge", "no edge", "worse") and evaluated["sentence"].endswith(".")
    assert {"evidence", "leakage", "baselines"} <= set(evaluated)

    asked = [request_of(sample) for sample in islice(samples(project / "data/prepared" / W, "test"), 3)]
    (project / "days.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in asked))
    done = command(project, "predict", W, "--input", "days.jsonl")
    assert done.returncode == 0, done.stderr[-3000:]
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 3
    for said in answers:
        assert {"strategy", "confidence", "steps", "probabilities"} <= set(said)
        assert sum(said["probabilities"]) == pytest.approx(1)

    assert answer(project, "rollback", W, "--reason", "shown by a test")["champion"] == 1
