"""JSON that Python would mend in silence is refused with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data import strict_json
from components.errors import EquipoiseError, Exit

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_what_the_standard_library_writes_is_read_back(value: object, ascii_only: bool) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8")
    assert strict_json.loads(raw, "x") == value


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        (b"", "must be JSON"),
        (b"{", "must be JSON"),
        (b"{} {}", "must be JSON"),
        (b"{'a': 1}", "must be JSON"),
        (b'{"a": 1, "a": 2}', "a key must stand once"),
        (b'[{"b": {"a": 1, "c": 0, "a": 1}}]', "a key must stand once"),
        (b"[NaN]", "finite"),
        (b"[-Infinity]", "finite"),
        (b"[1e999]", "finite"),
        (b"1" * 5000, "at most 400 digits"),
        (b"[" * 10_000 + b"]" * 10_000, "nested"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "nested"),
        (b"[" * 65 + b"]" * 65, "nested"),
        (b'"\\ud800"', "whole characters"),
        (b'{"\\udc00x": 1}', "whole characters"),
        (b'"\xff"', "UTF-8"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ('{"a": 1}'.encode("utf-16"), "byte order mark"),
        (b'"a\x00b"', "must be JSON"),
        (b'"\xed\xa0\x80"', "UTF-8"),
    ],
)
def test_refused(raw: bytes, rule: str) -> None:
    with pytest.raises(EquipoiseError) as caught:
        strict_json.loads(raw, "file.json:7")
    assert caught.value.exit_code == Exit.BAD_DATA
    assert str(caught.value).startswith("E_JSON file.json:7: ")
    assert rule in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_deepest_allowed_value_passes_and_brackets_in_text_do_not_count() -> None:
    assert strict_json.loads(b"[" * 64 + b"]" * 64, "x")
    assert strict_json.loads(json.dumps("[{" * 500).encode(), "x") == "[{" * 500


def test_a_paired_surrogate_is_one_character() -> None:
    assert strict_json.loads(b'"\\ud83d\\ude42"', "x") == "🙂"


def test_size_is_limited_before_parsing(tmp_path: Path) -> None:
    path = tmp_path / "big.json"
    path.write_bytes(b"[" + b"1," * 100 + b"1]")
    with pytest.raises(EquipoiseError, match="at most 50 bytes"):
        strict_json.read(path, max_bytes=50)
    assert strict_json.read(path) == [1] * 101


def test_no_file_and_a_folder_are_missing_input(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(EquipoiseError) as caught:
            strict_json.read(path)
        assert caught.value.exit_code == Exit.MISSING_INPUT


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_in_one_line(raw: bytes) -> None:
    try:
        value = strict_json.loads(raw, "x")
    except EquipoiseError as error:
        assert error.exit_code == Exit.BAD_DATA and "\n" not in str(error)
    else:
        json.dumps(value, allow_nan=False)
