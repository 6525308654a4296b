"""Joined rows say of every sample what its own row says, whatever stands before it or is offered beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.workloads.tool_calling.batches import batches, collate, open_split
from components.workloads.tool_calling.data import generate, prepare
from components.workloads.tool_calling.mixing import mix, mixed
from components.workloads.tool_calling.rows import Rows
from tests.workloads.tool_calling.small_dialogues import section

LONGEST = 500


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mixing")
    settings = section(source=str(folder / "raw"), vocabulary=600, embedded_conversations=60)
    generate(settings, folder / "raw")
    prepare(settings, folder / "prepared")
    return folder / "prepared"


@pytest.fixture(scope="module")
def rows(prepared) -> Rows:
    return open_split(prepared, "train").rows


def listed(rows: Rows, name: str, row: int) -> list[int]:
    offsets = getattr(rows, f"row_{name}_offsets")
    return getattr(rows, f"row_{name}s")[offsets[row] : offsets[row + 1]].tolist()


def facts(rows: Rows, ids: np.ndarray) -> dict[int, tuple]:
    """What each sample (by its number in the split) is and what its queries point at, without a row's numbering."""
    found: dict[int, list] = {}
    for s, number in enumerate(ids.tolist()):
        row = int(rows.sample_row[s])
        begin = int(rows.row_offsets[row])
        tool, intent = int(rows.tool[s]), int(rows.intent[s])
        found[number] = [
            int(rows.decision[s]),
            tool if tool < 0 else listed(rows, "tool", row)[tool],
            intent if intent < 0 else listed(rows, "intent", row)[intent],
            rows.tokens[begin + rows.sample_position[s]],
        ]
    for kind in ("slot", "arg"):
        owners = getattr(rows, f"{kind}_sample")
        for q, s in enumerate(owners.tolist()):
            row = int(rows.sample_row[s])
            begin = int(rows.row_offsets[row])
            start, end = int(getattr(rows, f"{kind}_start")[q]), int(getattr(rows, f"{kind}_end")[q])
            element = listed(rows, "slot", row)[int(getattr(rows, f"{kind}_element")[q])]
            text = (start,) if start <= 0 else tuple(rows.tokens[begin + start : begin + end + 1].tolist())
            more = () if kind == "slot" else (listed(rows, "tool", row)[int(rows.arg_tool[q])], int(rows.arg_index[q]))
            found[int(ids[s])].append((kind, element, text, *more))
    return {number: tuple(values) for number, values in found.items()}


@given(seed=st.integers(0, 10_000), joined=st.floats(0, 1), offered=st.floats(0, 1))
def test_every_conversation_once_and_every_sample_as_it_was(rows, seed, joined, offered):
    made = mix(rows, joined, offered, LONGEST, seed, epoch=3)
    assert sorted(made.parts[made.parts >= 0].tolist()) == list(range(rows.count))
    few, _, ids = mixed(rows, rows.slots_by_row, made.parts, made.offers)
    assert few.lengths.tolist() == made.lengths.tolist()
    assert facts(few, ids) == facts(rows, np.arange(len(rows.sample_row)))


def test_pairs_share_no_tool_and_stay_short(rows):
    made = mix(rows, 1.0, 0.0, LONGEST, seed=5, epoch=0)
    pairs = made.parts[made.parts[:, 1] >= 0]
    assert len(pairs) > 1 and (made.lengths <= LONGEST).all() and (made.offers == -1).all()
    for one, other in pairs.tolist():
        assert not set(listed(rows, "tool", one)) & set(listed(rows, "tool", other))
    assert (mix(rows, 1.0, 0.0, 10, seed=5, epoch=0).parts[:, 1] == -1).all()


def test_the_second_conversation_goes_on_where_the_first_ends(rows):
    made = mix(rows, 1.0, 0.0, LONGEST, seed=5, epoch=0)
    pair = made.parts[made.parts[:, 1] >= 0][:1]
    few, _, _ = mixed(rows, rows.slots_by_row, pair, np.array([-1]))
    one, other = (slice(rows.row_offsets[r], rows.row_offsets[r + 1]) for r in pair[0])
    assert few.tokens.tolist() == [*rows.tokens[one], *rows.tokens[other][1:]]
    messages = int(rows.turns[one].max()) + 1
    assert few.turns.tolist() == [*rows.turns[one], *(rows.turns[other][1:] + messages)]


def test_an_extra_offer_adds_elements_behind_the_own_ones_and_none_twice(rows):
    alone = np.array([[0, -1]])
    for other in range(1, rows.count):
        few, _, _ = mixed(rows, rows.slots_by_row, alone, np.array([other]))
        assert few.lengths.tolist() == rows.lengths[:1].tolist()
        for name in ("tool", "slot", "intent"):
            own, found = listed(rows, name, 0), listed(few, name, 0)
            assert found[: len(own)] == own and len(set(found)) == len(found)
            assert set(found) == {*own, *listed(rows, name, other)}


def test_without_mixing_a_batch_is_the_rows_themselves(rows, prepared):
    elements = open_split(prepared, "train").elements
    chosen = np.array([3, 0, 5])
    parts = np.column_stack([chosen, np.full(3, -1)])
    few, asked, ids = mixed(rows, rows.slots_by_row, parts, np.full(3, -1))
    made, plain = collate(few, np.arange(3), elements, asked), collate(rows, chosen, elements)
    made["sample_id"] = torch.from_numpy(ids)[made["sample_id"]]
    assert made.keys() == plain.keys()
    assert all(torch.equal(made[name], plain[name]) for name in plain)


def test_the_same_seed_and_epoch_give_the_same_mix(rows):
    one, same, other = (mix(rows, 0.5, 0.5, LONGEST, 5, epoch) for epoch in (1, 1, 2))
    assert all(np.array_equal(getattr(one, name), getattr(same, name)) for name in vars(one))
    assert not np.array_equal(one.parts, other.parts)


def test_automatic_alpha_knows_the_share_of_calls(rows, prepared):
    settings = section(source="", vocabulary=600, embedded_conversations=60)
    assert all("tool_call_share" not in batch for batch in batches(settings, prepared, "train", 0))
    decision = settings.loss.decision.model_copy(update={"alpha": "auto"})
    settings = settings.model_copy(update={"loss": settings.loss.model_copy(update={"decision": decision})})
    share = float(np.mean(np.asarray(rows.decision) == 1))
    for batch in batches(settings, prepared, "train", 0):
        assert batch["tool_call_share"].item() == pytest.approx(share)
