"""What a training left, whole and damaged: model, marker, states, rehearsals."""

import json

import pytest
import torch

from components.training import checkpoint
from components.training.intact import damages
from components.training.loop import train
from tests.training import toy


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("intact")
    section = toy.section(training__epochs=1)
    prepared = toy.prepare(section, folder / "prepared")
    train(toy.WORKLOAD, section, prepared, folder / "model", device="cpu")
    return {path.relative_to(folder / "model"): path.read_bytes() for path in (folder / "model").rglob("*.*")}


@pytest.fixture
def folder(trained, tmp_path):
    """The finished folder, and the same once more as a rehearsal in it."""
    for place in (tmp_path / "W", tmp_path / "W" / "rehearsals" / "r1"):
        for name, content in trained.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(content)
    return tmp_path / "W"


def places(folder):
    return [str(error.place).removeprefix(f"{folder}/") for error in damages(folder)]


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= 1
    path.write_bytes(content)


def test_a_finished_folder_and_an_absent_one_are_whole(folder, tmp_path):
    assert damages(folder) == [] and damages(tmp_path / "nothing") == []


@pytest.mark.parametrize("where", ["", "rehearsals/r1/"])
@pytest.mark.parametrize("name", ["model.safetensors", "curves.jsonl"])
def test_every_flipped_bit_is_told_once(folder, where, name):
    size = (folder / where / name).stat().st_size
    for at in range(0, size, max(1, size // 7)):
        flip(folder / where / name, at)
        assert places(folder) == [f"{where}{name}"]
        flip(folder / where / name, at)
    assert damages(folder) == []


def test_a_model_that_is_gone_or_cut_off_is_told(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert places(folder) == ["model.safetensors"]
    weights.unlink()
    (error,) = damages(folder)
    assert error.got == "no file" and error.code == "E_CHECKPOINT"


def test_a_card_that_was_changed_is_told_by_the_marker(folder):
    card = folder / "model.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"steps": 1}))
    assert places(folder) == ["model.json"]
    card.write_text("{")
    assert set(places(folder)) == {"model.json"} and {e.code for e in damages(folder)} == {"E_JSON", "E_CHECKPOINT"}
    card.write_text('{"files": [1]}')
    assert "its files must be names with digests" in [error.rule for error in damages(folder)]


@pytest.mark.parametrize("name", ["slot-0.json", "slot-0.safetensors"])
def test_a_state_that_was_changed_is_told(tmp_path, name):
    resume = tmp_path / "W" / "resume"
    checkpoint.save_slot(resume, None, {"weight": torch.arange(9.0)}, {"step": 3})
    assert damages(tmp_path / "W") == []
    flip(resume / name, -5)
    (error,) = damages(tmp_path / "W")
    assert error.place == str(resume) and str(resume / name) in str(error.got)
