"""Reading and writing rows."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import EquipoiseError
from components.workloads.assertions.fields import labelled
from components.workloads.assertions.jsonl import read_jsonl, to_line
from tests.workloads.assertions.pair_data import row, write_rows


def test_every_field_is_read_and_what_can_be_computed_is(tmp_path):
    path = write_rows(tmp_path / "rows.jsonl", [row(licence="MIT", focal_path="src/Stack.java", note="mine")])
    (pair,) = read_jsonl(path)
    assert (pair.project, pair.test_name, pair.focal_method) == ("alpha", "testSize", "size")
    assert (pair.assert_type, pair.n_prior_asserts) == ("assertEquals", 1)
    assert pair.prior == "assertEquals ( 0 , stack . size ( ) ) ;"
    assert pair.test == "alpha/src/test/java/alpha/StackTest.java#StackTest.testSize"
    assert (pair.licence, pair.focal_path, len(pair.id)) == ("MIT", "src/Stack.java", 12)


def test_a_folder_is_read_by_name_also_gzipped(tmp_path):
    write_rows(tmp_path / "b.jsonl", [row(project="b")])
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(json.dumps(row(project="a")).encode() + b"\n\n"))
    (tmp_path / "notes.txt").write_text("no rows")
    assert [pair.project for pair in read_jsonl(tmp_path)] == ["a", "b"]


def test_a_written_line_is_read_as_the_same_pair(tmp_path):
    pair = labelled(row(test_prefix='String s = "名 \\u000a";\n\n  f(s);', licence="Apache-2.0"), "here")
    (tmp_path / "rows.jsonl").write_text(to_line(pair), "utf-8")
    assert list(read_jsonl(tmp_path)) == [pair]
    # void-free counts: Java tokens of focal method, prefix and assertion
    assert json.loads(to_line(pair))["n_tok"] == [10, 10, 11]


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='"\\'), max_size=20))
def test_any_string_in_a_prefix_survives(text):
    pair = labelled(row(test_prefix=f'f("{text}");'), "here")
    assert labelled(json.loads(to_line(pair)), "again") == pair


def test_the_place_names_file_and_line(tmp_path):
    path = write_rows(tmp_path / "rows.jsonl", [row(), row(test_name="")])
    with pytest.raises(EquipoiseError, match=r"rows\.jsonl:2: test_name must be present") as caught:
        list(read_jsonl(path))
    assert caught.value.exit_code == 65
