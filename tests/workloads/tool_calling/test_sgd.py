"""Published dialogues as decisions: a small hand-worked copy, and the counts of the real one."""

from __future__ import annotations

import copy
import io
import itertools
import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from components.errors import EquipoiseError, Exit
from components.workloads.tool_calling.dialogues import ASSISTANT, TOOL_CALL, TOOL_RESPONSE, USER, Sample, Span
from components.workloads.tool_calling.sgd import is_sgd, read_sgd

REAL = Path("../shared/data/toolcall")

SCHEMA = [
    {
        "service_name": "Restaurants_2",
        "description": "Find and book restaurants",
        "slots": [
            {"name": "city", "description": "City", "is_categorical": False, "possible_values": []},
            {"name": "time", "description": "Time", "is_categorical": False, "possible_values": []},
            {"name": "seats", "description": "Seats", "is_categorical": True, "possible_values": ["1", "2", "3"]},
            {"name": "outside", "description": "Outside", "is_categorical": True, "possible_values": ["True", "False"]},
            {"name": "phone", "description": "Phone", "is_categorical": False, "possible_values": []},
        ],
        "intents": [
            {
                "name": "Reserve",
                "description": "Reserve a table",
                "is_transactional": True,
                "required_slots": ["city", "time"],
                "optional_slots": {"seats": "2", "outside": "dontcare"},
                "result_slots": ["phone"],
            },
            {
                "name": "Find",
                "description": "Find a place",
                "is_transactional": False,
                "required_slots": ["city"],
                "optional_slots": {},
                "result_slots": ["phone"],
            },
        ],
    },
    {
        "service_name": "Taxi_1",
        "description": "Taxis",
        "slots": [{"name": "goal", "description": "Where to", "is_categorical": False, "possible_values": []}],
        "intents": [
            {
                "name": "Ride",
                "description": "Order a taxi",
                "is_transactional": True,
                "required_slots": ["goal"],
                "optional_slots": {},
                "result_slots": [],
            }
        ],
    },
]


def act(kind: str, slot: str, said: str, canonical: str | None = None) -> dict[str, Any]:
    return {"act": kind, "slot": slot, "values": [said], "canonical_values": [canonical or said]}


def mark(text: str, slot: str, said: str) -> dict[str, Any]:
    start = text.rindex(said)
    return {"slot": slot, "start": start, "exclusive_end": start + len(said)}


def user(text: str, service: str, intent: str, slots: Any = (), acts: Any = (), state: Any = None) -> dict[str, Any]:
    frame = {
        "service": service,
        "slots": [mark(text, *slot) for slot in slots],
        "actions": list(acts),
        "state": {"active_intent": intent, "requested_slots": [], "slot_values": state or {}},
    }
    return {"speaker": "USER", "utterance": text, "frames": [frame]}


def system(text: str, service: str, slots: Any = (), acts: Any = (), **more: Any) -> dict[str, Any]:
    frame = {"service": service, "slots": [mark(text, *slot) for slot in slots], "actions": list(acts), **more}
    return {"speaker": "SYSTEM", "utterance": text, "frames": [frame]}


def dialogue() -> dict[str, Any]:
    call = {"method": "Reserve", "parameters": {"city": "Rome", "time": "19:30", "seats": "2", "outside": "True"}}
    results = [{"city": "Rome", "phone": "1"}, {"city": "Rome", "phone": "2"}, {"city": "Rome", "phone": "3"}]
    state = {"city": ["Rome"], "time": ["half past seven", "7:30 pm"], "seats": ["2"], "outside": ["True"]}
    return {
        "dialogue_id": "1_00000",
        "services": ["Restaurants_2", "Taxi_1"],
        "turns": [
            user(
                "A table for 2 at half past seven in Paris, I mean Rome.",
                "Restaurants_2",
                "Reserve",
                [("time", "half past seven"), ("city", "Rome")],
                [
                    act("INFORM", "time", "half past seven", "19:30"),
                    act("INFORM", "seats", "2"),
                    act("INFORM", "city", "Rome"),
                ],
                {key: state[key] for key in ("city", "time", "seats")},
            ),
            system(
                "In Rome at 7:30 pm for 2?",
                "Restaurants_2",
                [("city", "Rome"), ("time", "7:30 pm")],
                [
                    act("CONFIRM", "time", "7:30 pm", "19:30"),
                    act("CONFIRM", "seats", "2"),
                    act("CONFIRM", "city", "Rome"),
                ],
            ),
            user("Yes, outside please.", "Restaurants_2", "Reserve", [], [], state),
            system("Done! SECRET", "Restaurants_2", service_call=call, service_results=results),
            user("A taxi there.", "Taxi_1", "NONE", [], [], {}),
            system(
                "Ordered. SECRET",
                "Taxi_1",
                service_call={"method": "Ride", "parameters": {"goal": "Rome"}},
                service_results=[],
            ),
            user("Bye", "Taxi_1", "NONE"),
            system("Bye", "Taxi_1"),
        ],
    }


