"""The embedded dialogues: the same seed gives the same bytes, and they are as hard as they claim."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from components.files import sha256_tree
from components.workloads.tool_calling import generator_words as words
from components.workloads.tool_calling.dialogues import ASSISTANT, TOOL_CALL, USER, Sample
from components.workloads.tool_calling.generator import write_dialogues
from components.workloads.tool_calling.generator_domains import SERVICES
from components.workloads.tool_calling.trm_jsonl import read_intent_map, read_jsonl

UNSEEN = {service.name for service in SERVICES if service.test_only}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("embedded")
    write_dialogues(7, 700, path)
    return path


@pytest.fixture(scope="module")
def samples(folder: Path) -> list[tuple[str, Sample]]:
    return list(read_jsonl(folder, read_intent_map(folder / "intend.json")))


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(folder: Path, tmp_path: Path) -> None:
    write_dialogues(7, 700, tmp_path / "again")
    write_dialogues(8, 700, tmp_path / "other")
    assert sha256_tree(tmp_path / "again") == sha256_tree(folder) != sha256_tree(tmp_path / "other")
    assert sorted(p.name for p in folder.iterdir()) == ["dev.jsonl", "intend.json", "train.jsonl"]


def test_splits_are_by_conversation(samples: list[tuple[str, Sample]]) -> None:
    conversations: dict[str, set[str]] = defaultdict(set)
    for split, sample in samples:
        conversations[split].add(sample.conversation)
    assert {split: len(names) for split, names in conversations.items()} == {"train": 595, "test": 105}
    assert not conversations["train"] & conversations["test"]


def test_conversations_have_two_to_five_decisions_and_growing_histories(samples: list[tuple[str, Sample]]) -> None:
    grouped: dict[str, list[Sample]] = defaultdict(list)
    for _, sample in samples:
        grouped[sample.conversation].append(sample)
    assert {len(group) for group in grouped.values()} == {2, 3, 4, 5}
    for group in grouped.values():
        for earlier, later in itertools.pairwise(group):
            assert later.tools == earlier.tools
            assert len(later.history) > len(earlier.history)
            assert later.history[: len(earlier.history)] == earlier.history
        assert all(sample.history[-1].role == USER for sample in group)


def test_unseen_tools_stand_in_the_test_split_only(samples: list[tuple[str, Sample]]) -> None:
    offered: dict[str, set[str]] = defaultdict(set)
    called: dict[str, Counter[str]] = defaultdict(Counter)
    for split, sample in samples:
        offered[split] |= {tool.name for tool in sample.tools}
        called[split].update([sample.labels.tool] if sample.labels.tool else [])
    assert len(UNSEEN) >= 3 and not offered["train"] & UNSEEN
    assert set(called["test"]) >= UNSEEN and set(called["train"]) == offered["train"]
    assert len(SERVICES) == 16 and min(called["train"].values()) >= 20


def test_three_to_six_tools_are_offered_and_the_called_one_is_among_them(samples: list[tuple[str, Sample]]) -> None:
    assert {len(sample.tools) for _, sample in samples} == {3, 4, 5, 6}
    called = [sample for _, sample in samples if sample.labels.tool]
    first = sum(sample.tools[0].name == sample.labels.tool for sample in called)
    assert first / len(called) < 0.4  # its place does not tell


def test_a_call_never_lacks_a_required_argument(samples: list[tuple[str, Sample]]) -> None:
    for _, sample in samples:
        if sample.labels.tool:
            tool = next(tool for tool in sample.tools if tool.name == sample.labels.tool)
            assert {p.name for p in tool.parameters if p.required} <= set(sample.labels.arguments)
            for parameter in tool.parameters:
                value = sample.labels.arguments.get(parameter.name)
                assert value is None or not parameter.values or value in parameter.values


def test_slots_were_said_by_somebody_and_some_arguments_by_nobody(samples: list[tuple[str, Sample]]) -> None:
    missing = total = 0
    for _, sample in samples:
        assert set(sample.labels.slot_spans) == set(sample.labels.slots)
        for span in sample.labels.slot_spans.values():
            assert sample.history[span.turn].role != TOOL_CALL
        total += len(sample.labels.arguments)
        missing += len(sample.labels.arguments) - len(sample.labels.argument_spans)
    assert 0.005 < missing / total < 0.2


def test_decisions_and_intents_are_mixed(samples: list[tuple[str, Sample]]) -> None:
    calls = sum(sample.labels.decision for _, sample in samples) / len(samples)
    assert 0.2 < calls < 0.45
    intents = Counter(sample.labels.intent for _, sample in samples)
    assert set(intents) == set(words.INTENTS) and min(intents.values()) >= 20


def test_the_last_words_alone_do_not_tell_the_decision(samples: list[tuple[str, Sample]]) -> None:
    """A bare yes or no is a go-ahead in some places and none in others."""
    decisions: dict[str, Counter[int]] = defaultdict(Counter)
    for _, sample in samples:
        decisions[sample.history[-1].content.lower()][sample.labels.decision] += 1
    for short in (words.YES, words.NO):
        meant = sum((decisions[word] for word in short), Counter())
        assert min(meant[0], meant[1]) >= 15


def test_orders_are_confirmed_before_they_are_carried_out(samples: list[tuple[str, Sample]]) -> None:
    orders = {service.name for service in SERVICES if service.transactional}
    for _, sample in samples:
        if sample.labels.tool in orders:
            said = [m.content.lower() for m in sample.history if m.role == ASSISTANT]
            assert any(value.lower() in text for text in said[-3:] for value in sample.labels.arguments.values())
