"""Real trainings of the toy: what their curves say about weights and gradients, and what raises an alarm."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from components.files import sha256_tree
from components.losses import health
from components.training import loop
from components.training.loop import train
from tests.training import toy

DEAD = health.gradient_share(0.001, 1.1, ("it cannot be felt",), ("raise its weight",))
GROWING = health.growing(3, ("the learning rate is too high",), ("lower training.learning_rate",), times=3.0)
UNLABELLED = health.unlabelled(("nobody labelled it",), ("set its weight to 0",))
WATCHED = replace(toy.WORKLOAD, health=(DEAD, GROWING, UNLABELLED))


class Killed(Exception):
    """Ends a run in the middle."""


def killed_at(step: int) -> Any:
    def kill(line: dict[str, Any]) -> None:
        if line["step"] == step:
            raise Killed

    return kill


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.prepare(toy.section(), tmp_path_factory.mktemp("toy") / "prepared")


def run(prepared: Path, folder: Path, workload: Any = WATCHED, on_report: Any = None, **changes: Any) -> dict[str, Any]:
    return train(workload, toy.section(**changes), prepared, folder, device="cpu", on_report=on_report)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "curves.jsonl").read_text().splitlines()]


def with_weight(name: str, weight: float) -> dict[str, Any]:
    terms = {term: {"weight": 1.0, "schedule": [[0.0, 1.0]]} for term in toy.TERMS}
    return {
        "loss__above": terms["above"],
        "loss__size": terms["size"],
        f"loss__{name}": {**terms[name], "weight": weight},
    }


def test_a_line_tells_the_weight_in_force(prepared: Path, tmp_path: Path) -> None:
    """size has weight .5 and a schedule from 1 to .2; nine steps, read in their middle."""
    run(prepared, tmp_path)
    reports = [line for line in lines(tmp_path) if "terms" in line]
    assert [line["terms"]["above"]["weight"] for line in reports] == [1.0] * 9
    for number, line in enumerate(reports):
        term = line["terms"]["size"]
        assert term["weight"] == pytest.approx(0.5 * (1 - 0.8 * (number + 0.5) / 9))
        assert term["share"] == pytest.approx(term["weight"] * term["raw"])


class Counting(toy.Recursive):
    """Changes a buffer in every forward pass while it trains, as batch norm does, and reads it."""

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> Any:
        if self.training:
            self.passes += 1
        yield from super().forward(x + 0.01 * self.passes)


@pytest.mark.parametrize("built", [toy.Recursive, Counting])
def test_panels_change_nothing_that_is_trained(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, built: type[nn.Module]
) -> None:
    """A panel in every report or none at all: the same bytes of weights, optimizer, averages and random states."""
    workload = replace(WATCHED, build=lambda settings, prepared: built(settings.model))
    slots = {}
    for name, due in (("every", True), ("none", False)):
        monkeypatch.setattr(loop, "panel_due", lambda *place, due=due: due)
        with pytest.raises(Killed):
            run(prepared, tmp_path / name, workload, on_report=killed_at(8))
        slots[name] = sorted((tmp_path / name / "resume").glob("slot-*.safetensors"))
        assert [("gradients" in line) == due for line in lines(tmp_path / name) if "terms" in line]
    assert len(slots["every"]) == 2
    for one, other in zip(slots["every"], slots["none"], strict=True):
        assert one.read_bytes() == other.read_bytes()
    for name, due in (("every", True), ("none", False)):
        monkeypatch.setattr(loop, "panel_due", lambda *place, due=due: due)
        run(prepared, tmp_path / name, workload)
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("every", "none"))
    assert one == other


def test_the_panel_of_one_term_is_the_gradient_of_the_step(prepared: Path, tmp_path: Path) -> None:
    """One weighted term and one micro-batch a step: its norm, over all supervision steps and with the step's own
    dropout, is the norm that training clips."""
    run(prepared, tmp_path, training__accumulate=1, **with_weight("size", 0.0))
    (line,) = [line for line in lines(tmp_path) if "gradients" in line]
    assert line["step"] == 6
    assert line["gradients"].keys() == {"above"}
    assert line["gradients"]["above"] == {"norm": pytest.approx(line["gradient_norm"], rel=1e-5), "share": 1.0}


def test_shares_follow_the_weights(prepared: Path, tmp_path: Path) -> None:
    """Ten times the weight is ten times the norm at the very first step, before the weights of the model differ."""
    panels = []
    for weight in (0.1, 1.0):
        folder = tmp_path / str(weight)
        run(
            prepared,
            folder,
            training__epochs=1,
            training__report_every=1,
            data__samples=16,
            **with_weight("size", weight),
        )
        panels.append(next(line["gradients"] for line in lines(folder) if "gradients" in line))
    low, high = panels
    assert sum(row["share"] for row in high.values()) == pytest.approx(1.0)
    assert high["size"]["share"] > low["size"]["share"]


LONG = {  # 22 steps an epoch; panels in the reports of steps 20 and 100
    "data__batch": 2,
    "training__accumulate": 1,
    "training__epochs": 5,
    "training__report_every": 5,
    "training__checkpoint_every": 1000,
}


def test_a_dead_term_is_called_dead(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = run(prepared, tmp_path, **LONG, **with_weight("size", 1e-6))
    (row,) = summary["alarms"]
    assert (row["rule"], row["subject"]) == ("dead", "size")
    assert row["step"] == 110  # the last report of the epoch that had the second panel
    assert row["value"] < 1e-4
    assert (
        f"alarm: {row['message']}. Possible causes: it cannot be felt. Try: raise its weight" in capsys.readouterr().err
    )
    assert json.loads((tmp_path / "model.json").read_text())["alarms"] == [row]
    assert json.loads((tmp_path / "resume" / "finished.json").read_text())["summary"]["alarms"] == [row]
    assert [line["alarms"] for line in lines(tmp_path) if "alarms" in line] == [[row]]
    assert run(prepared, tmp_path, **LONG, **with_weight("size", 1e-6))["alarms"] == [row]  # nothing left to do


def test_good_weights_raise_nothing(prepared: Path, tmp_path: Path) -> None:
    assert run(prepared, tmp_path, **LONG)["alarms"] == []
    card = json.loads((tmp_path / "model.json").read_text())
    assert card["alarms"] == []


ABSURD = {"training__learning_rate": 30.0, "training__warmup_share": 0.0, "training__report_every": 1}


def test_an_absurd_learning_rate_is_told_while_it_trains(prepared: Path, tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    summary = run(prepared, tmp_path, on_report=seen.append, **ABSURD)
    raised = [line for line in seen if "alarms" in line]
    assert [row["rule"] for row in raised[0]["alarms"]] == ["growing"]
    assert raised[0]["step"] < summary["steps"]
    assert "validation" not in raised[0]


@pytest.mark.parametrize("step", range(1, 10))
def test_alarms_survive_a_kill(prepared: Path, tmp_path: Path, step: int) -> None:
    run(prepared, tmp_path / "whole", **ABSURD)
    with pytest.raises(Killed):
        run(prepared, tmp_path / "killed", on_report=killed_at(step), **ABSURD)
    run(prepared, tmp_path / "killed", **ABSURD)
    assert sha256_tree(tmp_path / "killed") == sha256_tree(tmp_path / "whole")


def test_every_number_of_a_line_is_finite(prepared: Path, tmp_path: Path) -> None:
    run(prepared, tmp_path, **ABSURD)

    def check(value: Any) -> None:
        for each in value.values() if isinstance(value, dict) else ():
            check(each)
        assert not isinstance(value, float) or math.isfinite(value)

    for line in lines(tmp_path):
        check(line)
