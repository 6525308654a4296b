"""The vocabulary, and messages as rows."""

from __future__ import annotations

import numpy as np
import pytest

from components.errors import EquipoiseError, Exit
from components.workloads.keyboard.encode import BOS, SEP, UNK, VOCABULARY, load_codec, train_codec
from components.workloads.keyboard.events import Event, Layout
from components.workloads.keyboard.rows import Limits, context, request_row, typed_bytes

TEXTS = ["hello there", "hello you", "你好 hello", "你好吗？", "at 5 or 15", "so good ❤", "so so ❤", "<#> of <#>"] * 3


@pytest.fixture(scope="module")
def codec():
    return train_codec(TEXTS, 300)


def pieces(codec, text: str) -> list[str]:
    return [codec.pieces[at] for at in codec.encode(text)]


def test_whole_units_end_their_word(codec):
    assert pieces(codec, "Hello 你 5 ❤ <#>") == ["hello</w>", "你</w>", "5</w>", "❤</w>", "<#>"]
    assert codec.whole[[codec.pieces.index(p) for p in ("hello</w>", "你</w>", "5</w>", "❤</w>")]].all()
    assert not codec.whole[[codec.pieces.index(p) for p in ("<#>", "<pad>", "h")]].any()


def test_an_unseen_word_is_spelled_and_an_unseen_character_unknown(codec):
    parts = pieces(codec, "the")
    assert "".join(parts) == "the</w>" and len(parts) > 1
    assert codec.encode("夔 ж ☎").tolist() == [UNK, UNK, UNK]


# a piece that ends a word is only whole where it is that word's whole spelling
def test_whole_pieces_are_spelled_by_themselves(codec):
    for at in np.flatnonzero(codec.whole):
        assert codec.encode(codec.pieces[at].removesuffix("</w>")).tolist() == [at]


def test_the_same_texts_give_the_same_vocabulary(codec, tmp_path):
    assert train_codec(TEXTS, 300).pieces == codec.pieces
    codec.save(tmp_path / VOCABULARY)
    again = load_codec(tmp_path)
    assert again.pieces == codec.pieces and (again.whole == codec.whole).all()
    assert again.encode("hello the 你").tolist() == codec.encode("hello the 你").tolist()


@pytest.mark.parametrize("content", ["", "[]", '{"singles": [], "words": {"a": 0}, "merges": [["a", "b"]]}'])
def test_a_damaged_vocabulary(tmp_path, content):
    with pytest.raises(EquipoiseError) as caught:
        load_codec(tmp_path)
    assert caught.value.exit_code == Exit.MISSING_INPUT
    (tmp_path / VOCABULARY).write_text(content)
    with pytest.raises(EquipoiseError) as caught:
        load_codec(tmp_path)
    assert caught.value.exit_code == Exit.BAD_DATA


def test_a_vocabulary_of_the_smallest_size_keeps_to_it():
    many = [f"{chr(0x4E00 + i)} word{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(500)] * 2
    small = train_codec(many, 300)
    assert small.size == 300 and sum(p.endswith("</w>") and len(p) == 5 and p > "一" for p in small.pieces) > 100


# history is whole messages from the end as far as they fit, at least the end of the last
def test_context(codec):
    hello, there, you = (codec.encode(w) for w in ("hello", "there", "you"))
    history = ("hello there", "hello you")
    last = [*hello, *you, SEP]
    assert context(codec, history, Limits(2, 64)).tolist() == [BOS, *hello, *there, SEP, *last]
    assert context(codec, history, Limits(1, 64)).tolist() == [BOS, *last]
    assert context(codec, history, Limits(2, len(last) + 1)).tolist() == [BOS, *last]
    assert context(codec, history, Limits(2, len(you) + 1)).tolist() == [BOS, *you, SEP]
    assert context(codec, history, Limits(0, 64)).tolist() == [BOS]
    assert context(codec, history, Limits(2, 0)).tolist() == [BOS]
    assert context(codec, history, Limits(2, 1)).tolist() == [BOS]
    assert context(codec, ("",), Limits(2, 64)).tolist() == [BOS]


def test_a_request_is_read_as_the_row_it_would_be_in(codec):
    event = Event("r", "", "r", "request", "en", ("hello",), "hello you ", "th", Layout.EN)
    row = request_row(codec, event, Limits(2, 16)).tolist()
    assert row == [BOS, *codec.encode("hello"), SEP, *codec.encode("hello you")]


def test_typed_bytes():
    assert typed_bytes("Ab")[:3].tolist() == [98, 99, 0]
    assert typed_bytes("我")[:4].tolist() == [0xE6 + 1, 0x88 + 1, 0x91 + 1, 0]
    assert typed_bytes("x" * 40).tolist() == [ord("x") + 1] * 24
