"""Slots: what is written comes back bit by bit, damage is noticed, the older one takes over."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from components.training import checkpoint
from components.training.optimizer import adamw

TENSORS = {
    "a": torch.arange(6, dtype=torch.float32).reshape(2, 3) / 7,
    "odd": torch.tensor([float("inf"), -0.0, 1e-45], dtype=torch.float64),
    "half": torch.ones(2, dtype=torch.bfloat16),
    "whole": torch.tensor(3),
}


def write_two(folder: Path) -> checkpoint.Slot:
    first = checkpoint.save_slot(folder, None, TENSORS, {"step": 1})
    return checkpoint.save_slot(folder, first, {**TENSORS, "a": TENSORS["a"] + 1}, {"step": 2})


def newest(folder: Path) -> tuple[checkpoint.Slot | None, list[str]]:
    warnings: list[str] = []
    return checkpoint.newest_slot(folder, warnings.append), warnings


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    checkpoint.save_slot(tmp_path, None, TENSORS, {"step": 1, "pi": 0.1 + 0.2})
    slot, warnings = newest(tmp_path)
    assert warnings == []
    assert slot is not None
    assert slot.state == {"step": 1, "pi": 0.1 + 0.2}
    for name, tensor in TENSORS.items():
        assert slot.tensors[name].dtype is tensor.dtype
        assert (
            slot.tensors[name].numpy(force=True).tobytes() == tensor.numpy(force=True).tobytes()
            if (tensor.dtype is not torch.bfloat16)
            else torch.equal(slot.tensors[name], tensor)
        )


def test_slots_alternate_and_the_newest_wins(tmp_path: Path) -> None:
    slot = write_two(tmp_path)
    assert slot.index == 1
    found, _ = newest(tmp_path)
    assert found is not None
    assert found.state["step"] == 2
    third = checkpoint.save_slot(tmp_path, found, TENSORS, {"step": 3})
    assert third.index == 0
    assert [s.state["step"] for s in [newest(tmp_path)[0]] if s] == [3]


def test_nothing_there(tmp_path: Path) -> None:
    assert newest(tmp_path / "absent") == (None, [])


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    write_two(tmp_path)
    for name in ("slot-1.json", "slot-1.safetensors"):
        path = tmp_path / name
        whole = path.read_bytes()
        for place in range(len(whole)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            slot, warnings = newest(tmp_path)
            assert slot is not None and slot.state["step"] == 1, (name, place)
            assert len(warnings) == 1
        path.write_bytes(whole)
    assert newest(tmp_path)[0].state["step"] == 2


@pytest.mark.parametrize("damage", ["truncated", "empty", "absent", "swapped", "folder"])
def test_damaged_weights_fall_back(tmp_path: Path, damage: str) -> None:
    write_two(tmp_path)
    path = tmp_path / "slot-1.safetensors"
    content = path.read_bytes()
    path.unlink()
    if damage == "truncated":
        path.write_bytes(content[:-1])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "swapped":
        path.write_bytes((tmp_path / "slot-0.safetensors").read_bytes())
    elif damage == "folder":
        path.mkdir()
    slot, warnings = newest(tmp_path)
    assert slot is not None and slot.state["step"] == 1
    assert "slot-1.safetensors is damaged" in warnings[0]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"digest": "x"}', "[" * 5000, '{"a": NaN}', "\x00"])
def test_documents_that_are_none(tmp_path: Path, text: str) -> None:
    write_two(tmp_path)
    (tmp_path / "slot-0.json").write_text(text)
    slot, warnings = newest(tmp_path)
    assert slot is not None and slot.state["step"] == 2
    assert len(warnings) == 1
    (tmp_path / "slot-1.json").write_text(text)
    assert newest(tmp_path)[0] is None


def test_a_slot_being_overwritten_has_no_document(tmp_path: Path) -> None:
    """The document goes first, so a kill while the weights are written is no damage and no warning."""
    slot = write_two(tmp_path)

    class Stop(Exception):
        pass

    class Unwritable(dict):
        def items(self):
            raise Stop

    (tmp_path / "slot-0.json").unlink()
    with pytest.raises(Stop):
        checkpoint.save_slot(tmp_path, slot, Unwritable(), {"step": 3})
    found, warnings = newest(tmp_path)
    assert found is not None and found.state["step"] == 2
    assert warnings == []


def test_tied_weights_are_written(tmp_path: Path) -> None:
    shared = torch.ones(3)
    checkpoint.save_slot(tmp_path, None, {"in": shared, "out": shared}, {})
    slot, _ = newest(tmp_path)
    assert slot is not None
    assert torch.equal(slot.tensors["out"], shared)


def test_optimizer_state_round_trip() -> None:
    def trained(steps: int) -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(1)
        model = nn.Linear(3, 2)
        optimizer = adamw(model, 0.1, 0.1)
        for step in range(steps):
            model(torch.full((1, 3), float(step + 1))).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        return model, optimizer

    model, optimizer = trained(3)
    saved = checkpoint.optimizer_tensors(optimizer, model)
    assert sorted(saved) == sorted(f"{n}/{k}" for n in ("weight", "bias") for k in ("step", "exp_avg", "exp_avg_sq"))
    fresh_model, fresh = trained(0)
    checkpoint.restore_optimizer(fresh, fresh_model, {name: t.clone() for name, t in saved.items()})
    fresh_model.load_state_dict(model.state_dict())
    for m, o in ((model, optimizer), (fresh_model, fresh)):
        m(torch.ones(1, 3)).sum().backward()
        o.step()
    assert torch.equal(model.weight, fresh_model.weight)


def test_random_states_come_back_through_disk(tmp_path: Path) -> None:
    random.gauss(0, 1), np.random.standard_normal()  # leaves a second draw waiting in both
    tensors, plain = checkpoint.random_state()
    checkpoint.save_slot(tmp_path, None, tensors, {"random": plain})
    expected = (torch.rand(3).tolist(), np.random.standard_normal(3).tolist(), [random.gauss(0, 1), random.random()])
    slot, _ = newest(tmp_path)
    assert slot is not None
    checkpoint.restore_random_state(slot.tensors, slot.state["random"])
    found = (torch.rand(3).tolist(), np.random.standard_normal(3).tolist(), [random.gauss(0, 1), random.random()])
    assert found == expected
