"""Trainings with each balancer: quadratics with a known best compromise, parts of a step, kills, ranks, real bars."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.optimize import brentq
from torch import Tensor, nn

from components.errors import EquipoiseError
from components.files import sha256_tree
from components.losses.balancing import METHODS
from components.losses.contract import Masked, Term
from components.training import loop
from components.training.loop import train
from components.workload import workload
from tests.training import toy
from tests.training.test_distributed import train_on_two
from tests.workloads.trading.prepared_market import market

STEEP = 4.0
QUICK = {"logit_rate": 0.1, "logit_decay": 0.1}  # famo settles within the few hundred steps of a test


def balanced(method: str, **changes: Any) -> dict[str, Any]:
    return {"training__balancer": {**toy.STATIC, "method": method}, **changes}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.prepare(toy.section(), tmp_path_factory.mktemp("toy") / "prepared")


def curves(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "curves.jsonl").read_text().splitlines()]


class Point(nn.Module):
    """A point (x, y) of the plane, all that is learnt; a head that its second term alone reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.tensor([0.2, 0.3]))
        self.head = nn.Parameter(torch.tensor([0.5]))

    def forward(self, x: Tensor) -> Iterator[dict[str, Tensor]]:
        yield {"place": self.place.expand(len(x), 2), "head": self.head.expand(len(x))}


def at_origin(outputs: Any, batch: Any, settings: Any) -> Masked:
    """(x^2 + y^2) / 2 + 1."""
    values = outputs["place"].square().sum(1) / 2 + 1
    return Masked(values, torch.ones_like(values, dtype=torch.bool))


def at_one(outputs: Any, batch: Any, settings: Any) -> Masked:
    """STEEP ((x - 1)^2 + y^2) / 2 + 1, and the head's own square."""
    aim = outputs["place"].new_tensor([1.0, 0.0])
    values = STEEP * (outputs["place"] - aim).square().sum(1) / 2 + 1 + outputs["head"].square() / 2
    return Masked(values, torch.ones_like(values, dtype=torch.bool))


def compromise(method: str, prepared: Path, folder: Path) -> dict[str, Tensor]:
    """Where training of the two quadratics ends."""
    judged = iter(range(1000))
    count = toy.TERMS["above"].count
    quadratics = replace(
        toy.WORKLOAD,
        build=lambda settings, prepared: Point(),
        terms={"above": Term(at_origin, count, needs=("place",)), "size": Term(at_one, count, needs=("place",))},
        validate=lambda *arguments: {"objective": float(next(judged))},
    )
    recipe = {
        "model__steps": 1, "data__batch": 1, "training__accumulate": 1, "training__epochs": 6,
        "training__learning_rate": 0.1, "training__weight_decay": 0.0, "training__checkpoint_every": 1000,
        "training__clip_norm": 100.0, "training__patience": 99, "training__report_every": 20,
        "loss__size": {"weight": 1.0, "schedule": [[0.0, 1.0]]},
    }  # fmt: skip
    section = toy.section(**recipe, training__balancer={**toy.STATIC, **QUICK, "method": method})
    train(quadratics, section, prepared, folder, device="cpu")
    return load_file(folder / "model.safetensors")


def best_of_logarithms() -> float:
    """Least ln L1 + ln L2 on the way from 0 to 1: where x / L1 = STEEP (1 - x) / L2."""
    return brentq(lambda x: x / (x * x / 2 + 1) - STEEP * (1 - x) / (STEEP * (1 - x) ** 2 / 2 + 1), 0.0, 1.0)


def smooth_worst() -> float:
    """Least mu ln(exp(L1 / 2 mu) + exp(L2 / 2 mu)): the pulls x and STEEP (1 - x), by these exponentials, balance."""

    def pull(x: float) -> float:
        return x * math.exp((x * x - STEEP * (1 - x) ** 2) / 2 / (2 * toy.STATIC["smoothing"])) - STEEP * (1 - x)

    return brentq(pull, 0.0, 1.0)


BOTH_ALIKE = STEEP / (1 + STEEP)  # x = STEEP (1 - x)
ENDS = {
    "static": (BOTH_ALIKE, 1e-3),
    "equal": (BOTH_ALIKE, 1e-3),
    "dwa": (BOTH_ALIKE, 5e-3),  # once both rest, their rates are equal
    "random": (BOTH_ALIKE, 0.15),
    "uncertainty": (best_of_logarithms(), 5e-3),
    "famo": (best_of_logarithms(), 5e-3),  # its logits decay to equal ones once nothing falls any more
    "chebyshev": (smooth_worst(), 1e-3),
    "cagrad": (BOTH_ALIKE, 5e-3),  # within its radius it follows the mean, whose best point is its own
}


