"""The embedded dialogues: the same seed gives the same bytes, and they are as hard as they claim."""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from components.files import sha256_tree
from components.workloads.tool_calling import generator_words as words
from components.workloads.tool_calling.dialogues import ASSISTANT, TOOL_CALL, USER, Sample
from components.workloads.tool_calling.generator import write_dialogues
from components.workloads.tool_calling.generator_dialogue import converse
from components.workloads.tool_calling.generator_domains import INTENTS, SERVICES
from components.workloads.tool_calling.trm_jsonl import read_intent_map, read_jsonl

UNSEEN = {service.name for service in SERVICES if service.test_only}
BY_NAME = {service.name: service for service in SERVICES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("embedded")
    write_dialogues(7, 700, path)
    return path


@pytest.fixture(scope="module")
def samples(folder: Path) -> list[tuple[str, Sample]]:
    return list(read_jsonl(folder, read_intent_map(folder / "intend.json")))


@pytest.fixture(scope="module")
def conversations(samples: list[tuple[str, Sample]]) -> list[list[Sample]]:
    grouped: dict[str, list[Sample]] = defaultdict(list)
    for _, sample in samples:
        grouped[sample.conversation].append(sample)
    return list(grouped.values())


def called(sample: Sample) -> str | None:
    return sample.labels.tool if sample.labels else None


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(folder: Path, tmp_path: Path) -> None:
    write_dialogues(7, 700, tmp_path / "again")
    write_dialogues(8, 700, tmp_path / "other")
    assert sha256_tree(tmp_path / "again") == sha256_tree(folder) != sha256_tree(tmp_path / "other")
    assert sorted(p.name for p in folder.iterdir()) == ["dev.jsonl", "intend.json", "train.jsonl"]


def test_more_conversations_begin_with_the_same_ones(folder: Path, tmp_path: Path) -> None:
    write_dialogues(7, 1000, tmp_path)
    for name in ("train.jsonl", "dev.jsonl"):
        assert (tmp_path / name).read_text("utf-8").startswith((folder / name).read_text("utf-8"))


def test_splits_are_by_conversation(samples: list[tuple[str, Sample]]) -> None:
    conversations: dict[str, set[str]] = defaultdict(set)
    for split, sample in samples:
        conversations[split].add(sample.conversation)
    assert {split: len(names) for split, names in conversations.items()} == {"train": 595, "test": 105}
    assert not conversations["train"] & conversations["test"]


def test_conversations_have_two_to_six_decisions_and_growing_histories(conversations: list[list[Sample]]) -> None:
    assert {len(group) for group in conversations} == {2, 3, 4, 5, 6}
    for group in conversations:
        for earlier, later in itertools.pairwise(group):
            assert later.tools == earlier.tools
            assert len(later.history) > len(earlier.history)
            assert later.history[: len(earlier.history)] == earlier.history
        assert all(sample.history[-1].role == USER for sample in group)


def test_unseen_tools_stand_in_the_test_split_only(samples: list[tuple[str, Sample]]) -> None:
    offered: dict[str, set[str]] = defaultdict(set)
    calls: dict[str, Counter[str]] = defaultdict(Counter)
    for split, sample in samples:
        offered[split] |= {tool.name for tool in sample.tools}
        calls[split].update([called(sample)] if called(sample) else [])
    assert len(UNSEEN) >= 3 and not offered["train"] & UNSEEN
    assert set(calls["test"]) >= UNSEEN and set(calls["train"]) == offered["train"]
    assert min(calls["train"].values()) >= 10


def test_an_unseen_tool_is_a_new_pair_of_an_action_and_a_thing_both_seen() -> None:
    seen = [service for service in SERVICES if not service.test_only]
    for service in SERVICES:
        if service.test_only:
            assert service.thing in {s.thing for s in seen} and service.action in {s.action for s in seen}


def test_most_other_tools_share_a_word_with_the_called_one(samples: list[tuple[str, Sample]]) -> None:
    """Their names cannot be told apart by one word."""
    sharing = total = 0
    for _, sample in samples:
        if name := called(sample):
            thing, action = name.split(".")
            others = [tool.name.split(".") for tool in sample.tools if tool.name != name]
            sharing += sum(thing == t or action == a for t, a in others)
            total += len(others)
    assert sharing / total > 0.6


def test_three_to_six_tools_are_offered_and_the_called_one_is_among_them(samples: list[tuple[str, Sample]]) -> None:
    assert {len(sample.tools) for _, sample in samples} == {3, 4, 5, 6}
    calls = [sample for _, sample in samples if called(sample)]
    first = sum(sample.tools[0].name == called(sample) for sample in calls)
    assert first / len(calls) < 0.4  # its place does not tell


def test_a_call_never_lacks_a_required_argument(samples: list[tuple[str, Sample]]) -> None:
    for _, sample in samples:
        if called(sample):
            tool = next(tool for tool in sample.tools if tool.name == called(sample))
            assert {p.name for p in tool.parameters if p.required} <= set(sample.labels.arguments)
            for parameter in tool.parameters:
                value = sample.labels.arguments.get(parameter.name)
                assert value is None or not parameter.values or value in parameter.values


def test_a_search_is_called_as_soon_as_nothing_is_missing(samples: list[tuple[str, Sample]]) -> None:
    """So the same answer to a question ends in a call here and in another question there."""
    for _, sample in samples:
        service = next((s for s in SERVICES if s.intent == sample.labels.intent), None)
        if service is not None and called(sample) is None and service.action == "search":
            lacking = {s.name for s in service.slots if s.required} - set(sample.labels.slots)
            asked_back = sample.history[-1].content.endswith("?")
            assert lacking or asked_back or len(sample.history) > 2


def test_slots_were_said_by_somebody_and_some_arguments_by_nobody(samples: list[tuple[str, Sample]]) -> None:
    missing = total = 0
    for _, sample in samples:
        assert set(sample.labels.slot_spans) == set(sample.labels.slots)
        for span in sample.labels.slot_spans.values():
            assert sample.history[span.turn].role != TOOL_CALL
        total += len(sample.labels.arguments)
        missing += len(sample.labels.arguments) - len(sample.labels.argument_spans)
    assert 0.005 < missing / total < 0.2


def test_of_two_values_said_for_a_slot_the_last_is_meant(conversations: list[list[Sample]]) -> None:
    corrected = 0
    for group in conversations:
        for earlier, later in itertools.pairwise(group):
            if earlier.labels.intent != later.labels.intent or called(earlier):
                continue
            for name in set(earlier.labels.slots) & set(later.labels.slots):
                if earlier.labels.slots[name] != later.labels.slots[name]:
                    corrected += 1
                    assert later.labels.slot_spans[name].turn == len(later.history) - 1
    assert corrected >= 60


def test_most_values_of_the_test_split_were_never_said_in_training(samples: list[tuple[str, Sample]]) -> None:
    """What stands where must be understood: a list of known values does not do."""
    said: dict[str, set[str]] = defaultdict(set)
    for split, sample in samples:
        said[split] |= {v for k, v in sample.labels.arguments.items() if k in ("origin", "city", "name", "house")}
    assert len(said["test"] - said["train"]) / len(said["test"]) > 0.4


def test_decisions_and_intents_are_mixed(samples: list[tuple[str, Sample]]) -> None:
    calls = sum(sample.labels.decision for _, sample in samples) / len(samples)
    assert 0.2 < calls < 0.45
    assert {sample.labels.intent for _, sample in samples} == set(INTENTS)


def test_the_last_words_alone_do_not_tell_the_decision(samples: list[tuple[str, Sample]]) -> None:
    """A bare yes or no is a go-ahead in some places and none in others."""
    decisions: dict[str, Counter[int]] = defaultdict(Counter)
    for _, sample in samples:
        decisions[sample.history[-1].content.lower()][sample.labels.decision] += 1
    for short in (words.YES, words.NO):
        meant = sum((decisions[word] for word in short), Counter())
        assert min(meant[0], meant[1]) >= 15


def test_the_goal_of_many_calls_was_named_turns_before(samples: list[tuple[str, Sample]]) -> None:
    """After a finished call the second of two goals is taken up without being named again."""
    late = [s for _, s in samples if called(s) and TOOL_CALL in {m.role for m in s.history}]
    silent = 0
    for sample in late:
        last = max(i for i, m in enumerate(sample.history) if m.role == TOOL_CALL)
        since = " ".join(m.content.lower() for m in sample.history[last + 1 :] if m.role == USER)
        silent += BY_NAME[called(sample)].thing[:-1] not in since
    assert silent / len(late) > 0.3


def test_orders_are_confirmed_before_they_are_carried_out(samples: list[tuple[str, Sample]]) -> None:
    orders = {service.name for service in SERVICES if service.transactional}
    asked = (*words.CONFIRM, *words.CONFIRM_OPEN)
    for _, sample in samples:
        if called(sample) in orders:
            said = [m.content for m in sample.history if m.role == ASSISTANT]
            assert any(text.endswith(asked) for text in said[-3:])


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_tool_can_be_the_goal(service) -> None:
    """Any goal with any company ends within six decisions, and what it decides stands on what was said."""
    for seed in range(20):
        others = [s for s in SERVICES if s is not service]
        chance = random.Random(f"{service.name}/{seed}")
        decisions = converse(service, [service, *chance.sample(others, 3)], chance)
        assert 1 <= len(decisions) <= 6
        for decision in decisions:
            said = " ".join(m["content"] for m in decision["history"] if m["role"] != "tool_call").lower()
            assert all(value.lower() in said for value in decision["slots"].values())
