"""Every term gives the reference values computed in float64 from the formulas of the workload page."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from components.losses.contrastive import info_nce
from components.losses.cross_entropy import class_ce, tokens_ce
from components.losses.distillation import jsd, kl
from components.losses.focal import binary_focal, focal_ce
from components.losses.halting import confident_halting, decision_is_right, halting_bce
from components.losses.load_balance import load_balance
from components.losses.profit import profit_ce
from components.losses.similarity import pans, semantic_distance, soft_pans
from components.losses.spans import span_ce

ORACLES = Path(__file__).parents[2].parent / "shared" / "oracles" / "losses.json"


def exact(value):
    return torch.tensor(value, dtype=torch.float64)


FORMULAS = {
    "binary_focal": lambda i, s: binary_focal(exact(i["logits"]), exact(i["targets"]), s["alpha"], s["gamma"]),
    "focal_ce": lambda i, s: focal_ce(exact(i["logits"]), torch.tensor(i["labels"]), s["gamma"]),
    "tool_ce": lambda i, s: class_ce(exact(i["logits"]), torch.tensor(i["labels"])),
    "halting_q": lambda i, s: halting_bce(
        exact(i["q"]), decision_is_right(exact(i["decision_logits"]), exact(i["decision"]))
    ),
    "span": lambda i, s: span_ce(
        exact(i["start"]),
        exact(i["end"]),
        torch.tensor(i["start_labels"]),
        torch.tensor(i["end_labels"]),
        torch.tensor(i["attention"]).bool(),
    ),
    "profit": lambda i, s: profit_ce(
        exact(i["logits"]),
        torch.tensor(i["labels"]),
        exact(i["pnl"]),
        s["scale"],
        s.get("w_min", 0.0),
        exact(s["class_weights"]) if "class_weights" in s else None,
    ),
    "halt": lambda i, s: confident_halting(
        exact(i["halt_logits"]), exact(i["logits"]), torch.tensor(i["labels"]), s["threshold"]
    ),
    "jsd": lambda i, s: jsd(exact(i["student"]), exact(i["teacher"]), torch.tensor(i["ok"]).bool(), s["T"]),
    "kl": lambda i, s: kl(exact(i["student"]), exact(i["teacher"]), torch.tensor(i["ok"]).bool(), s["T"]),
    "semantic": lambda i, s: semantic_distance(exact(i["logits"]), exact(i["E"]), torch.tensor(i["labels"]), -100),
    "tokens_ce": lambda i, s: tokens_ce(exact(i["logits"]), torch.tensor(i["labels"])),
    "info_nce": lambda i, s: info_nce(
        exact(i["a"]), exact(i["b"]), torch.ones(len(i["a"]), dtype=torch.bool), s["tau"], s.get("symmetric", False)
    ),
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", FORMULAS)
def test_reference_values(name):
    if not ORACLES.is_file():
        pytest.skip("the reference values are not beside this project")
    for case in json.loads(ORACLES.read_text())[name]:
        values, valid = FORMULAS[name](case["inputs"], case["settings"])
        assert values.dtype == torch.float64
        assert valid.tolist() == case["valid"]
        assert_close(values[valid], exact(case["values"])[valid], atol=1e-6, rtol=1e-6)
        mean = values[valid].mean() if valid.any() else torch.zeros(())
        assert float(mean) == pytest.approx(case["mean"], abs=1e-6)


@pytest.mark.real_data
def test_reference_values_of_load_balance():
    if not ORACLES.is_file():
        pytest.skip("the reference values are not beside this project")
    for case in json.loads(ORACLES.read_text())["load_balance"]:  # one number a batch: the mean of ours
        values, valid = load_balance(exact(case["inputs"]["probs"]))
        assert valid.all()
        assert float(values.mean()) == pytest.approx(case["mean"], abs=1e-12)


@pytest.mark.real_data
def test_reference_values_of_n_gram_similarity():
    if not ORACLES.is_file():
        pytest.skip("the reference values are not beside this project")
    cases = json.loads(ORACLES.read_text())
    for case in cases["pans"]:
        found = pans(**case["inputs"], **case["settings"])
        assert found == pytest.approx(case["values"], abs=1e-6)
    for case in cases["soft_pans"]:
        logits, reference = exact([case["inputs"]["logits"]]), torch.tensor([case["inputs"]["reference"]])
        written = torch.ones(logits.shape[:2], dtype=torch.bool)
        values, valid = soft_pans(logits, reference, written, **case["settings"])
        assert valid.tolist() == [True]
        assert float(values) == pytest.approx(case["values"], abs=1e-6)


def test_binary_focal_by_hand():
    values, _ = binary_focal(torch.tensor([2.0, -1.0, 0.5]), torch.tensor([1.0, 0.0, 0.0]), 0.25, 2.0)
    assert values.tolist() == pytest.approx([0.00045089, 0.01699354, 0.28305870], abs=1e-7)
    assert float(values.mean()) == pytest.approx(0.10016771, abs=1e-7)


def test_focal_ce_by_hand():
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 3.0, -1.0]])
    values, valid = focal_ce(logits, torch.tensor([0, 2, -1]), 2.0)
    assert valid.tolist() == [True, True, False]
    assert float(values[valid].mean()) == pytest.approx(0.26697496, abs=1e-7)


def test_a_halting_head_that_knows_nothing_costs_ln_2():
    values, _ = halting_bce(torch.zeros(2), torch.tensor([True, False]))
    assert values.tolist() == pytest.approx([math.log(2)] * 2)


def test_span_by_hand():
    # Three positions, the last one padded: start logits (0, ln 3), so P = 1/4 and 3/4; end is uniform over two.
    start = torch.tensor([0.0, math.log(3), 50.0]).view(1, 3, 1)
    attention = torch.tensor([[True, True, False]])
    values, _ = span_ce(start, torch.zeros(1, 3, 1), torch.tensor([[1]]), torch.tensor([[1]]), attention)
    assert float(values) == pytest.approx((math.log(4 / 3) + math.log(2)) / 2, abs=1e-6)
