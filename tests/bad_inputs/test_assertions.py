"""Bad pairs, one a row: each is answered by one line with place, rule, value and hint, the right code and exit status,
and nothing half-written."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from components.config_assertions import AssertionsData
from components.errors import EquipoiseError, Exit
from components.workloads.assertions.data import prepare
from components.workloads.assertions.jsonl import LINE_BYTES, read_jsonl, read_lines
from components.workloads.assertions.requests import read_request
from tests.workloads.assertions.pair_data import ROW, row, section, without

GOOD = json.dumps(row()).encode()


def line(**changes: Any) -> bytes:
    return json.dumps(row(**changes)).encode()


def lacking(key: str) -> bytes:
    return json.dumps(without(key)).encode()


# name, the line's bytes, the code, words of the message; the bad line is always the second, after a good one
LINES: list[tuple[str, bytes, str, str]] = [
    ("not JSON", b"assertEquals(1, x);", "E_JSON", "must be JSON"),
    ("half an object", GOOD[:-9], "E_JSON", "must be JSON"),
    ("two objects on a line", GOOD + GOOD, "E_JSON", "must be JSON"),
    ("a list", b"[1]", "E_PAIR", "a row must be an object"),
    ("a number", b"7", "E_PAIR", "a row must be an object"),
    ("a key twice", GOOD[:-1] + b', "project": "b"}', "E_JSON", "stand once"),
    ("NaN", GOOD[:-1] + b', "n_prior_asserts": NaN}', "E_JSON", "finite"),
    ("10,000 deep", b'{"project":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "E_JSON", "nested"),
    ("a line of more than 1 MB", line(test_prefix='f("' + "a" * LINE_BYTES + '");'), "E_JSON", "at most 1048576 bytes"),
    ("a field of 300,000 characters", line(test_prefix="f(1);" * 60_000), "E_PAIR", "at most 200000 characters"),
    ("invalid UTF-8", GOOD.replace(b"count", b"co\xffnt", 1), "E_JSON", "UTF-8"),
    ("Latin-1", GOOD.replace(b"count", "größe".encode("latin-1"), 1), "E_JSON", "UTF-8"),
    ("UTF-16", GOOD.decode().encode("utf-16"), "E_JSON", "byte order mark"),
    ("a byte order mark", b"\xef\xbb\xbf" + GOOD, "E_JSON", "byte order mark"),
    ("a lone surrogate", GOOD.replace(b"count", b"\\ud800", 1), "E_JSON", "whole characters"),
    ("a raw NUL", GOOD.replace(b"count", b"co\0nt", 1), "E_JSON", "must be JSON"),
    ("an escaped NUL", GOOD.replace(b"count", b"co\\u0000nt", 1), "E_PAIR", "NUL"),
    *((f"no {key}", lacking(key), "E_PAIR", key) for key in
      ("project", "test_name", "focal_code", "test_prefix", "assertion")),
    ("a blank project", line(project="  "), "E_PAIR", "project must be present"),
    ("a project that is a number", line(project=3), "E_PAIR", "project must be text"),
    ("a project on two lines", line(project="a\nb"), "E_PAIR", "one line"),
    ("a name that turns the terminal round", line(test_name="a\u202eb"), "E_PAIR", "printable"),
    ("a mistyped key", GOOD.replace(b'"test_prefix"', b'"test_prefx"'), "E_PAIR", "Did you mean `test_prefix`"),
    ("focal_code is null", line(focal_code=None), "E_PAIR", "focal_code must be text"),
    ("focal_code is a list", line(focal_code=["int f() {}"]), "E_PAIR", "focal_code must be text"),
    ("an empty focal_code", line(focal_code=""), "E_PAIR", "must hold code"),
    ("only comments", line(focal_code="// nothing\n/* at all */"), "E_PAIR", "must hold code"),
    ("an empty test_prefix", line(test_prefix=" \n\t"), "E_PAIR", "must hold code"),
    ("half a method", line(focal_code="int f() { return 1;"), "E_PAIR", "a `}` is missing"),
    ("a bracket too many", line(test_prefix="f(1));"), "E_PAIR", "without its opening"),
    ("crossed brackets", line(test_prefix="f(a[1)];"), "E_PAIR", "without its opening"),
    ("an unfinished string", line(test_prefix='f("a);'), "E_PAIR", "a literal without its end"),
    ("an unfinished character", line(test_prefix="f('a);"), "E_PAIR", "a literal without its end"),
    ("an unfinished comment", line(test_prefix="f(1); /* on"), "E_PAIR", "a comment without its end"),
    ("a line break in a string", line(test_prefix='f("a\nb");'), "E_PAIR", "a literal without its end"),
    ("a unicode escape outside of a literal", line(test_prefix="f(1);\\u000a g(2);"), "E_PAIR", "outside of literals"),
    ("Python", line(focal_code="def f(x):  # one\n    return x"), "E_PAIR", "outside of literals"),
    ("an assertion on two lines", line(assertion="assertEquals(1,\n x);"), "E_PAIR", "one line"),
    ("a unicode line break", line(assertion="assertEquals(1, \u2028x);"), "E_PAIR", "assertion must"),
    ("no semicolon", line(assertion="assertEquals(1, x)"), "E_PAIR", "one call"),
    ("a qualified assertion", line(assertion="Assert.assertEquals(1, x);"), "E_PAIR", "bare name"),
    ("two assertions", line(assertion="assertTrue(x); assertTrue(y);"), "E_PAIR", "one call"),
    ("an assertion that does not parse", line(assertion="assertEquals(1,, x);"), "E_PAIR", "one call"),
    ("an assertion that ends the method", line(assertion="assertTrue(x); } void g() { h();"), "E_PAIR", "must"),
    ("a declaration", line(assertion="int x = 1;"), "E_PAIR", "one call"),
    ("another call", line(assertion="verify(x);"), "E_PAIR", "must be one of assertEquals"),
    ("a kind that is not known", line(assertion="assertThat(x, is(1));"), "E_PAIR", "must be one of assertEquals"),
    ("another assert_type", line(assert_type="assertTrue"), "E_PAIR", "assert_type must be assertEquals"),
    ("another id", line(id="0123456789ab"), "E_PAIR", "id must be"),
    ("a negative count", line(n_prior_asserts=-1), "E_PAIR", "whole number"),
    ("a count that is true", line(n_prior_asserts=True), "E_PAIR", "whole number"),
    ("two sizes", line(n_tok=[1, 2]), "E_PAIR", "three whole numbers"),
    ("a size of 0", line(n_tok=[1, 2, 0]), "E_PAIR", "three whole numbers"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "code", "words"), [one[1:] for one in LINES], ids=[one[0] for one in LINES])
def test_bad_rows(tmp_path, raw, code, words):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(GOOD + b"\n" + raw + b"\n" + GOOD + b"\n")
    with pytest.raises(EquipoiseError) as caught:
        list(read_jsonl(path))
    check(caught.value, code, words, "rows.jsonl:2")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "at least one line"),
        (b"\n \n\n", "at least one line"),
        (gzip.compress(GOOD)[:-12], "whole gzip"),
        (b"\x1f\x8b\x08nothing", "whole gzip"),
    ],
)
def test_bad_files(tmp_path, content, words):
    path = tmp_path / ("rows.jsonl.gz" if content[:2] == b"\x1f\x8b" else "rows.jsonl")
    path.write_bytes(content)
    with pytest.raises(EquipoiseError) as caught:
        list(read_jsonl(tmp_path))
    check(caught.value, "E_PAIR", words, path.name)


# what a bad row leaves: no folder, whole or half
def test_a_bad_row_leaves_nothing_behind(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "rows.jsonl").write_bytes(GOOD + b"\n{}\n")
    with pytest.raises(EquipoiseError, match=r"rows\.jsonl:2"):
        prepare(section(source=str(raw)), tmp_path / "prepared")
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


@pytest.mark.parametrize("source", ["nowhere", "empty", "notes.txt", "loop"])
def test_missing_sources(tmp_path, source):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no rows")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(EquipoiseError) as caught:
        prepare(section(source=str(tmp_path / source)), tmp_path / "prepared")
    assert caught.value.exit_code == Exit.MISSING_INPUT
    assert "\n" not in str(caught.value)


def test_an_unreadable_file_is_missing(tmp_path):
    with pytest.raises(EquipoiseError, match="readable file") as caught:
        list(read_lines(tmp_path / "rows.jsonl"))
    assert caught.value.exit_code == Exit.MISSING_INPUT


# --- what is fine, however odd ----------------------------------------------------------------------------------------

FINE: dict[str, dict[str, Any]] = {
    "an empty method": {"focal_code": "void f() {}"},
    "an abstract method": {"focal_code": "abstract int f();"},
    "a unicode escape in a literal": {"test_prefix": 'String s = "\\u000a\\u0022";'},
    "a string that looks like code": {"test_prefix": 'f("}; // (\\" /*");'},
    "Chinese": {"test_prefix": 'String 名字 = "你好";'},
    "an emoji": {"test_prefix": 'f("\U0001f600");'},
    "a text block": {"test_prefix": 'String s = """\n  a "b" {\n  """;'},
    "windows lines": {"test_prefix": "f();\r\ng();"},
    "code without its context": {"test_prefix": "unknown.thing(of, these);"},
    "code that the grammar does not know": {"focal_code": "int f() { return a b c; }"},
    "a lambda": {"assertion": "assertTrue(run(x -> { return x; }));"},
}


@pytest.mark.parametrize("name", FINE)
def test_odd_rows_are_read(tmp_path, name):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(line(**FINE[name]) + b"\r\n")
    assert len(list(read_jsonl(path))) == 1


# --- requests ---------------------------------------------------------------------------------------------------------

ASKED = {"focal_code": ROW["focal_code"], "test_prefix": ROW["test_prefix"]}
REQUESTS: list[tuple[str, Any, str]] = [
    ("a list", [ASKED], "must be an object"),
    ("text", "assertEquals", "must be an object"),
    ("nothing", {}, "focal_code must be text"),
    ("no prefix", {"focal_code": "int f() {}"}, "test_prefix must be text"),
    ("a mistyped key", {**ASKED, "focal": ""}, "fields must be among"),
    ("the answer", {**ASKED, "assertion": ROW["assertion"]}, "gives the answer away"),
    ("the answer's kind", {**ASKED, "assert_type": "assertTrue"}, "gives the answer away"),
    ("the id, a digest of the answer", {**ASKED, "id": "0123456789ab"}, "gives the answer away"),
    ("a name that is a list", {**ASKED, "test_name": ["a"]}, "test_name must be text"),
    ("code that is a number", {**ASKED, "focal_code": 5}, "focal_code must be text"),
    ("an empty prefix", {**ASKED, "test_prefix": ""}, "must hold code"),
    ("half a prefix", {**ASKED, "test_prefix": "f(("}, "a `)` is missing"),
    ("a million characters", {**ASKED, "focal_code": "a" * 1_000_000}, "at most 200000 characters"),
]


@pytest.mark.parametrize(("asked", "words"), [one[1:] for one in REQUESTS], ids=[one[0] for one in REQUESTS])
def test_bad_requests(asked, words):
    with pytest.raises(EquipoiseError) as caught:
        read_request(asked, "request 3")
    check(caught.value, "E_PAIR", words, "request 3")


# --- the section in params.yaml ---------------------------------------------------------------------------------------

SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown format": ({"format": "xml"}, "format"),
    "an unknown split": ({"split": "author"}, "split"),
    "a project in two splits": (
        {"validation_projects": ("a",), "test_projects": ("a", "b")}, "must not stand among"),
    "only tests are held out": ({"test_projects": ("a",)}, "both be given"),
    "projects with a split by file": (
        {"split": "file", "validation_projects": ("a",), "test_projects": ("b",)}, "must be empty"),
    "half of it tests": ({"test_share": 0.5}, "test_share"),
    "no validation": ({"validation_share": 0.0}, "validation_share"),
    "no vocabulary": ({"vocabulary": 100}, "vocabulary"),
    "no focal method": ({"focal_tokens": 0}, "focal_tokens"),
    "true rows": ({"embedded_rows": True}, "embedded_rows"),
    "two embedded projects": ({"embedded_projects": 2}, "embedded_projects"),
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_bad_settings(name):
    changes, words = SETTINGS[name]
    with pytest.raises(ValueError, match=words):
        AssertionsData(**{**section().data.model_dump(), **changes})


def check(error: EquipoiseError, code: str, words: str, place: str) -> None:
    assert error.code == code, error
    assert error.exit_code == Exit.BAD_DATA
    assert words in str(error), error
    assert place in error.place
    assert "\n" not in str(error) and len(str(error)) < 700
    assert error.hint