@pytest.mark.parametrize("method", ENDS)
def test_a_method_ends_in_its_compromise(prepared: Path, tmp_path: Path, method: str) -> None:
    """The best compromises are the points between (0, 0) and (1, 0); which of them, the method decides."""
    found = compromise(method, prepared, tmp_path)
    x, tolerance = ENDS[method]
    assert float(found["place"][0]) == pytest.approx(x, abs=tolerance)
    assert float(found["place"][1]) == pytest.approx(0.0, abs=2e-2)
    assert float(found["head"]) == pytest.approx(0.0, abs=2e-2)


@pytest.mark.parametrize("method", ["upgrad", "mgda", "pcgrad"])
def test_an_aggregator_ends_in_a_compromise_and_trains_what_is_not_shared(
    prepared: Path, tmp_path: Path, method: str
) -> None:
    found = compromise(method, prepared, tmp_path)
    x, y = found["place"].tolist()
    assert -1e-2 <= x <= 1 + 1e-2
    assert y == pytest.approx(0.0, abs=3e-2)
    assert float(found["head"]) == pytest.approx(0.0, abs=2e-2)


def test_the_weights_only_say_who_takes_part(prepared: Path, tmp_path: Path) -> None:
    settings = {
        "static": toy.section(loss__size=toy_term(1.0)),
        "one": toy.section(**balanced("equal", loss__size=toy_term(1.0))),
        "seven": toy.section(**balanced("equal", loss__size=toy_term(7.0))),
    }
    for name, section in settings.items():
        train(toy.WORKLOAD, section, prepared, tmp_path / name, device="cpu")
    static, *others = (load_file(tmp_path / name / "model.safetensors") for name in settings)
    assert all(torch.equal(static[name], other[name]) for name in static for other in others)


def toy_term(weight: float) -> dict[str, Any]:
    return {"weight": weight, "schedule": [[0.0, 1.0]]}


def test_schedules_stay_in_force_and_the_lines_say_so(prepared: Path, tmp_path: Path) -> None:
    """size's schedule falls from 1 to .2 over nine steps, read in their middle; equal counts 1."""
    train(toy.WORKLOAD, toy.section(**balanced("equal")), prepared, tmp_path, device="cpu")
    weights = [line["terms"]["size"]["weight"] for line in curves(tmp_path) if "terms" in line]
    assert weights == pytest.approx([1 - 0.8 * (number + 0.5) / 9 for number in range(9)])


def test_a_term_without_weight_takes_no_part(prepared: Path, tmp_path: Path) -> None:
    """One weighted term alone: every method gives the gradient of that term, up to a factor that Adam does not see."""
    changes = {"loss__above": toy_term(0.0), "loss__size": toy_term(1.0), "training__clip_norm": 1e6}
    train(toy.WORKLOAD, toy.section(**changes), prepared, tmp_path / "static", device="cpu")
    static = load_file(tmp_path / "static" / "model.safetensors")
    for method in ("mgda", "chebyshev", "famo"):
        train(toy.WORKLOAD, toy.section(**balanced(method, **changes)), prepared, tmp_path / method, device="cpu")
        for name, tensor in load_file(tmp_path / method / "model.safetensors").items():
            torch.testing.assert_close(tensor, static[name], atol=1e-5, rtol=1e-4)
        assert {line["terms"]["above"]["weight"] for line in curves(tmp_path / method) if "terms" in line} == {0.0}


@pytest.mark.parametrize("method", METHODS)
def test_micro_batches_give_the_step_of_one_big_batch(prepared: Path, tmp_path: Path, method: str) -> None:
    """Losses and gradients are those of the whole step, over its micro-batches and supervision steps."""
    for name, size, parts in (("whole", 16, 1), ("quarter", 4, 4)):
        changes = {"data__batch": size, "training__accumulate": parts, "model__dropout": 0.0}
        train(toy.WORKLOAD, toy.section(**balanced(method, **changes)), prepared, tmp_path / name, device="cpu")
    whole, quarter = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "quarter"))
    for name, tensor in quarter.items():
        torch.testing.assert_close(tensor, whole[name], atol=2e-5, rtol=0)


class Killed(Exception):
    """Ends a run in the middle, as abruptly as an exception can."""


