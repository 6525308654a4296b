"""What may share a stack is found by asking the model, and how many may is measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from components.training import fit
from components.training.fit import footprint, how_many_fit
from components.training.lanes import fresh_model, why_not_together
from components.training.stacked import KEPT, layout_of
from tests.training import toy


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.prepare(toy.section(), tmp_path_factory.mktemp("toy") / "prepared")


def asked(prepared: Path, section: Any = None, **changes: Any) -> str | None:
    return why_not_together(replace(toy.WORKLOAD, **changes), section or toy.section(), prepared, "cpu")


def test_the_toy_may_be_stacked(prepared):
    assert asked(prepared) is None


def test_a_model_that_decides_by_what_it_computes_may_not(prepared):
    def deciding(model: Any, batch: Any, section: Any):
        for outputs in model(batch["x"]):
            yield outputs
            if float(outputs["above_logits"].detach().mean()) > 1e6:
                return

    assert "decides by what it computes" in (asked(prepared, rollout=deciding) or "")


def test_running_statistics_would_be_shared(prepared):
    class Counting(toy.Recursive):
        def __init__(self, settings: Any) -> None:
            super().__init__(settings)
            self.network = nn.Sequential(self.network, nn.BatchNorm1d(settings.width))

    said = asked(prepared, build=lambda section, _: Counting(section.model))
    assert said is not None and "network.1 keeps running statistics" in said


def test_a_buffer_that_changes_would_be_shared(prepared):
    def counting(model: Any, batch: Any, section: Any):
        model.start.add_(1e-6)
        yield from model(batch["x"])

    assert "changes start" in (asked(prepared, rollout=counting) or "")


def test_a_model_that_a_stack_computes_wrongly_is_found_out(prepared):
    calls = []

    def moody(model: Any, batch: Any, section: Any):
        calls.append(1)
        for outputs in model(batch["x"]):
            yield {name: value * len(calls) for name, value in outputs.items()}

    assert "the gradient of" in (asked(prepared, rollout=moody) or "")


def test_a_balancer_has_a_state_of_each_model(prepared):
    section = toy.section()
    balancer = section.training.balancer.model_copy(update={"method": "famo"})
    section = section.model_copy(update={"training": section.training.model_copy(update={"balancer": balancer})})
    assert "famo" in (asked(prepared, section) or "")


def test_a_footprint_is_that_of_the_model_and_the_batch(prepared):
    section, cpu = toy.section(), torch.device("cpu")
    own = footprint(toy.WORKLOAD, section, prepared, cpu)
    numbers = layout_of(fresh_model(toy.WORKLOAD, section, prepared, cpu)).numbers
    assert own.row == 4 * numbers * (len(KEPT) + 1)
    larger = footprint(toy.WORKLOAD, toy.section(data__batch=16), prepared, cpu)
    assert 1.7 < larger.activations / own.activations < 2.1
    assert own.activations > 3 * 8 * 12 * 4  # three steps of eight samples keep at least their states


def test_memory_decides_how_many(prepared, monkeypatch):
    section = toy.section()
    row = footprint(toy.WORKLOAD, section, prepared, torch.device("cpu")).row
    found = {}
    for free in (2 * fit.ON_CPU * fit.BACKWARD + 200 * row, 2 * fit.ON_CPU * fit.BACKWARD + 2000 * row, 10):
        monkeypatch.setattr(fit, "free_bytes", lambda _, free=free: free)
        found[free] = how_many_fit(toy.WORKLOAD, section, prepared, "cpu")
    few, many, none = found.values()
    assert many - few == pytest.approx(900, abs=2)
    assert none == 1


def test_free_memory_is_that_of_this_machine():
    assert 2**20 < fit.free_bytes(torch.device("cpu")) < 2**50
