"""Candidates trained as one stack: each as if alone, whoever leaves, whenever it is stopped or killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from components.errors import EquipoiseError
from components.files import sha256_tree
from components.training.candidates import train_together
from components.training.interrupt import TrainingInterrupted
from components.training.lanes import Lane, Outcome
from components.training.loop import train
from tests.training import toy

ROOT = Path(__file__).resolve().parents[2]
STEPS = 9  # of the toy's three epochs
CLOSE = 1e-6  # absolute difference of any weight between a lane and its training alone: rounding of batched products


def lane(number: int, above: float = 1.0, **training: Any) -> Lane:
    size = {"weight": 0.5 + 0.1 * number, "schedule": [[0.0, 1.0], [1.0, 0.1 * number]]}
    other = {f"training__{name}": value for name, value in training.items()}
    return Lane(number, toy.section(loss__above={"weight": above, "schedule": [[0.0, 1.0]]}, loss__size=size, **other))


LANES = (
    lane(0),
    lane(3, 4.0, learning_rate=0.03),
    lane(5, 0.2, weight_decay=0.7),
    lane(6, 1.5, learning_rate=0.002, weight_decay=0.0),
)


def never(epochs: int, metrics: Mapping[int, Mapping[str, float]]) -> Mapping[int, Sequence[int]]:
    return {}


def together(prepared: Path, folder: Path, lanes: Sequence[Lane] = LANES, **other: Any) -> dict[int, Outcome]:
    arguments = {"rungs": (1, 2), "stop": never, "device": "cpu", **other}
    return train_together(arguments.pop("workload", toy.WORKLOAD), lanes, prepared, folder, **arguments)


def difference(one: Path, other: Path) -> float:
    left, right = (load_file(folder / "model.safetensors") for folder in (one, other))
    assert left.keys() == right.keys()
    return max(float((left[name] - right[name]).abs().max()) for name in left)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "curves.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.prepare(toy.section(), tmp_path_factory.mktemp("toy") / "prepared")


@pytest.fixture(scope="module")
def whole(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, Outcome]]:
    """The folder and the outcomes of all lanes, never disturbed."""
    folder = tmp_path_factory.mktemp("together") / "whole"
    return folder, together(prepared, folder)


@pytest.mark.parametrize("own", LANES, ids=lambda own: f"lane-{own.number}")
def test_a_lane_is_what_it_would_be_alone(prepared, whole, tmp_path, own):
    folder, outcomes = whole
    summary = train(toy.WORKLOAD, own.section, prepared, tmp_path, device="cpu")
    assert difference(tmp_path, folder / str(own.number)) < CLOSE
    outcome = outcomes[own.number]
    assert outcome.metrics == pytest.approx(summary["metrics"], abs=1e-5)
    assert (outcome.steps, outcome.rung, outcome.failure) == (summary["steps"], summary["epochs"], None)
    mine, alone = lines(folder / str(own.number)), lines(tmp_path)
    assert [(line["step"], line["epoch"], line["progress"]) for line in mine] == [
        (line["step"], line["epoch"], line["progress"]) for line in alone
    ]
    for ours, theirs in zip(mine, alone, strict=True):
        if "validation" in theirs:
            assert ours["validation"] == pytest.approx(theirs["validation"], abs=1e-5)
            continue
        for name in ("loss", "gradient_norm", "learning_rate"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-4)
        for name, row in theirs["terms"].items():
            assert ours["terms"][name] == pytest.approx(row, rel=1e-4)
    assert outcome.terms == next(line["terms"] for line in reversed(mine) if "terms" in line)


def test_training_alone_finds_a_lane_that_ran_to_its_end(prepared, whole):
    folder, _ = whole
    assert not train(toy.WORKLOAD, LANES[1].section, prepared, folder / "3", device="cpu")["ran"]


def test_lanes_in_runs_of_two_are_the_same_lanes(prepared, whole, tmp_path, monkeypatch):
    monkeypatch.setattr("components.training.candidates.lanes_at_once", lambda *_: 3)
    together(prepared, tmp_path)
    for own in LANES:
        assert difference(tmp_path / str(own.number), whole[0] / str(own.number)) < CLOSE


def test_who_is_stopped_leaves_the_others_as_if_it_had_never_been_there(prepared, whole, tmp_path):
    asked = []

    def stop(epochs: int, metrics: Mapping[int, Mapping[str, float]]) -> Mapping[int, Sequence[int]]:
        asked.append((epochs, sorted(metrics)))
        return {1: {3: (0, 5)}, 2: {0: (6,)}}[epochs]

    outcomes = together(prepared, tmp_path / "all", stop=stop)
    assert asked == [(1, [0, 3, 5, 6]), (2, [0, 5, 6])]
    assert [(n, outcomes[n].rung, outcomes[n].dominators) for n in sorted(outcomes)] == [
        (0, 2, (6,)), (3, 1, (0, 5)), (5, 3, ()), (6, 3, ()),
    ]  # fmt: skip
    alone = together(prepared, tmp_path / "few", [LANES[2], LANES[3]])
    for number in (5, 6):
        assert difference(tmp_path / "all" / str(number), tmp_path / "few" / str(number)) < CLOSE
        assert difference(tmp_path / "all" / str(number), whole[0] / str(number)) < CLOSE
        assert outcomes[number].metrics == pytest.approx(alone[number].metrics, abs=1e-5)
    short = replace(LANES[1], section=toy.section())
    assert train(toy.WORKLOAD, short.section, prepared, tmp_path / "all" / "3", device="cpu")["ran"]


def test_a_stopped_lane_keeps_the_best_of_what_it_had(prepared, whole, tmp_path):
    outcomes = together(prepared, tmp_path, stop=lambda epochs, metrics: {3: (0,)} if epochs == 1 else {})
    first = next(line["validation"] for line in lines(whole[0] / "3") if "validation" in line)
    assert outcomes[3].metrics == pytest.approx(first, abs=1e-6)
    assert outcomes[3].steps == STEPS / 3
    assert (tmp_path / "3" / "model.json").is_file()


def test_patience_ends_each_lane_when_it_would_end_alone(prepared, tmp_path):
    lanes = [lane(n, above, epochs=6, patience=1, learning_rate=rate) for n, above, rate in ((0, 1, 0.5), (1, 2, 1e-3))]
    outcomes = together(prepared, tmp_path / "t", lanes)
    alone = [train(toy.WORKLOAD, own.section, prepared, tmp_path / str(own.number), device="cpu") for own in lanes]
    assert [outcomes[n].rung for n in (0, 1)] == [summary["epochs"] for summary in alone]
    assert len({summary["epochs"] for summary in alone}) == 2


def test_who_diverges_fails_alone(prepared, whole, tmp_path):
    wild = lane(4, learning_rate=1e30)
    outcomes = together(prepared, tmp_path, [LANES[0], wild, LANES[1]])
    assert "E_NONFINITE" in (outcomes[4].failure or "") and "step 2" in (outcomes[4].failure or "")
    assert outcomes[4].metrics == {} and outcomes[4].rung == 0
    assert not (tmp_path / "4" / "model.safetensors").exists()
    for number in (0, 3):
        assert outcomes[number].failure is None
        assert difference(tmp_path / str(number), whole[0] / str(number)) < CLOSE


def test_all_may_fail(prepared, tmp_path):
    outcomes = together(prepared, tmp_path, [lane(1, learning_rate=1e30), lane(2, learning_rate=1e31)])
    assert all(outcome.failure and outcome.steps == 2 for outcome in outcomes.values())
    assert together(prepared, tmp_path, [lane(1, learning_rate=1e30), lane(2, learning_rate=1e31)]) == outcomes


def interrupting(after: int) -> Any:
    """The toy, whose batches ask for a stop before micro-batch `after` of the training split is given, once."""
    given = 0

    def batches(*arguments: Any):
        nonlocal given
        for batch in toy.batches(*arguments):
            given += 1
            if given == after:
                os.kill(os.getpid(), signal.SIGINT)
            yield batch

    return replace(toy.WORKLOAD, batches=batches)


@pytest.mark.parametrize("after", [8, 15, 29])
def test_stopped_by_hand_and_continued_it_is_the_same_to_the_byte(prepared, whole, tmp_path, after):
    def stop(epochs: int, metrics: Mapping[int, Mapping[str, float]]) -> Mapping[int, Sequence[int]]:
        return {5: (0,)} if epochs == 1 else {}

    undisturbed = together(prepared, tmp_path / "undisturbed", stop=stop)
    with pytest.raises(TrainingInterrupted, match="candidates of toy stopped after step"):
        together(prepared, tmp_path / "stopped", stop=stop, workload=interrupting(after))
    assert together(prepared, tmp_path / "stopped", stop=stop) == undisturbed
    assert sha256_tree(tmp_path / "stopped") == sha256_tree(tmp_path / "undisturbed")


def test_killed_at_file_operations_and_continued_it_is_the_same_to_the_byte(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.kill_together", str(tmp_path), "9", "21", "33"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["3", "kills"]


def test_a_second_call_trains_nothing_unless_something_was_damaged(prepared, whole, tmp_path):
    folder, outcomes = whole
    refuses = replace(toy.WORKLOAD, rollout=None)
    assert together(prepared, folder, workload=refuses) == outcomes
    first = together(prepared, tmp_path, LANES[:2])
    (tmp_path / "3" / "model.safetensors").write_bytes(b"other")
    assert together(prepared, tmp_path, LANES[:2]) == first
    assert difference(tmp_path / "3", folder / "3") < CLOSE


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Lane(9, toy.section(model__width=16)), "model.width"),
        (Lane(9, toy.section(training__epochs=4)), "training.epochs"),
        (Lane(9, toy.section(loss__above={"weight": 0.0, "schedule": [[0.0, 1.0]]})), "loss.above.weight"),
        (Lane(0, toy.section()), "every number must stand once"),
    ],
)
def test_lanes_that_cannot_share_a_stack_are_refused(prepared, tmp_path, other, words):
    with pytest.raises(EquipoiseError, match=words) as refused:
        together(prepared, tmp_path, [lane(0), other])
    assert refused.value.code == "E_LANES"


def test_no_lanes_are_refused(prepared, tmp_path):
    with pytest.raises(EquipoiseError, match="there must be a candidate"):
        together(prepared, tmp_path, [])
