"""Pieces: nothing is lost, none reaches beyond a Java token, the same name is the same pieces everywhere."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import EquipoiseError
from components.workloads.assertions import encode
from components.workloads.assertions.java_tokens import canonical, compact, tokens
from tests.workloads.assertions.pair_data import pair

TEXTS = [
    "public int getTotalCount() { return totalCount + 1; }",
    'XMLParser parser = new XMLParser("some text", 25);',
    "assertEquals(25, parser.getTotalCount());",
    "for (int i = 0; i < n; i++) { sum_of_all += values[i]; }",
] * 5
LIMITS = encode.Limits(name=40, focal=10, prefix=12, assertion=9)


@pytest.fixture(scope="module")
def codec():
    return encode.train_codec(TEXTS, 500)


@pytest.mark.parametrize(
    "text",
    [
        *TEXTS[:4],
        'assertEquals("größe 名字 \\u000a", a.b(), 1e-9);',
        "assertTrue(a<b&&c >d);",
        "assertEquals(-1, - -x);",
        '"  two  blanks  "',
        "<eos> <pad> a;",
    ],
)
def test_decoding_gives_the_text_back_in_canonical_spacing(codec, text):
    assert codec.decode(codec.encode(text)) == canonical(text)


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_any_string_literal_survives(codec, text):
    literal = '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r") + '"'
    code = f"assertEquals({literal}, x);"
    assert codec.decode(codec.encode(code)) == canonical(code)


def test_no_piece_reaches_beyond_a_java_token(codec):
    for text in TEXTS[:4]:
        edges = {0}
        for token in tokens(text):
            edges.add(max(edges) + len(token))
        at, found = 0, {0}
        for piece in codec.encode(text):
            at += len(codec.pieces[piece].replace("Ġ", ""))
            found.add(at)
        blanks_in_literals = sum(token.count(" ") for token in tokens(text))
        assert blanks_in_literals or edges <= found


def test_names_are_cut_where_their_words_meet(codec):
    pieces = [codec.pieces[i] for i in codec.encode("getTotalCount")]
    assert pieces == ["get", "Total", "Count"]
    assert list(codec.encode("totalCount"))[-1:] == list(codec.encode("getTotalCount"))[-1:]
    inside = list(codec.encode("x.getTotalCount();"))
    alone = list(codec.encode("getTotalCount"))
    assert any(inside[i : i + 3] == alone for i in range(len(inside)))
    assert [codec.pieces[i] for i in codec.encode("XMLParser")] == ["XML", "Parser"]
    assert [codec.pieces[i] for i in codec.encode("250")] == ["2", "5", "0"]


def test_special_pieces_written_in_a_text_are_text(codec):
    assert min(codec.encode("<bos> <sep>")) > encode.UNK


def test_a_source_has_its_parts_in_order_each_cut_to_its_limit(codec):
    row = pair(focal_code="int size() { " + "f(1); " * 20 + "}", test_prefix="g(2); " * 20 + "h(3);")
    (source,) = encode.sources(codec, [row], ["assertTrue(x);"], LIMITS)
    special = source.ids[source.segments == 0]
    assert list(special) == [encode.BOS, *[encode.SEP] * 4, encode.EOS]
    parts = {name: source.ids[source.segments == i] for i, name in enumerate(encode.SEGMENTS)}
    assert len(parts["focal"]) == 10 and len(parts["prefix"]) == 12
    assert list(parts["focal"]) == list(codec.encode(row.focal_code))[:10]
    assert list(parts["prefix"]) == list(codec.encode(row.test_prefix))[-12:]
    assert codec.decode(parts["retrieved"]) == "assertTrue(x);"
    assert len(parts["prior"]) == 0
    assert source.cut == {"focal", "prefix"}
    assert np.all(np.diff(source.segments[source.segments > 0].astype(int)) >= 0)


def test_what_is_not_there_is_an_empty_part(codec):
    (source,) = encode.sources(codec, [pair(test_class="", focal_class="")], [None], LIMITS)
    assert (source.segments == encode.SEGMENTS.index("retrieved")).sum() == 0
    assert (source.segments == encode.SEGMENTS.index("prior")).sum() > 0


def test_saved_and_loaded_it_is_the_same(codec, tmp_path):
    codec.tokenizer.save(tmp_path / encode.TOKENIZER)
    encode.save_limits(LIMITS, tmp_path / encode.LIMITS)
    loaded = encode.load_codec(tmp_path)
    assert loaded.pieces == codec.pieces and loaded.size == codec.size
    assert list(loaded.encode(TEXTS[1])) == list(codec.encode(TEXTS[1]))
    assert encode.load_limits(tmp_path) == LIMITS


@pytest.mark.parametrize(
    "text", ["", "[]", '{"name": 1}', json.dumps({"name": 0, "focal": 1, "prefix": 1, "assertion": 1})]
)
def test_damaged_limits_are_refused(tmp_path, text):
    (tmp_path / encode.LIMITS).write_text(text)
    with pytest.raises(EquipoiseError, match="limits of a source"):
        encode.load_limits(tmp_path)


def test_compact_is_what_is_encoded(codec):
    assert codec.tokenizer.decode(list(codec.encode("a . b ( 1 , 2 ) ;"))) == compact("a.b(1,2);") == "a.b(1,2);"