@pytest.mark.parametrize("method", METHODS)
def test_killed_anywhere_ends_in_the_same_bytes(prepared: Path, tmp_path: Path, method: str) -> None:
    """Twelve steps in four epochs, a checkpoint every other one; killed in the middle of an epoch and at ends."""
    section = toy.section(**balanced(method, training__epochs=4))
    train(toy.WORKLOAD, section, prepared, tmp_path / "whole", device="cpu")
    again = tmp_path / "killed"
    for step in (5, 12):

        def kill(line: dict[str, Any], step: int = step) -> None:
            if line["step"] == step:
                raise Killed

        with pytest.raises(Killed):
            train(toy.WORKLOAD, section, prepared, again, device="cpu", on_report=kill)
    train(toy.WORKLOAD, section, prepared, again, device="cpu")
    assert sha256_tree(again) == sha256_tree(tmp_path / "whole")


@pytest.mark.parametrize("method", ["pcgrad", pytest.param("famo", marks=pytest.mark.torture)])
def test_two_ranks_equal_one(tmp_path: Path, method: str) -> None:
    """Losses and gradients of a step are summed over ranks before a balancer sees them."""
    data = toy.prepare(toy.section(), tmp_path / "prepared")
    train(toy.WORKLOAD, toy.section(**balanced(method)), data, tmp_path / "one", device="cpu")
    train_on_two(data, tmp_path / "two", method)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=2e-5, rtol=0)
    lines = [[line for line in curves(tmp_path / name) if "terms" in line] for name in ("one", "two")]
    told = [[line["terms"]["size"]["weight"] for line in each] for each in lines]
    assert told[0] == pytest.approx(told[1], rel=1e-4)
    assert len(set(told[0])) == len(told[0])


@pytest.mark.parametrize("method", ["famo", "pcgrad"])
def test_a_panel_changes_nothing_and_shows_what_is_in_force(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """A panel in every report or none at all: the same weights, of the model and of the terms."""
    section = toy.section(**balanced(method))
    for name, due in (("every", True), ("none", False)):
        monkeypatch.setattr(loop, "panel_due", lambda *place, due=due: due)
        train(toy.WORKLOAD, section, prepared, tmp_path / name, device="cpu")
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("every", "none"))
    assert one == other
    every, none = ([line for line in curves(tmp_path / name) if "terms" in line] for name in ("every", "none"))
    assert [line["terms"] for line in every] == [line["terms"] for line in none]
    for line in every:
        assert set(line["cosines"]) == {"above"} and -1.0 <= line["cosines"]["above"]["size"] <= 1.0
        shares = [row["share"] for row in line["gradients"].values()]
        assert line["effective_terms"] == pytest.approx(math.exp(-sum(p * math.log(p) for p in shares)))


def test_losses_that_are_not_finite_are_refused_by_name(prepared: Path, tmp_path: Path) -> None:
    """Whatever the balancer asks for, the step's own check names the term."""

    def broken(outputs: Any, batch: Any, settings: Any) -> Masked:
        values, valid = toy.size_loss(outputs, batch, settings)
        return Masked(values * torch.nan, valid)

    terms = {**toy.TERMS, "size": replace(toy.TERMS["size"], loss=broken)}
    for method in ("famo", "chebyshev", "upgrad", "uncertainty"):
        with pytest.raises(EquipoiseError, match=r"E_NONFINITE loss\.size at step 1"):
            section = toy.section(**balanced(method))
            train(replace(toy.WORKLOAD, terms=terms), section, prepared, tmp_path / method, device="cpu")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    return market(tmp_path_factory.mktemp("planted"), seed=2, edge=0.15, days=2600)


@pytest.mark.parametrize("method", METHODS)
def test_a_real_workload_trains_finitely_and_reproducibly(
    planted: tuple[Any, Path], tmp_path: Path, method: str
) -> None:
    section, prepared = planted
    training = section.training
    recipe = training.model_copy(
        update={
            "epochs": 1,
            "report_every": 2,
            "batch_tokens": 4 * training.batch_tokens,
            "balancer": training.balancer.model_copy(update={"method": method}),
        }
    )
    section = section.model_copy(update={"training": recipe})
    for name in ("first", "second"):
        train(workload("trading"), section, prepared, tmp_path / name, device="cpu")
    lines = [line for line in curves(tmp_path / "first") if "terms" in line]
    assert lines and all(math.isfinite(line["loss"]) and line["gradient_norm"] > 0 for line in lines)
    assert sha256_tree(tmp_path / "first") == sha256_tree(tmp_path / "second")
    weights = load_file(tmp_path / "first" / "model.safetensors")
    assert all(np.isfinite(tensor.numpy()).all() for tensor in weights.values())