def write(folder: Path, dialogues: Any, schema: Any = None, name: str = "dialogues_001.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "schema.json").write_text(json.dumps(SCHEMA if schema is None else schema))
    (folder / name).write_text(json.dumps(dialogues))
    return folder


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    return [sample for _, sample in read_sgd(write(tmp_path / "train", [dialogue()]))]


def said(sample: Sample, span: Span) -> str:
    return sample.history[span.turn].content[span.start : span.end]


def test_every_system_turn_is_one_decision(samples: list[Sample]) -> None:
    assert [s.id for s in samples] == [f"train/1_00000/{turn}" for turn in (1, 3, 5, 7)]
    assert {s.conversation for s in samples} == {"train/1_00000"}
    assert [s.labels.decision for s in samples] == [0, 1, 1, 0]
    assert [s.labels.tool for s in samples] == [None, "Restaurants_2.Reserve", "Taxi_1.Ride", None]
    assert [s.labels.intent for s in samples] == ["Restaurants_2.Reserve"] * 2 + ["Taxi_1.NONE"] * 2
    assert [s.service for s in samples] == ["Restaurants_2"] * 2 + ["Taxi_1"] * 2


def test_the_history_is_what_came_before_with_calls_as_two_messages(samples: list[Sample]) -> None:
    assert [m.role for m in samples[3].history] == [
        *(USER, ASSISTANT, USER),
        *(TOOL_CALL, TOOL_RESPONSE, ASSISTANT, USER),
        *(TOOL_CALL, TOOL_RESPONSE, ASSISTANT, USER),
    ]
    history = samples[3].history
    assert history[3].content == "Restaurants_2.Reserve city=Rome, time=19:30, seats=2, outside=True"
    assert history[4].content == "city=Rome, phone=1; city=Rome, phone=2"  # at most two results
    assert history[8].content == "no results"
    for shorter, longer in itertools.pairwise(samples):
        assert longer.history[: len(shorter.history)] == shorter.history


def test_nothing_of_the_decided_turn_reaches_the_input(samples: list[Sample]) -> None:
    text = " ".join(message.content for message in samples[1].history)
    assert "SECRET" not in text and "19:30" not in text and "phone" not in text
    assert len(samples[1].history) == 3


def test_labels_do_not_change_when_the_future_does(tmp_path: Path, samples: list[Sample]) -> None:
    changed = dialogue()
    changed["turns"][3]["frames"][0]["service_results"] = [{"city": "X"}]
    changed["turns"][3]["utterance"] = "other"
    changed["turns"][5]["frames"][0].pop("service_call")
    again = [sample for _, sample in read_sgd(write(tmp_path / "x" / "train", [changed]))]
    assert again[:2] == samples[:2]


def test_arguments_stand_where_they_were_last_said(samples: list[Sample]) -> None:
    labels = samples[1].labels
    assert labels.arguments == {"city": "Rome", "time": "19:30", "seats": "2", "outside": "True"}
    assert labels.argument_spans["city"] == Span(1, 3, 7)
    assert said(samples[1], labels.argument_spans["time"]) == "7:30 pm"  # a spelling, from the confirmation
    assert labels.argument_spans["seats"] == Span(1, 23, 24)  # the 2 of "for 2"
    assert "outside" not in labels.argument_spans  # never said as a value
    assert set(labels.spellings["time"]) == {"19:30", "half past seven", "7:30 pm"}
    assert labels.spellings["time"][0] == "19:30"


def test_a_value_handed_on_from_another_service_is_found(samples: list[Sample]) -> None:
    span = samples[2].labels.argument_spans["goal"]
    assert said(samples[2], span) == "Rome"
    assert samples[2].history[span.turn].role in (USER, ASSISTANT)  # never in a call or a response


def test_slots_are_those_of_the_last_user_turn_and_the_last_mention_counts(
    tmp_path: Path, samples: list[Sample]
) -> None:
    assert samples[0].labels.slots == {"Restaurants_2.time": "half past seven", "Restaurants_2.city": "Rome"}
    assert samples[1].labels.slots == {}
    twice = dialogue()
    text = twice["turns"][0]["utterance"]
    twice["turns"][0]["frames"][0]["slots"].insert(0, mark(text, "city", "Paris"))
    first = next(sample for _, sample in read_sgd(write(tmp_path / "twice" / "train", [twice])))
    assert said(first, first.labels.slot_spans["Restaurants_2.city"]) == "Rome"


def test_the_offer(samples: list[Sample]) -> None:
    sample = samples[0]
    assert [tool.name for tool in sample.tools] == ["Restaurants_2.Reserve", "Restaurants_2.Find", "Taxi_1.Ride"]
    parameters = {p.name: p for p in sample.tools[0].parameters}
    assert list(parameters) == ["city", "time", "seats", "outside"]
    assert parameters["city"].required and not parameters["seats"].required
    assert parameters["seats"].values == ("1", "2", "3") and parameters["city"].values == ()
    assert set(sample.slots) == {*(f"Restaurants_2.{name}" for name in ("city", "time", "phone")), "Taxi_1.goal"}
    assert set(sample.intents) == {
        *("Restaurants_2.Reserve", "Restaurants_2.Find", "Restaurants_2.NONE"),
        *("Taxi_1.Ride", "Taxi_1.NONE"),
    }
    assert sample.intents["Taxi_1.NONE"] == "no active intent"
    assert all(s.tools is sample.tools and s.slots is sample.slots for s in samples)


def test_a_number_inside_a_time_is_not_the_number_of_seats(tmp_path: Path) -> None:
    changed = dialogue()
    first, second = changed["turns"][:2]
    first.update(user("At 2:30 or 3.2 miles in Rome", "Restaurants_2", "Reserve", [("city", "Rome")]))
    second.update(system("For two?", "Restaurants_2"))
    sample = list(read_sgd(write(tmp_path / "train", [changed])))[1][1]
    assert said(sample, sample.labels.argument_spans["seats"]) == "two"


def archive(path: Path, folders: dict[str, Any]) -> Path:
    with tarfile.open(path, "w:gz") as out:
        for name, value in folders.items():
            raw = json.dumps(value).encode()
            member = tarfile.TarInfo(name)
            member.size = len(raw)
            out.addfile(member, io.BytesIO(raw))
    return path


def test_folders_archives_and_their_splits(tmp_path: Path) -> None:
    one = [dialogue()]
    both = tmp_path / "both"
    for name in ("train", "dev", "test"):
        write(both / name, one)
    assert [(split, s.id.split("/")[0]) for split, s in read_sgd(both)] == [("train", "train")] * 4 + [
        ("test", "test")
    ] * 4
    without_dev = tmp_path / "without_dev"
    for name in ("train", "test"):
        write(without_dev / name, one)
    assert Counter(split for split, _ in read_sgd(without_dev)) == {"train": 4, "test": 4}

    packed = tmp_path / "packed"
    packed.mkdir()
    archive(packed / "sgd_train40.tar.gz", {"train/dialogues_001.json": one, "train/schema.json": SCHEMA})
    archive(packed / "sgd_dev.tar.gz", {"dev/schema.json": SCHEMA, "dev/dialogues_001.json": one})
    (packed / "README.md").write_text("other files may lie there")
    assert list(read_sgd(packed)) == list(read_sgd(both))

    whole = archive(
        tmp_path / "repository.tar.gz",
        {
            "sgd-main/train/schema.json": SCHEMA,
            "sgd-main/train/dialogues_001.json": one,
            "sgd-main/dev/schema.json": SCHEMA,
            "sgd-main/dev/dialogues_001.json": one,
        },
    )
    assert list(read_sgd(whole)) == list(read_sgd(both))
    assert all(is_sgd(place) for place in (both, packed, whole, both / "dev"))
    assert not is_sgd(tmp_path) and not is_sgd(tmp_path / "none") and not is_sgd(packed / "README.md")


def test_no_data_is_missing_input(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(EquipoiseError) as caught:
            list(read_sgd(place))
        assert caught.value.exit_code == Exit.MISSING_INPUT


def test_reading_does_not_touch_what_it_reads(tmp_path: Path) -> None:
    before = dialogue()
    kept = copy.deepcopy(before)
    list(read_sgd(write(tmp_path / "train", [before])))
    assert before == kept


@pytest.mark.real_data
@pytest.mark.skipif(not (REAL / "sgd_dev.tar.gz").is_file(), reason="the public dialogues are not beside the project")
@pytest.mark.parametrize(
    ("name", "split", "expected"),
    [
        ("sgd_dev.tar.gz", "test", (2098, 19384, 6027, 30, 47, 50, 7518, 17630, 1336, 5802)),
        ("sgd_train40.tar.gz", "train", (5117, 47746, 14550, 52, 77, 87, 18620, 42952, 3639, 14155)),
    ],
)
def test_the_real_counts(name: str, split: str, expected: tuple[int, ...]) -> None:
    """dialogues, samples, calls, tools, intents, slot names, slot spans, arguments, NONE, calls equal to the intent."""
    count: Counter[str] = Counter()
    names: dict[str, set[str]] = {"dialogues": set(), "tools": set(), "intents": set(), "slots": set()}
    for given, sample in read_sgd(REAL / name):
        labels = sample.labels
        assert given == split and labels is not None
        count["samples"] += 1
        count["calls"] += labels.decision
        count["spans"] += len(labels.slot_spans)
        count["arguments"] += len(labels.arguments)
        count["found"] += len(labels.argument_spans)
        count["none"] += labels.intent.endswith(".NONE")
        count["equal"] += labels.tool == labels.intent
        names["dialogues"].add(sample.conversation)
        names["tools"] |= {labels.tool} - {None}
        names["intents"].add(labels.intent)
        names["slots"] |= set(labels.slots)
        for key, span in labels.argument_spans.items():
            assert sample.history[span.turn].role in (USER, ASSISTANT)
            assert said(sample, span).lower() in {form.lower() for form in labels.spellings[key]}
    measured = (
        *(len(names["dialogues"]), count["samples"], count["calls"], len(names["tools"]), len(names["intents"])),
        *(len(names["slots"]), count["spans"], count["arguments"], count["none"], count["equal"]),
    )
    assert measured == expected
    assert count["found"] / count["arguments"] > 0.94
