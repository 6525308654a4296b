"""Bad dialogue files, one a row: each is answered by one line with place, rule, value and hint, and the right code."""

from __future__ import annotations

import copy
import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.errors import EquipoiseError, Exit
from components.workloads.tool_calling.sgd import is_sgd, read_sgd
from components.workloads.tool_calling.trm_jsonl import read_intent_map, read_jsonl, read_lines, read_request

LINE: dict[str, Any] = {
    "tools": [{"name": "hotels.book", "description": "Book", "parameters": {"hotel": "Name", "nights": "Nights"}}],
    "history": [{"role": "user", "content": "The Blue Fox for 2 nights"}],
    "decision": "tool_call",
    "slots": {"hotel": "Blue Fox"},
    "tool": {"name": "hotels.book", "arguments": {"hotel": "Blue Fox"}},
    "intent": "carry_out",
}
KEPT: dict[str, Any] = {
    "id": "a",
    "conversation": "c",
    "service": "",
    "slots": {"hotel": ""},
    "intents": {"carry_out": ""},
    "argument_spans": {"hotel": [0, 4, 12]},
    "slot_spans": {},
    "spellings": {},
}


def line(**parts: Any) -> bytes:
    return json.dumps({**copy.deepcopy(LINE), **parts}).encode()


def without(key: str) -> bytes:
    return json.dumps({k: v for k, v in LINE.items() if k != key}).encode()


def kept(**parts: Any) -> bytes:
    return line(equipoise={**copy.deepcopy(KEPT), **parts})


def tool(**parts: Any) -> list[dict[str, Any]]:
    return [{**copy.deepcopy(LINE["tools"][0]), **parts}]


def call(name: Any = "hotels.book", arguments: Any = None) -> dict[str, Any]:
    return {"name": name, "arguments": arguments if arguments is not None else {}}


def said(content: Any, role: Any = "user") -> list[dict[str, Any]]:
    return [{"role": role, "content": content}]


