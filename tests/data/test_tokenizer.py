"""Offsets are characters of the original string in any alphabet; training is repeatable; text is never control."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.tokenizer import BOS, EOM, PAD, SPECIALS, TextTokenizer, load_tokenizer, train_tokenizer
from components.errors import EquipoiseError, Exit

TEXTS = ["I would like to book a table for two in San Jose at 11:30 am", "Which city?", "Find me a flight to São Paulo"]
TOKENIZER = train_tokenizer(TEXTS * 4, 400)


def pieces(text: str) -> list[str]:
    found = TOKENIZER.encode_with_offsets(text)
    return [text[s:e] for s, e in zip(found.starts, found.ends, strict=True)]


def test_words_have_their_own_offsets_without_the_blank_before():
    found = TOKENIZER.encode_with_offsets("book a table")
    assert found.starts[0] == 0 and found.ends[-1] == len("book a table")
    assert "".join(pieces("book a table")) == "bookatable"
    assert TOKENIZER.decode(found.ids.tolist()) == "book a table"


@pytest.mark.parametrize(
    "text", ["😀 ok 👨‍👩‍👧", "日本語 text 東京", "e\u0301te\u0301 a\u0308", "İstanbul ß Σ", "مرحبا\u200f b", "a\x00b"]
)
def test_split_characters_keep_whole_offsets(text):
    found = TOKENIZER.encode_with_offsets(text)
    assert TOKENIZER.decode(found.ids.tolist()) == text
    covered = {i for s, e in zip(found.starts, found.ends, strict=True) for i in range(s, e)}
    assert covered >= {i for i, c in enumerate(text) if c != " "}


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=60))
def test_offsets_ascend_and_cover_every_character(text):
    found = TOKENIZER.encode_with_offsets(text)
    assert found.ids.dtype == found.starts.dtype == found.ends.dtype == np.int32
    assert (np.diff(found.starts) >= 0).all() and (np.diff(found.ends) >= 0).all()
    assert (found.starts < found.ends).all()
    assert (found.ends <= len(text)).all()
    covered = {i for s, e in zip(found.starts, found.ends, strict=True) for i in range(s, e)}
    assert covered >= {i for i, c in enumerate(text) if c != " "}
    assert TOKENIZER.decode(found.ids.tolist()) == text


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(max_size=20), max_size=8))
def test_a_batch_equals_one_by_one(texts):
    for together, text in zip(TOKENIZER.encode(texts), texts, strict=True):
        alone = TOKENIZER.encode_with_offsets(text)
        assert together.ids.tolist() == alone.ids.tolist()
        assert together.starts.tolist() == alone.starts.tolist()


def test_special_tokens_in_a_text_are_text():
    found = TOKENIZER.encode_with_offsets("<pad><bos> <eom>")
    assert not set(found.ids.tolist()) & {PAD, BOS, EOM}
    assert TOKENIZER.decode(found.ids.tolist()) == "<pad><bos> <eom>"


def test_lone_surrogates_do_not_move_offsets():
    found = TOKENIZER.encode_with_offsets("a\ud800 table")
    assert found.starts[-1] >= 3 and found.ends[-1] == 8


def test_training_twice_gives_the_same_bytes(tmp_path):
    train_tokenizer(iter(TEXTS * 4), 400).save(tmp_path / "again.json")
    TOKENIZER.save(tmp_path / "first.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "first.json").read_bytes()


def test_a_loaded_tokenizer_encodes_alike(tmp_path):
    TOKENIZER.save(tmp_path / "tokenizer.json")
    loaded = load_tokenizer(tmp_path / "tokenizer.json")
    for text in [*TEXTS, "<pad> 😀"]:
        assert loaded.encode_with_offsets(text).ids.tolist() == TOKENIZER.encode_with_offsets(text).ids.tolist()


def test_special_tokens_stand_first_and_the_size_is_kept():
    assert [TOKENIZER.inner.token_to_id(name) for name in SPECIALS] == [0, 1, 2, 3]
    assert 260 <= TOKENIZER.size <= 400


def test_no_texts_still_encode_bytes():
    empty = train_tokenizer([], 300)
    assert isinstance(empty, TextTokenizer)
    assert empty.decode(empty.encode_with_offsets("né").ids.tolist()) == "né"


def test_wrong_files_are_refused(tmp_path):
    with pytest.raises(EquipoiseError) as absent:
        load_tokenizer(tmp_path / "none.json")
    assert absent.value.exit_code == Exit.MISSING_INPUT
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(EquipoiseError) as bad:
        load_tokenizer(tmp_path / "bad.json")
    assert bad.value.exit_code == Exit.BAD_DATA
    TOKENIZER.save(tmp_path / "t.json")
    (tmp_path / "t.json").write_text((tmp_path / "t.json").read_text().replace("<eom>", "<end>"))
    with pytest.raises(EquipoiseError, match="must start with"):
        load_tokenizer(tmp_path / "t.json")
