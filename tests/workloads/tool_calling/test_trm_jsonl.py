"""The TRM agent's JSONL: lines to samples and back, files to splits, predictions to answers."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data import strict_json
from components.errors import EquipoiseError, Exit
from components.workloads.tool_calling.dialogues import (
    ASSISTANT,
    TOOL_RESPONSE,
    USER,
    FoundSpan,
    Labels,
    Message,
    Parameter,
    Prediction,
    Sample,
    Span,
    Tool,
)
from components.workloads.tool_calling.trm_jsonl import (
    find_intent_map,
    is_jsonl,
    parse_line,
    read_intent_map,
    read_jsonl,
    read_request,
    render,
    sample_to_json,
)

LINE: dict[str, Any] = {
    "tools": [
        {
            "name": "hotels.book",
            "description": "Book a room",
            "parameters": {
                "hotel": "Name of the hotel",
                "nights": "Nights",
                "class": {"description": "Class", "required": False, "values": ["plain", "fine"]},
            },
        },
        {"name": "weather", "description": "Forecast", "parameters": {"city": "City"}},
    ],
    "history": [
        {"role": "user", "content": "Three nights at the Blue Fox, please. Three!"},
        {"role": "system", "content": "The Blue Fox for three nights?"},
        {"role": "user", "content": "yes"},
    ],
    "decision": "tool_call",
    "slots": {"hotel": "blue fox"},
    "tool": {"name": "hotels.book", "arguments": {"hotel": "Blue Fox", "nights": "three", "class": "plain"}},
    "content": "",
    "intent": "carry_out",
}
ANSWER = {**LINE, "decision": "direct_answer", "tool": None, "content": "Which one?", "intent": None}


def changed(**parts: Any) -> dict[str, Any]:
    return {**copy.deepcopy(LINE), **parts}


def test_a_hand_worked_line() -> None:
    sample = parse_line(copy.deepcopy(LINE), "data/train.jsonl:3")
    assert sample.id == "train.jsonl:3"
    assert sample.service == "hotels"
    assert [m.role for m in sample.history] == [USER, ASSISTANT, USER]
    assert sample.tools[0].parameters[2] == Parameter("class", "Class", False, ("plain", "fine"))
    assert sample.slots == {"hotel": "Name of the hotel", "nights": "Nights", "class": "Class", "city": "City"}
    labels = sample.labels
    assert (labels.decision, labels.tool, labels.intent) == (1, "hotels.book", "carry_out")
    assert labels.argument_spans == {"hotel": Span(0, 20, 28), "nights": Span(0, 0, 5)}  # first, whatever the case
    assert labels.slot_spans == {"hotel": Span(0, 20, 28)}
    assert "class" in labels.arguments  # said by nobody: a value without a span


def test_a_direct_answer_has_no_call() -> None:
    labels = parse_line(copy.deepcopy(ANSWER), "x:1").labels
    assert (labels.decision, labels.tool, labels.arguments, labels.intent) == (0, None, {}, None)
    for empty in (None, {}, {"name": "", "arguments": {}}):
        assert parse_line({**copy.deepcopy(ANSWER), "tool": empty}, "x:1").labels == labels


def test_values_are_canonical_text() -> None:
    call = {"name": "hotels.book", "arguments": {"hotel": 7, "nights": True, "class": None}}
    assert parse_line(changed(tool=call), "x:1").labels.arguments == {"hotel": "7", "nights": "true"}


def test_a_value_from_a_tool_response_is_found_and_one_in_a_call_is_not() -> None:
    history = [
        {"role": "tool_call", "content": {"name": "hotels.search", "arguments": {"city": "Oslo"}}},
        {"role": "tool_response", "content": [{"hotel": "Old Inn"}]},
        {"role": "user", "content": "that one"},
    ]
    call = {"name": "hotels.book", "arguments": {"hotel": "Old Inn", "nights": "Oslo"}}
    sample = parse_line(changed(history=history, tool=call), "x:1")
    assert sample.history[1] == Message(TOOL_RESPONSE, '[{"hotel": "Old Inn"}]')
    assert sample.labels.argument_spans == {"hotel": Span(1, 12, 19)}


def test_tools_written_as_json_schema_mean_the_same() -> None:
    schema = {
        "type": "object",
        "properties": {
            "hotel": {"type": "string", "description": "Name of the hotel"},
            "nights": {"type": "string", "description": "Nights"},
            "class": {"type": "string", "description": "Class", "enum": ["plain", "fine"]},
        },
        "required": ["hotel", "nights"],
    }
    function = {"name": "hotels.book", "description": "Book a room", "parameters": schema}
    line = changed(tools=[{"type": "function", "function": function}, LINE["tools"][1]])
    assert parse_line(line, "x:1") == parse_line(copy.deepcopy(LINE), "x:1")


def test_conversations() -> None:
    first = parse_line(copy.deepcopy(LINE), "x:1").conversation
    assert parse_line(changed(history=LINE["history"][:1]), "x:9").conversation == first
    assert parse_line(changed(tools=LINE["tools"][::-1]), "x:9").conversation == first
    other = [{"role": "user", "content": "Other words"}]
    assert parse_line(changed(history=other), "x:1").conversation != first
    assert parse_line(changed(conversation="c7"), "x:1").conversation == "c7"


def test_samples_share_their_tools() -> None:
    assert parse_line(copy.deepcopy(LINE), "x:1").tools is parse_line(copy.deepcopy(LINE), "x:2").tools


def test_a_request_needs_no_labels_and_gives_none() -> None:
    request = {"tools": LINE["tools"], "history": LINE["history"], "given_tool": "weather"}
    sample = read_request(request, "in.jsonl:1")
    assert sample.labels is None and sample.given_tool == "weather"
    assert read_request(copy.deepcopy(LINE), "in.jsonl:1") == parse_line(
        copy.deepcopy(LINE), "in.jsonl:1", labelled=False
    )
    with pytest.raises(EquipoiseError, match="one of the offered tools"):
        read_request({**request, "given_tool": "taxi"}, "in.jsonl:1")


def test_slots_of_a_request_are_never_its_labels() -> None:
    """What is to be found must not be told by what was found."""
    assert read_request(changed(slots={"hotel": "x"}), "x:1") == read_request(changed(slots={}), "x:1")


NAMES = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=8).filter(
    str.strip
)
TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)


@st.composite
def any_sample(draw: st.DrawFn) -> Sample:
    """Any sample a reader could make: every field, labelled or not."""
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    tools = tuple(
        Tool(
            name,
            draw(TEXTS),
            tuple(
                Parameter(p, draw(TEXTS), draw(st.booleans()), tuple(draw(st.lists(TEXTS, max_size=2)))) for p in names
            ),
        )
        for name in names
    )
    history = tuple(Message(draw(st.integers(0, 3)), draw(TEXTS)) for _ in range(draw(st.integers(1, 4))))
    places = [Span(t, 0, len(m.content)) for t, m in enumerate(history) if m.content]

    def values() -> tuple[dict[str, str], dict[str, Span]]:
        found = {name: draw(TEXTS) for name in names if draw(st.booleans())}
        return found, {name: draw(st.sampled_from(places)) for name in found if places and draw(st.booleans())}

    labels = None
    slots, intents = ({name: draw(TEXTS) for name in names} for _ in range(2))
    if draw(st.booleans()):
        decision = draw(st.integers(0, 1))
        arguments, spans = values() if decision else ({}, {})
        labels = Labels(
            decision,
            draw(st.sampled_from(names)) if decision else None,
            draw(st.none() | st.sampled_from(names)),
            arguments,
            spans,
            *values(),
            {name: (value, draw(TEXTS)) for name, value in arguments.items()},
        )
    return Sample(draw(NAMES), draw(NAMES), tools, history, slots, intents, draw(TEXTS), labels)


@settings(max_examples=40, deadline=None)
@given(any_sample())
def test_a_stored_sample_is_read_back_identically(sample: Sample) -> None:
    raw = json.dumps(sample_to_json(sample)).encode()
    assert parse_line(strict_json.loads(raw, "x"), "x", labelled=sample.labels is not None) == sample


def write(path: Path, lines: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = "".join(json.dumps(line) + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def splits(source: Path) -> list[str]:
    return [split for split, _ in read_jsonl(source)]


def test_files_and_splits(tmp_path: Path) -> None:
    write(tmp_path / "a" / "train.jsonl", [LINE, ANSWER])
    write(tmp_path / "a" / "dev.jsonl", [LINE])
    assert splits(tmp_path / "a") == ["train", "train", "test"]
    write(tmp_path / "a" / "test.jsonl.gz", [LINE])
    assert splits(tmp_path / "a") == ["train", "train", "validation", "test"]
    write(tmp_path / "a" / "validation.jsonl", [LINE, LINE])
    assert splits(tmp_path / "a") == ["train", "train", "validation", "validation", "test"]
    one = write(tmp_path / "one.jsonl.gz", [LINE, ANSWER])
    assert splits(one) == ["train", "train"]
    assert is_jsonl(one) and is_jsonl(tmp_path / "a") and not is_jsonl(tmp_path) and not is_jsonl(tmp_path / "none")


def test_crlf_and_blank_lines_count_as_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(json.dumps(LINE).encode() + b"\r\n\r\n" + json.dumps(ANSWER).encode())
    assert [sample.id for _, sample in read_jsonl(path)] == ["t.jsonl:1", "t.jsonl:3"]


def test_intents_come_from_the_map_or_from_the_training_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "train.jsonl", [LINE, changed(intent="wait")])
    assert find_intent_map(tmp_path) is None
    assert {tuple(sample.intents) for _, sample in read_jsonl(tmp_path)} == {("carry_out", "wait")}
    (tmp_path / "intend.json").write_text('{"carry_out": "do it", "wait": "pause", "other": "rest"}')
    assert find_intent_map(tmp_path) == find_intent_map(path) == tmp_path / "intend.json"
    intents = read_intent_map(tmp_path / "intend.json")
    assert all(sample.intents is intents for _, sample in read_jsonl(tmp_path, intents))
    with pytest.raises(EquipoiseError, match=r"train\.jsonl:2.*intent must stand in the intent map"):
        list(read_jsonl(tmp_path, {"carry_out": "do it"}))


def test_slots_known_from_elsewhere_are_asked_of_every_sample(tmp_path: Path) -> None:
    """A slot that only labels name must be a candidate everywhere, or its presence would tell the label."""
    path = write(tmp_path / "train.jsonl", [changed(slots={"mood": "yes"}), ANSWER])
    first, second = (sample for _, sample in read_jsonl(path))
    assert first.slots == second.slots and "mood" in second.slots
    assert first.labels.slot_spans == {"mood": Span(2, 0, 3)}


def test_an_answer_as_users_see_it() -> None:
    span = FoundSpan("Blue Fox", 0, 20, 28, 0.75)
    prediction = Prediction(0.9, "hotels.book", 0.8, "carry_out", 0.7, {"hotel": span}, {}, {"hotel": span}, 2)
    shown = {"text": "Blue Fox", "turn": 0, "start": 20, "end": 28, "confidence": 0.75}
    assert render(prediction) == {
        "decision": "tool_call",
        "confidence": 0.9,
        "tool": "hotels.book",
        "tool_confidence": 0.8,
        "arguments": {"hotel": shown},
        "slots": {"hotel": shown},
        "intent": "carry_out",
        "steps": 2,
    }
    direct = render(Prediction(0.25, "hotels.book", 0.8, None, 0.0, {"hotel": span}, {}, {}, 1))
    assert direct["decision"] == "direct_answer" and direct["confidence"] == 0.75
    assert direct["tool"] is None and direct["arguments"] == {}
    assert render(Prediction(0.9, None, 0.0, None, 0.0, {}, {}, {}, 1))["decision"] == "direct_answer"
    asked = render(Prediction(0.25, "hotels.book", 0.8, None, 0.0, {}, {"city": span}, {}, 1, given_tool="weather"))
    assert asked.pop("given_tool") == {"name": "weather", "arguments": {"city": shown}}
    assert asked == direct | {"arguments": {}}


def test_no_files_is_missing_input(tmp_path: Path) -> None:
    write(tmp_path / "test.jsonl", [LINE])
    for place in (tmp_path, tmp_path / "none", tmp_path / "none.jsonl"):
        with pytest.raises(EquipoiseError) as caught:
            list(read_jsonl(place))
        assert caught.value.exit_code == Exit.MISSING_INPUT