GOOD = line()
# name, the file's bytes, the code, words of the rule; the bad line is always the second, after a good one
LINES: list[tuple[str, bytes, str, str]] = [
    ("not JSON", b"decision: tool_call", "E_JSON", "must be JSON"),
    ("half an object", GOOD[:-9], "E_JSON", "must be JSON"),
    ("a list", b"[1]", "E_DIALOGUE", "must be an object"),
    ("a number", b"7", "E_DIALOGUE", "must be an object"),
    ("two objects on a line", GOOD + GOOD, "E_JSON", "must be JSON"),
    ("a key twice", GOOD[:-1] + b', "decision": "direct_answer"}', "E_JSON", "stand once"),
    ("NaN", line(slots={"nights": float("nan")}), "E_JSON", "finite"),
    ("an infinite number", GOOD.replace(b'"Blue Fox"}', b"1e999}", 1), "E_JSON", "finite"),
    ("10,000 deep", b'{"tools":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "E_JSON", "nested"),
    ("invalid UTF-8", GOOD.replace(b"Blue", b"Bl\xffe", 1), "E_JSON", "UTF-8"),
    ("a byte order mark", b"\xef\xbb\xbf" + GOOD, "E_JSON", "byte order mark"),
    ("UTF-16", GOOD.decode().encode("utf-16"), "E_JSON", "byte order mark"),
    ("a lone surrogate", GOOD.replace(b"Blue", b"\\ud800", 1), "E_JSON", "whole characters"),
    ("a raw NUL", GOOD.replace(b"Blue", b"Bl\0e", 1), "E_JSON", "must be JSON"),
    ("an escaped NUL", GOOD.replace(b"Blue", b"\\u0000", 1), "E_DIALOGUE", "NUL"),
    ("no tools", without("tools"), "E_DIALOGUE", "`tools` must be present"),
    ("no history", without("history"), "E_DIALOGUE", "`history` must be present"),
    ("empty history", line(history=[]), "E_DIALOGUE", "at least one message"),
    ("history is text", line(history="hi"), "E_DIALOGUE", "at least one message"),
    ("a message is text", line(history=["hi"]), "E_DIALOGUE", "a message must be an object"),
    ("unknown role", line(history=said("hi", "robot")), "E_DIALOGUE", "role must be one of"),
    ("role is a list", line(history=said("hi", ["user"])), "E_DIALOGUE", "role must be one of"),
    ("content is a number", line(history=said(5)), "E_DIALOGUE", "content must be text"),
    ("content is missing", line(history=[{"role": "user"}]), "E_DIALOGUE", "content must be text"),
    ("a user speaks an object", line(history=said({"a": 1})), "E_DIALOGUE", "content must be text"),
    ("tools is an object", line(tools={"name": "x"}), "E_DIALOGUE", "tools must be a list"),
    ("a tool is text", line(tools=["hotels.book"]), "E_DIALOGUE", "a tool must be an object"),
    ("a tool without a name", line(tools=[{"description": "x"}]), "E_DIALOGUE", "name must be text"),
    ("a tool with a blank name", line(tools=tool(name=" ")), "E_DIALOGUE", "must not be blank"),
    ("a tool offered twice", line(tools=tool() + tool()), "E_DIALOGUE", "offered once"),
    ("parameters is a list", line(tools=tool(parameters=["hotel"])), "E_DIALOGUE", "parameters must be an object"),
    ("a parameter is a number", line(tools=tool(parameters={"hotel": 1})), "E_DIALOGUE", "description must be text"),
    ("required is text", line(tools=tool(parameters={"hotel": {"required": "yes"}})), "E_DIALOGUE", "true or false"),
    ("values is text", line(tools=tool(parameters={"hotel": {"values": "a"}})), "E_DIALOGUE", "list of texts"),
    (
        "a mistyped parameter key",
        line(tools=tool(parameters={"hotel": {"requried": True}})),
        "E_DIALOGUE",
        "Did you mean",
    ),
    ("no decision", without("decision"), "E_DIALOGUE", "decision must be"),
    ("a mistyped key", GOOD.replace(b'"decision"', b'"desicion"'), "E_DIALOGUE", "Did you mean `decision`"),
    ("unknown decision", line(decision="maybe"), "E_DIALOGUE", "decision must be"),
    ("decision is a number", line(decision=1), "E_DIALOGUE", "decision must be"),
    ("a call without a tool", line(tool=None), "E_DIALOGUE", "must have tool"),
    ("a call without a name", line(tool={"arguments": {}}), "E_DIALOGUE", "must have tool"),
    ("tool not in the list", line(tool=call("taxi.ride")), "E_DIALOGUE", "one of the offered tools"),
    ("a call with no tools offered", line(tools=[]), "E_DIALOGUE", "one of the offered tools"),
    ("a direct answer with a tool", line(decision="direct_answer"), "E_DIALOGUE", "must not name a tool"),
    ("argument of another tool", line(tool=call(arguments={"goal": "x"})), "E_DIALOGUE", "a parameter of hotels.book"),
    ("arguments is a list", line(tool=call(arguments=["x"])), "E_DIALOGUE", "arguments must be an object"),
    ("slots is a list", line(slots=["hotel"]), "E_DIALOGUE", "slots must be an object"),
    ("a blank slot name", line(slots={" ": "x"}), "E_DIALOGUE", "must not be blank"),
    ("intent is a number", line(intent=3), "E_DIALOGUE", "intent must"),
    ("conversation is a number", line(conversation=3), "E_DIALOGUE", "conversation must be text"),
    ("a span outside its message", kept(argument_spans={"hotel": [0, 4, 99]}), "E_DIALOGUE", "inside its message"),
    ("a span of a message not there", kept(argument_spans={"hotel": [7, 0, 1]}), "E_DIALOGUE", "inside its message"),
    ("an empty span", kept(argument_spans={"hotel": [0, 4, 4]}), "E_DIALOGUE", "inside its message"),
    ("a span of fractions", kept(argument_spans={"hotel": [0, 4.5, 9]}), "E_DIALOGUE", "[turn, start, end]"),
    ("a span of no value", kept(argument_spans={"nights": [0, 4, 9]}), "E_DIALOGUE", "a labelled value"),
    ("a stored sample without its parts", line(equipoise={"id": "a"}), "E_DIALOGUE", "equipoise must hold"),
    ("HTML in a role", line(history=said("hi", "<script>")), "E_DIALOGUE", "role must be one of"),
    ("a terminal escape in a role", line(history=said("hi", "\x1b[2J\n")), "E_DIALOGUE", "role must be one of"),
]


def check(error: EquipoiseError, code: str, rule: str, place: str, exit_code: Exit = Exit.BAD_DATA) -> None:
    message = str(error)
    assert error.code == code, message
    assert error.exit_code == exit_code
    assert rule in message
    assert place in error.place
    assert message.isprintable() and ", got " in message and message.endswith((".", "?"))
    assert len(message) < 1000


@pytest.mark.parametrize(("raw", "code", "rule"), [row[1:] for row in LINES], ids=[row[0] for row in LINES])
def test_a_bad_line(raw: bytes, code: str, rule: str, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(GOOD + b"\n" + raw + b"\n")
    with pytest.raises(EquipoiseError) as caught:
        list(read_jsonl(tmp_path, {"carry_out": "do it"}))
    check(caught.value, code, rule, "train.jsonl:2")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["train.jsonl"]


REQUEST_ROWS = [row for row in LINES if not {"decision", "call", "argument", "slot", "intent"} & set(row[0].split())]


@pytest.mark.parametrize(
    ("raw", "code", "rule"), [row[1:] for row in REQUEST_ROWS], ids=[row[0] for row in REQUEST_ROWS]
)
def test_a_bad_request_is_answered_alike_or_read_without_its_labels(
    raw: bytes, code: str, rule: str, tmp_path: Path
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(raw)
    try:
        samples = [read_request(value, place) for value, place in read_lines(path)]
    except EquipoiseError as error:
        assert error.exit_code == Exit.BAD_DATA and str(error).isprintable() and "in.jsonl:1" in error.place
    else:
        assert all(sample.labels is None for sample in samples)


FILES: list[tuple[str, str, bytes, str, str]] = [
    ("empty file", "train.jsonl", b"", "E_DIALOGUE", "at least one line"),
    ("only blank lines", "train.jsonl", b"\n \n\r\n", "E_DIALOGUE", "at least one line"),
    ("truncated gzip", "train.jsonl.gz", gzip.compress(GOOD * 50)[:-20], "E_DIALOGUE", "whole gzip file"),
    ("gzip by name only", "train.jsonl.gz", GOOD, "E_DIALOGUE", "whole gzip file"),
    ("gzip with a wrong checksum", "train.jsonl.gz", gzip.compress(GOOD)[:-8] + b"12345678", "E_DIALOGUE", "gzip"),
    ("a picture", "train.jsonl", b"\x89PNG\r\n\x1a\n\0\0", "E_JSON", "UTF-8"),
    ("an archive", "train.jsonl", b"PK\x03\x04\0\0", "E_JSON", "must be JSON"),
]


@pytest.mark.parametrize(("name", "raw", "code", "rule"), [row[1:] for row in FILES], ids=[row[0] for row in FILES])
def test_a_bad_file(name: str, raw: bytes, code: str, rule: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(EquipoiseError) as caught:
        list(read_jsonl(tmp_path))
    check(caught.value, code, rule, name)


def test_a_line_of_a_megabyte_is_fine_and_one_of_17_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(line(history=said("x " * 500_000)))
    assert len(list(read_jsonl(path))) == 1
    path.write_bytes(line(history=said("x" * 17 * 1024 * 1024)))
    with pytest.raises(EquipoiseError) as caught:
        list(read_jsonl(path))
    check(caught.value, "E_JSON", "at most 16777216 bytes", "train.jsonl:1")


def test_unusual_text_is_data_not_an_error(tmp_path: Path) -> None:
    text = "right to left \u202e, zero \u200b width, <b>html</b>, '; DROP TABLE x; --, $(rm -rf /)"
    path = tmp_path / "train.jsonl"
    path.write_bytes(line(history=said(text + " Blue Fox")))
    (_, sample), *_ = read_jsonl(path)
    assert sample.history[0].content == text + " Blue Fox"
    assert sample.labels.argument_spans["hotel"].start == len(text) + 1


INTENT_MAPS = [
    ("a list", b'["a"]', "E_DIALOGUE", "an object of texts"),
    ("empty", b"{}", "E_DIALOGUE", "at least one intent"),
    ("a number as description", b'{"a": 1}', "E_DIALOGUE", "must be text"),
    ("an intent twice", b'{"a": "x", "a": "y"}', "E_JSON", "stand once"),
    ("a blank intent", b'{" ": "x"}', "E_DIALOGUE", "must not be blank"),
    ("no JSON", b"a: x", "E_JSON", "must be JSON"),
]


@pytest.mark.parametrize(("raw", "code", "rule"), [row[1:] for row in INTENT_MAPS], ids=[row[0] for row in INTENT_MAPS])
def test_a_bad_intent_map(raw: bytes, code: str, rule: str, tmp_path: Path) -> None:
    (tmp_path / "intend.json").write_bytes(raw)
    with pytest.raises(EquipoiseError) as caught:
        read_intent_map(tmp_path / "intend.json")
    check(caught.value, code, rule, "intend.json")


# --- Schema-Guided Dialogue -------------------------------------------------------------------------------------------

SCHEMA = [
    {
        "service_name": "Taxi_1",
        "description": "Taxis",
        "slots": [{"name": "goal", "description": "Where to", "is_categorical": False, "possible_values": []}],
        "intents": [
            {
                "name": "Ride",
                "description": "Order",
                "is_transactional": True,
                "required_slots": ["goal"],
                "optional_slots": {},
                "result_slots": [],
            }
        ],
    }
]


def small_dialogue() -> dict[str, Any]:
    state = {"active_intent": "Ride", "requested_slots": [], "slot_values": {"goal": ["Rome"]}}
    informed = [{"act": "INFORM", "slot": "goal", "values": ["Rome"], "canonical_values": ["Rome"]}]
    spans = [{"slot": "goal", "start": 10, "exclusive_end": 14}]
    asked = {"service": "Taxi_1", "slots": spans, "actions": informed, "state": state}
    called = {"service": "Taxi_1", "slots": [], "actions": [], "service_results": []}
    called["service_call"] = {"method": "Ride", "parameters": {"goal": "Rome"}}
    return {
        "dialogue_id": "1",
        "services": ["Taxi_1"],
        "turns": [
            {"speaker": "USER", "utterance": "A taxi to Rome", "frames": [asked]},
            {"speaker": "SYSTEM", "utterance": "Done", "frames": [called]},
        ],
    }


Change = Callable[[dict[str, Any]], object]


def frame(turn: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda dialogue: dialogue["turns"][turn]["frames"][0]


ASKED, CALLED = frame(0), frame(1)
DIALOGUES: list[tuple[str, Change, str]] = [
    ("no id", lambda d: d.pop("dialogue_id"), "`dialogue_id` must be text"),
    ("services is text", lambda d: d.update(services="Taxi_1"), "`services` must be a list"),
    ("no services", lambda d: d.update(services=[]), "must stand in the schema"),
    ("a service of another schema", lambda d: d.update(services=["Bus_9"]), "must stand in the schema"),
    ("turns is an object", lambda d: d.update(turns={}), "`turns` must be a list"),
    ("the system begins", lambda d: d["turns"].reverse(), "speakers must alternate"),
    ("an unknown speaker", lambda d: d["turns"][0].update(speaker="BOT"), "speakers must alternate"),
    ("no utterance", lambda d: d["turns"][1].pop("utterance"), "`utterance` must be text"),
    ("a user without frames", lambda d: d["turns"][0].update(frames=[]), "must have a frame"),
    ("a frame is text", lambda d: d["turns"][0].update(frames=["x"]), "must be an object"),
    ("a span outside", lambda d: ASKED(d)["slots"][0].update(exclusive_end=99), "inside the utterance"),
    ("a backward span", lambda d: ASKED(d)["slots"][0].update(start=12, exclusive_end=11), "inside the utterance"),
    ("a span of text", lambda d: ASKED(d)["slots"][0].update(start="10"), "inside the utterance"),
    ("a slot not in the schema", lambda d: ASKED(d)["slots"][0].update(slot="colour"), "open slots of the schema"),
    ("values without partners", lambda d: ASKED(d)["actions"][0].update(values=[]), "in pairs"),
    ("no state", lambda d: ASKED(d).pop("state"), "`state` must be an object"),
    ("an unknown intent", lambda d: ASKED(d)["state"].update(active_intent="Fly"), "the active intent must"),
    ("slot values as text", lambda d: ASKED(d)["state"].update(slot_values={"goal": "Rome"}), "lists of text"),
    ("two calls", lambda d: d["turns"][1]["frames"].append(CALLED(d)), "at most one service_call"),
    ("an unknown method", lambda d: CALLED(d)["service_call"].update(method="Fly"), "the called method must"),
    ("an argument of another tool", lambda d: CALLED(d)["service_call"].update(parameters={"x": "1"}), "parameters of"),
    ("a number as argument", lambda d: CALLED(d)["service_call"].update(parameters={"goal": 1}), "parameters of"),
    ("results as text", lambda d: CALLED(d).update(service_results=["x"]), "service_results must be objects"),
    ("no results beside a call", lambda d: CALLED(d).pop("service_results"), "`service_results` must be a list"),
]


def place_dialogues(folder: Path, dialogues: Any, schema: Any = None) -> Path:
    folder.mkdir()
    (folder / "schema.json").write_text(json.dumps(SCHEMA if schema is None else schema))
    (folder / "dialogues_001.json").write_text(json.dumps(dialogues))
    return folder


@pytest.mark.parametrize(("change", "rule"), [row[1:] for row in DIALOGUES], ids=[row[0] for row in DIALOGUES])
def test_a_bad_published_dialogue(change: Change, rule: str, tmp_path: Path) -> None:
    dialogue = small_dialogue()
    assert len(list(read_sgd(place_dialogues(tmp_path / "good", [dialogue])))) == 1
    change(dialogue)
    with pytest.raises(EquipoiseError) as caught:
        list(read_sgd(place_dialogues(tmp_path / "train", [dialogue])))
    check(caught.value, "E_SGD", rule, "dialogues_001.json: dialogue 1")


@pytest.mark.parametrize(
    ("dialogues", "schema", "rule"),
    [
        ({}, None, "a list of dialogues"),
        (["x"], None, "must be an object"),
        ([], {}, "a list of services"),
        ([], [], "a list of services"),
        ([], SCHEMA * 2, "must stand once in a schema"),
        ([], [{**SCHEMA[0], "slots": []}], "must be slots of the service"),
        ([], [{**SCHEMA[0], "intents": [{}]}], "`name` must be text"),
    ],
)
def test_a_bad_dialogue_file_or_schema(dialogues: Any, schema: Any, rule: str, tmp_path: Path) -> None:
    with pytest.raises(EquipoiseError) as caught:
        list(read_sgd(place_dialogues(tmp_path / "train", dialogues, schema)))
    check(caught.value, "E_SGD", rule, ".json")


def test_a_dialogue_twice_in_a_file(tmp_path: Path) -> None:
    with pytest.raises(EquipoiseError) as caught:
        list(read_sgd(place_dialogues(tmp_path / "train", [small_dialogue(), small_dialogue()])))
    check(caught.value, "E_SGD", "must stand once in a file", "dialogue 1")


def test_dialogues_without_a_schema(tmp_path: Path) -> None:
    (place_dialogues(tmp_path / "train", [small_dialogue()]) / "schema.json").unlink()
    with pytest.raises(EquipoiseError) as caught:
        list(read_sgd(tmp_path))
    check(caught.value, "E_SGD", "a schema.json must lie beside", "dialogues_001.json")


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        (b"", "archive"),
        (b"\x1f\x8b\x08\0 damaged", "undamaged archive"),
        (gzip.compress(b"no tar in here", mtime=0), "undamaged archive"),
        (b"<html>Not found</html>", "must be a .tar.gz, .tar or .zip archive"),
    ],
    ids=["empty", "damaged gzip", "gzip of no tar", "a web page"],
)
def test_a_bad_archive(raw: bytes, rule: str, tmp_path: Path) -> None:
    (tmp_path / "sgd_train40.tar.gz").write_bytes(raw)
    assert is_sgd(tmp_path)
    with pytest.raises(EquipoiseError) as caught:
        list(read_sgd(tmp_path))
    check(caught.value, "E_ARCHIVE", rule, "sgd_train40.tar.gz")


def test_an_archive_that_links_to_the_outside_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "sgd_dev.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("dev/schema.json")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member, io.BytesIO())
    with pytest.raises(EquipoiseError) as caught:
        list(read_sgd(tmp_path))
    check(caught.value, "E_ARCHIVE", "plain files or folders", "dev/schema.json")
    assert [p.name for p in tmp_path.iterdir()] == ["sgd_dev.tar.gz"]
