"""The keyboard trains on embedded messages: all ten losses in the curves, those that should fall do, twice the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.config import load_config, parse_config, read_yaml
from components.config_keyboard import KeyboardConfig
from components.errors import EquipoiseError
from components.files import sha256_file
from components.training.loop import train
from components.workload import workload
from components.workloads.keyboard.batches import batches, open_split
from tests.flows.projects import ROOT
from tests.workloads.keyboard.small import data_section, prepared_small
from tests.workloads.keyboard.small_models import model_settings


def quick(**training) -> KeyboardConfig:
    """The shipped recipe with a small model, data and budget."""
    real = load_config(ROOT / "params.yaml").keyboard
    settings = real.training.model_copy(update={"epochs": 2, "batch_tokens": 512, "report_every": 4, **training})
    return real.model_copy(update={"data": data_section(), "model": model_settings(), "training": settings})


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_small(tmp_path_factory.mktemp("keyboard"), screens=200)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Path:
    folder = tmp_path_factory.mktemp("model")
    train(workload("keyboard"), quick(), prepared, folder, device="cpu")
    return folder


def test_an_epoch_shows_every_training_event_once_in_an_order_of_its_own(prepared):
    section, events = quick(), len(open_split(prepared, "train").events["task"])
    first, again, second = (
        [i for batch in batches(section, prepared, "train", epoch) for i in batch["sample_id"].tolist()]
        for epoch in (0, 0, 1)
    )
    assert sorted(first) == list(range(events))
    assert first == again
    assert first != second
    assert sorted(second) == sorted(first)


def test_ranks_meet_in_every_step(prepared):
    found = list(batches(quick(accumulate=4), prepared, "train", 0))
    assert len(found) % 4 == 0
    assert sum(len(batch["task"]) for batch in found) == len(open_split(prepared, "train").events["task"])


def test_targets_are_what_follows_the_cursor(prepared):
    for batch in batches(quick(), prepared, "validation", 0):
        tokens, row, position, target = (batch[name] for name in ("tokens", "row", "position", "target"))
        event, step = (target >= 0).nonzero(as_tuple=True)
        assert (tokens[row[event], position[event] + step + 1] == target[event, step]).all()


def test_the_curves_hold_all_ten_losses_and_they_add_up(trained):
    lines = [json.loads(line) for line in (trained / "curves.jsonl").read_text().splitlines()]
    reports = [line for line in lines if "terms" in line]
    for line in reports:
        assert {name.split("/")[1] for name in line["terms"]} | set(line["composites"]) == {
            "align", "contrastive", "encoder", "text", "task", "layout", "consistency", "load", "decoder", "total",
        }  # fmt: skip
        total = line["composites"]["total"]["raw"]
        assert total == pytest.approx(0.3 * line["composites"]["encoder"]["raw"] + line["composites"]["decoder"]["raw"])
    for name in ("decoder/text", "decoder/task", "decoder/layout"):
        assert reports[-1]["terms"][name]["raw"] < 0.95 * reports[0]["terms"][name]["raw"]
    validation = [line["validation"] for line in lines if "validation" in line]
    assert len(validation) == 2
    assert 0 < validation[-1]["objective"] < 1
    assert 0 < validation[-1]["experts/least"] <= 0.2


def test_the_same_seed_trains_the_same_model(trained, prepared, tmp_path):
    train(workload("keyboard"), quick(), prepared, tmp_path, device="cpu")
    for name in ("model.safetensors", "curves.jsonl"):
        assert sha256_file(tmp_path / name) == sha256_file(trained / name)


def test_without_screens_nothing_may_be_aligned():
    values = read_yaml(ROOT / "params.yaml")
    values["keyboard"]["model"]["image"] = False
    with pytest.raises(EquipoiseError, match=r"model\.image: false needs loss\.encoder\.weight 0"):
        parse_config(values)
    values["keyboard"]["loss"]["encoder"]["weight"] = 0.0
    assert not parse_config(values).keyboard.model.image


def test_a_model_without_screens_trains(prepared, tmp_path):
    section = quick(epochs=1)
    encoder = section.loss.encoder.model_copy(update={"weight": 0.0})
    section = section.model_copy(
        update={"model": model_settings(image=False), "loss": section.loss.model_copy(update={"encoder": encoder})}
    )
    summary = train(workload("keyboard"), section, prepared, tmp_path, device="cpu")
    assert summary["ran"]
    assert summary["alarms"] == []
