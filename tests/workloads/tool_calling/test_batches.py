"""A batch says of every sample what its row says; order is a matter of (seed, epoch); no padding leaks."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from components.data.tokenizer import EOM, PAD
from components.errors import EquipoiseError, Exit
from components.workloads.tool_calling.batches import asked_slots, batch_count, batches, collate, open_split
from components.workloads.tool_calling.data import generate, prepare, samples
from components.workloads.tool_calling.dialogues import USER, Message
from components.workloads.tool_calling.encode import encode_rows
from tests.workloads.tool_calling.small_dialogues import HISTORY, conversation, sample, section, table


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("batches")
    settings = config(source=str(folder / "raw"))
    generate(settings, folder / "raw")
    prepare(settings, folder / "prepared")
    return folder / "prepared"


def config(batch_tokens: int = 2000, heads: str = "schema", seed: int = 1, **data):
    apart = {"joined_share": 0, "extra_offer_share": 0}  # how rows are mixed is tested on its own
    made = section(**{"vocabulary": 600, "embedded_conversations": 80, **apart, **data})
    training = made.training.model_copy(update={"batch_tokens": batch_tokens, "seed": seed})
    return made.model_copy(update={"training": training, "model": made.model.model_copy(update={"heads": heads})})


def equal(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_every_sample_once_with_its_labels(prepared, split):
    kept = list(samples(prepared, split))
    seen = []
    for batch in batches(config(), prepared, split, 3):
        assert batch["tokens"].numel() <= 2000
        last = batch["tokens"][batch["sample_row"], batch["sample_position"]]
        assert (last == EOM).all()
        for k, index in enumerate(batch["sample_id"].tolist()):
            labels = kept[index].labels
            assert batch["decision"][k] == labels.decision
            offered = sorted(tool.name for tool in kept[index].tools)
            assert batch["tool"][k] == (-1 if labels.tool is None else offered.index(labels.tool))
            intents = sorted(kept[index].intents)
            assert batch["intent"][k] == (-1 if labels.intent is None else intents.index(labels.intent))
            row = batch["sample_row"][k]
            assert (batch["tools"][row] >= 0).sum() == len(offered)
        seen += batch["sample_id"].tolist()
    assert sorted(seen) == list(range(len(kept)))


def test_types_and_padding(prepared):
    for batch in batches(config(), prepared, "train", 0):
        for name, values in batch.items():
            expected = {"decision": torch.float32, "attention": torch.bool, "is_text": torch.bool}
            assert values.dtype == expected.get(name, torch.int64), name
        empty = ~batch["attention"]
        assert (batch["tokens"][empty] == PAD).all()
        assert not (batch["tokens"][batch["attention"]] == PAD).any()
        assert not batch["is_text"][empty].any() and not batch["is_text"][:, 0].any()
        assert not batch["is_text"][batch["tokens"] == EOM].any()
        assert batch["attention"][:, 0].all() and batch["attention"].any(0).all()
        rows = torch.arange(len(batch["tokens"])).unsqueeze(-1)
        for kind in ("slot", "arg"):
            asked = batch[f"{kind}_position"] >= 0
            for name in ("element", "start", "end"):
                assert (batch[f"{kind}_{name}"][~asked] == -1).all()
            element = batch["slots"][rows.expand(asked.shape)[asked], batch[f"{kind}_element"][asked]]
            assert (batch["element_kinds"][element] == 1).all()
            start, end = batch[f"{kind}_start"][asked], batch[f"{kind}_end"][asked]
            assert (start <= end).all() and (end <= batch[f"{kind}_position"][asked]).all()
            said = start > 0
            where = rows.expand(asked.shape)[asked][said]
            assert batch["is_text"][where, start[said]].all() and batch["is_text"][where, end[said]].all()
            assert (batch["turns"][where, start[said]] == batch["turns"][where, end[said]]).all()


def test_elements_by_hand():
    kept = conversation()
    elements = table(kept)
    rows = encode_rows([*kept, sample("x", (Message(USER, "Hi"),), conversation="d")], elements, section().data)
    batch = collate(rows, np.array([1, 0]), elements.arrays())
    facts = [
        elements.fact(e)
        for e in sorted({*rows.row_tools.tolist(), *rows.row_slots.tolist(), *rows.row_intents.tolist()})
    ]
    assert batch["element_kinds"].tolist() == [kind for kind, *_ in facts]
    assert [facts[i][1] for i in batch["tools"][0]] == ["Restaurants_1.BookTable", "Restaurants_1.FindPlace"]
    slots = [facts[i][1] for i in batch["slots"][0]]
    assert slots == ["city", "outdoor", "party", "time"]
    # BookTable: city and time required, outdoor optional; FindPlace: city required
    assert batch["tool_parameters"][0].tolist() == [[2, 1, 0, 2], [2, 0, 0, 0]]
    text = elements.tokenizer.encode_with_offsets("Restaurants 1 Book Table: Reserve a table").ids.tolist()
    shown = batch["element_tokens"][batch["tools"][0, 0]]
    assert shown[: len(text)].tolist() == text and (shown[len(text) :] == PAD).all()
    assert batch["sample_id"].tolist() == [3, 0, 1, 2]
    assert batch["sample_row"].tolist() == [0, 1, 1, 1]
    assert batch["decision"].tolist() == [-1, 0, 1, 0]
    assert batch["slot_position"][0].tolist()[2:] == [-1] * 4
    assert batch["arg_position"].tolist()[0] == [-1, -1, -1]
    assert batch["arg_index"].tolist()[1] == [0, 1, 2]


def test_other_rows_change_nothing_but_padding():
    many = [
        s for n in range(4) for s in conversation(f"c{n}", HISTORY[: 7 - n] if n else HISTORY) if len(s.history) <= 7
    ]
    many = [replace(s, id=f"{s.id}/{k}") for k, s in enumerate(many)]
    elements = table(many)
    rows = encode_rows(many, elements, section().data)
    whole = collate(rows, np.arange(rows.count), elements.arrays())
    for row in range(rows.count):
        alone = collate(rows, np.array([row]), elements.arrays())
        length = alone["tokens"].shape[1]
        for name in ("tokens", "roles", "turns", "attention", "is_text"):
            assert torch.equal(whole[name][row, :length], alone[name][0])
            assert not whole[name][row, length:].any()
        asked = alone["slot_position"].shape[1]
        assert torch.equal(whole["slot_start"][row, :asked], alone["slot_start"][0])
        mine = whole["sample_row"] == row
        assert torch.equal(whole["sample_position"][mine], alone["sample_position"])


def test_order_is_a_function_of_seed_and_epoch(prepared):
    def order(seed: int, epoch: int, split: str = "train") -> list[int]:
        return [i for batch in batches(config(seed=seed), prepared, split, epoch) for i in batch["sample_id"].tolist()]

    assert order(1, 0) == order(1, 0)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4
    assert order(1, 0, "test") == order(2, 5, "test")


def test_a_restart_within_an_epoch_sees_the_same_batches(prepared):
    every = list(batches(config(), prepared, "train", 2))
    assert batch_count(config(), prepared, "train", 2) == len(every) > 3
    later = list(batches(config(), prepared, "train", 2, first=2))
    assert len(later) == len(every) - 2
    assert all(equal(one, other) for one, other in zip(every[2:], later, strict=True))


def test_absent_slots_are_drawn_anew_each_epoch_and_labelled_ones_always_asked(prepared):
    rows = open_split(prepared, "train").rows
    start = np.asarray(rows.slot_start)
    labelled = set(np.flatnonzero(start > 0).tolist())
    absent = set(np.flatnonzero(start == 0).tolist())
    drawn = [set(asked_slots(rows, 0.25, 1, epoch)[0].tolist()) for epoch in range(3)]
    for kept in drawn:
        assert labelled <= kept and kept <= labelled | absent
        assert abs(len(kept & absent) / len(absent) - 0.25) < 0.02
    assert drawn[0] != drawn[1] != drawn[2]
    assert drawn[0] != set(asked_slots(rows, 0.25, 2, 0)[0].tolist())
    assert set(asked_slots(rows, 0.0, 1, 0)[0].tolist()) == labelled
    assert set(asked_slots(rows, 1.0, 1, 0)[0].tolist()) == labelled | absent
    more = set(asked_slots(rows, 0.5, 1, 0)[0].tolist())
    assert drawn[0] <= more  # a larger share adds queries and drops none


def test_validation_and_test_ask_every_slot(prepared):
    for split in ("validation", "test"):
        asked = sum(int((b["slot_position"] >= 0).sum()) for b in batches(config(), prepared, split, 0))
        assert asked == len(open_split(prepared, split).rows.slot_start)


def test_fixed_classes_need_room_for_every_argument(prepared):
    most = int(open_split(prepared, "train").rows.arg_index.max()) + 1
    with pytest.raises(EquipoiseError, match="max_tool_args") as error:
        list(batches(config(heads="ids", max_tool_args=most - 1), prepared, "train", 0))
    assert error.value.exit_code == Exit.CONFIGURATION
    found = list(batches(config(heads="ids", max_tool_args=most), prepared, "train", 0))
    plain = list(batches(config(), prepared, "train", 0))
    assert all(equal(one, other) for one, other in zip(found, plain, strict=True))


def test_classes_of_what_training_never_saw_are_minus_one(prepared):
    classes = torch.cat([b["element_classes"] for b in batches(config(), prepared, "test", 0)])
    assert (classes == -1).any() and (classes >= 0).any()
    classes = torch.cat([b["element_classes"] for b in batches(config(), prepared, "train", 0)])
    assert (classes >= 0).all()


def test_a_batch_smaller_than_a_row_is_refused(prepared):
    with pytest.raises(EquipoiseError, match="longest row") as error:
        list(batches(config(batch_tokens=5), prepared, "train", 0))
    assert error.value.exit_code == Exit.CONFIGURATION


def test_damaged_arrays_are_not_loaded(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "p")
    assert list(batches(config(), tmp_path / "p", "train", 0))
    path = tmp_path / "p" / "train" / "tool.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(EquipoiseError, match="SHA-256"):
        list(batches(config(), tmp_path / "p", "train", 0))


def test_unknown_split_and_nothing_prepared(prepared, tmp_path):
    with pytest.raises(EquipoiseError, match="split"):
        list(batches(config(), prepared, "dev", 0))
    with pytest.raises(EquipoiseError) as error:
        list(batches(config(), tmp_path, "train", 0))
    assert error.value.exit_code == Exit.MISSING_INPUT
