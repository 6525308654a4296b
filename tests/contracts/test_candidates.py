"""Every workload whose model can be stacked: candidates trained together are what each would be alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from components.config import load_config
from components.training.candidates import train_together
from components.training.lanes import Lane, why_not_together
from components.training.loop import train
from components.workload import Workload, workload
from components.workloads.assertions.data import prepare
from components.workloads.assertions.lessons import teacher_folder
from components.workloads.assertions.teacher import teach_into
from components.workloads.assertions.workload import WORKLOAD as ASSERTIONS
from components.workloads.tool_calling import data as dialogues
from tests.workloads.assertions.small import loss, model, rows
from tests.workloads.keyboard.small import prepared_small
from tests.workloads.keyboard.test_training import quick
from tests.workloads.trading.prepared_market import market

PARAMS = Path(__file__).parents[2] / "params.yaml"
STEPS = 4  # optimizer steps an epoch, of two epochs
# Rounding differs between products and batched products; AdamW turns the sign of a gradient that is all rounding into
# a full step of the learning rate, so single weights may lie apart while the models are the same.
WEIGHTS = 5e-4  # relative difference of all weights of a lane, as a vector, from those it would have alone
CHANGES = {  # numbers of candidates beside the default: weights, a formula's own numbers, schedules
    "tool_calling": (
        {"decision.weight": 3.0, "decision.gamma": 2.0},
        {"q.weight": 0.1, "tool.schedule": [[0.0, 1.0], [1.0, 0.3]]},
    ),
    "trading": (
        {"halt.weight": 0.5, "profit.pnl_scale": 0.02},
        {"profit.weight": 0.3, "halt.confidence_threshold": 0.4},
    ),
    "assertions": ({"jsd.weight": 0.9, "jsd.temperature": 3.0}, {"focal.gamma": 1.0, "semantic.weight": 0.05}),
    "keyboard": ({"encoder.align.tau": 0.2, "decoder.text.weight": 2.0}, {"decoder.load.weight": 0.5}),
}


def prepared_tool_calling(folder: Path) -> tuple[Any, Path]:
    shipped = load_config(PARAMS).tool_calling
    changed = {"source": str(folder / "raw"), "embedded_conversations": 20, "vocabulary": 400}
    model = shipped.model.model_copy(update={"width": 16, "attention_heads": 2, "supervision_steps": 2})
    section = shipped.model_copy(update={"data": shipped.data.model_copy(update=changed), "model": model})
    dialogues.generate(section, folder / "raw")
    dialogues.prepare(section, folder / "prepared")
    return section, folder / "prepared"


def prepared_assertions(folder: Path) -> tuple[Any, Path]:
    shipped = load_config(PARAMS).assertions
    changed = {
        "source": str(folder / "rows.jsonl"), "format": "auto", "split": "project", "validation_share": 0.2,
        "test_share": 0.2, "validation_projects": [], "test_projects": [], "vocabulary": 380, "name_tokens": 16,
        "focal_tokens": 48, "prefix_tokens": 64, "assertion_tokens": 32, "rows_per_test": 2,
        "earlier_assertions": False, "retrieval_minimum": 1,
    }  # fmt: skip
    values = shipped.model_dump(mode="json")
    values["data"] |= changed
    values["model"] |= model()
    values["loss"] = loss(focal=0.5, jsd=0.3, semantic=0.2)
    values["teacher"] |= {"top": 8, "sequences": 0, "model": model(width=48)}
    values["teacher"]["training"] |= {"epochs": 1, "batch_tokens": 4096, "compile": False, "threads": 1}
    section, prepared = type(shipped).model_validate(values), folder / "data" / "prepared" / "assertions"
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(120)))
    prepare(section, prepared)
    teach_into(ASSERTIONS, section, prepared, teacher_folder(prepared), partial(train, device="cpu"), "cpu")
    return section, prepared


PREPARED: Mapping[str, Callable[[Path], tuple[Any, Path]]] = {
    "tool_calling": prepared_tool_calling,
    "trading": partial(market, seed=2, edge=0.15, days=1300),
    "assertions": prepared_assertions,
    "keyboard": lambda folder: (quick(), prepared_small(folder, screens=60)),
}


def short(record: Workload) -> Workload:
    """The workload with few training batches an epoch."""

    def batches(section: Any, prepared: Path, split: str, epoch: int) -> Any:
        return islice(record.batches(section, prepared, split, epoch), STEPS * section.training.accumulate)

    return replace(record, batches=batches)


def with_numbers(section: Any, changes: Mapping[str, Any], **recipe: Any) -> Any:
    values = section.model_dump(mode="json")
    values["training"] |= {
        "epochs": 2, "batch_tokens": 700, "compile": False, "precision": "fp32", "threads": 1,
        "report_every": 2, "patience": 9, "learning_rate": 5e-3, "warmup_share": 0.0, **recipe,
    }  # fmt: skip
    for key, value in changes.items():
        *above, name = key.split(".")
        here = values["loss"]
        for part in above:
            here = here[part]
        here[name] = value
    return type(section).model_validate(values)


@pytest.mark.parametrize("name", list(PREPARED))
def test_together_is_alone(name, tmp_path):
    section, prepared = PREPARED[name](tmp_path)
    record, (first, second) = short(workload(name)), CHANGES[name]
    lanes = [
        Lane(0, with_numbers(section, {})),
        Lane(1, with_numbers(section, first)),
        Lane(2, with_numbers(section, second, learning_rate=2e-3, weight_decay=0.2)),
    ]
    assert why_not_together(record, lanes[0].section, prepared, "cpu") is None
    together = tmp_path / "together"
    outcomes = train_together(record, lanes, prepared, together, rungs=(), stop=lambda *_: {}, device="cpu")
    own = tmp_path / "alone"
    found = []
    for lane in lanes:
        summary = train(record, lane.section, prepared, own / str(lane.number), device="cpu")
        outcome = outcomes[lane.number]
        assert (outcome.steps, outcome.failure) == (summary["steps"], None)
        assert outcome.metrics == pytest.approx(summary["metrics"], abs=0.02)
        one, other = (_weights(folder / str(lane.number)) for folder in (own, together))
        assert float((one - other).norm()) <= WEIGHTS * float(one.norm())
        found.append(one)
        record.load(together / str(lane.number))
    assert all(float((lane - found[0]).norm()) > 5 * WEIGHTS * float(found[0].norm()) for lane in found[1:])


def _weights(folder: Path) -> torch.Tensor:
    stored = load_file(folder / "model.safetensors")
    return torch.cat([stored[name].flatten() for name in sorted(stored)])


@pytest.mark.parametrize("change", [{"focal.syntax_penalty": 0.5}, {"on_policy.weight": 0.3}])
def test_what_a_stack_cannot_compute_is_said_in_words(tmp_path, change):
    section, prepared = prepared_assertions(tmp_path)
    said = why_not_together(ASSERTIONS, with_numbers(section, change), prepared, "cpu")
    assert said is not None and len(said.split()) > 5
