"""Lines that people hand over: each with its place, and every way in which a file of them can be wrong."""

from __future__ import annotations

import gzip

import pytest

from components.data.json_lines import read_lines
from components.errors import EquipoiseError, Exit, bad_data


def refuse(place, rule, got, hint):
    return bad_data(place, rule, got=got, hint=hint, code="TOY")


def test_blank_lines_count_but_are_not_given(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\n{"a": 1}\r\n  \n[2]')
    assert list(read_lines(path, 100, refuse)) == [({"a": 1}, f"{path}:2"), ([2], f"{path}:4")]


def test_a_gzipped_file_is_read_as_its_text(tmp_path):
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b"1\n2\n"))
    assert [value for value, _ in read_lines(path, 100, refuse)] == [1, 2]


@pytest.mark.parametrize("ending", [b"", b"\n"])
def test_the_limit_is_of_one_line(tmp_path, ending):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'"' + b"a" * 8 + b'"\n' + b'"' + b"b" * 7 + b'"' + ending)
    assert [value for value, _ in read_lines(path, 11, refuse)] == ["a" * 8, "b" * 7]
    with pytest.raises(EquipoiseError, match=r"E_JSON .*rows\.jsonl:1: .*at most 9 bytes"):
        list(read_lines(path, 9, refuse))


@pytest.mark.parametrize("damage", [lambda raw: raw[:-9], lambda raw: b"not gzip", lambda raw: raw[:12] + raw[14:]])
def test_a_damaged_archive_is_refused_in_the_words_of_the_workload(tmp_path, damage):
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(damage(gzip.compress(b'{"a": "a longer line, so that there is something to damage"}\n' * 3)))
    with pytest.raises(EquipoiseError, match=r"E_TOY .*whole gzip file") as caught:
        list(read_lines(path, 100, refuse))
    assert caught.value.exit_code == Exit.BAD_DATA


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_a_file_without_a_line_is_refused(tmp_path, content):
    (tmp_path / "rows.jsonl").write_bytes(content)
    with pytest.raises(EquipoiseError, match=r"E_TOY .*at least one line"):
        list(read_lines(tmp_path / "rows.jsonl", 100, refuse))


def test_a_file_that_cannot_be_opened_is_missing(tmp_path):
    for path in (tmp_path / "nowhere.jsonl", tmp_path):
        with pytest.raises(EquipoiseError, match=r"E_MISSING .*readable file") as caught:
            list(read_lines(path, 100, refuse))
        assert caught.value.exit_code == Exit.MISSING_INPUT
