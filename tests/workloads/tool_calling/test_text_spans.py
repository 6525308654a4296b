"""Where values stand: case, lengths that change, word edges, and tokens that a window cut off."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.workloads.tool_calling.text_spans import (
    char_span_to_token_span,
    find_span_in_text,
    fold,
    spans_in_text,
)

LETTERS = st.text(alphabet="aAbB2_ .-", max_size=30)
ANY = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=40)


@pytest.mark.parametrize(
    ("text", "value", "span"),
    [
        ("Find a table in San Jose, please", "san jose", (16, 24)),
        ("12 people at 2 pm", "2", (13, 14)),  # not inside 12
        ("two tables for two", "two", (0, 3)),  # first occurrence
        ("Vé 2 chiều", "CHIỀU", (5, 10)),
        ("İzmir to Ankara", "ankara", (9, 15)),  # İ lowers to two characters; offsets are of the original
        ("from İzmİr now", "İZMİR", (5, 10)),
        ("straße", "STRASSE", None),  # lower(), not case folding: ß is not ss
        ("ΟΔΟΣ 5", "οδος", (0, 4)),  # final sigma
        ("我想去北京吃饭", "北京", (3, 5)),  # no spaces between words
        ("cafe\u0301 open", "cafe", None),  # the accent belongs to the word
        ("cost: $40.", "$40", (6, 9)),
        ("snake_case", "snake", None),
        ("  padded  ", " padded ", (2, 8)),
        ("anything", "", None),
        ("anything", "   ", None),
        ("", "x", None),
        ("🙂 ok 🙂", "ok", (2, 4)),
        ("مرحبا بك", "بك", (6, 8)),
    ],
)
def test_hand_worked_spans(text: str, value: str, span: tuple[int, int] | None) -> None:
    assert find_span_in_text(text, value) == span


@given(LETTERS, LETTERS)
def test_equals_the_plain_regular_expression(text: str, value: str) -> None:
    needle = value.strip().lower()
    if not needle:
        assert find_span_in_text(text, value) is None
        return
    before = r"(?<!\w)" if re.match(r"\w", needle[0]) else ""
    after = r"(?!\w)" if re.match(r"\w", needle[-1]) else ""
    match = re.search(before + re.escape(needle) + after, text.lower())
    assert find_span_in_text(text, value) == (match.span() if match else None)


@given(ANY, ANY, ANY)
def test_a_value_between_spaces_is_found_and_reads_the_same(before: str, value: str, after: str) -> None:
    text = f"{before} {value} {after}"
    span = find_span_in_text(text, value)
    if not value.strip():
        assert span is None
    elif span is not None:
        assert fold(text[span[0] : span[1]]).text == fold(value.strip()).text
        assert (span[0], span[1]) == next(spans_in_text(text, value))


@given(ANY)
def test_the_index_map_points_at_the_character_that_made_each_piece(text: str) -> None:
    folded = fold(text)
    origin = folded.origin or tuple(range(len(text) + 1))
    assert len(origin) == len(folded.text) + 1
    assert origin[-1] == len(text)
    assert list(origin) == sorted(origin)
    assert all(
        folded.text[i].replace("σ", "ς") in text[origin[i]].lower().replace("σ", "ς") for i in range(len(folded.text))
    )


def test_a_long_message_is_searched_too() -> None:
    text = "İ" * 30_000 + " Ankara"
    assert find_span_in_text(text, "ankara") == (30_001, 30_007)


OFFSETS = [(0, 4), (4, 5), (5, 9), (9, 13)]  # "Find", " ", "a ta", "ble "


@pytest.mark.parametrize(
    ("start", "end", "span"),
    [
        (0, 4, (0, 0)),
        (0, 5, (0, 1)),
        (3, 6, (0, 2)),  # a token that reaches over an edge belongs
        (9, 13, (3, 3)),
        (9, 14, (-1, -1)),  # cut off by the window
        (13, 15, (-1, -1)),
        (0, 13, (0, 3)),
    ],
)
def test_token_spans_are_inclusive(start: int, end: int, span: tuple[int, int]) -> None:
    assert char_span_to_token_span(OFFSETS, start, end) == span


def test_a_message_whose_beginning_is_cut_off_or_that_has_no_tokens() -> None:
    assert char_span_to_token_span(OFFSETS[2:], 4, 9) == (-1, -1)
    assert char_span_to_token_span(OFFSETS[2:], 5, 9) == (0, 0)
    assert char_span_to_token_span([], 0, 1) == (-1, -1)


def test_several_tokens_of_one_character_all_belong() -> None:
    emoji = [(0, 1), (0, 1), (0, 1), (1, 2)]  # a byte-level tokenizer splits one emoji into bytes
    assert char_span_to_token_span(emoji, 0, 1) == (0, 2)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.data())
def test_token_spans_cover_the_characters(lengths: list[int], data: st.DataObject) -> None:
    offsets, at = [], 0
    for length in lengths:
        offsets.append((at, at + length))
        at += length
    start = data.draw(st.integers(0, at - 1))
    end = data.draw(st.integers(start + 1, at))
    expected = [i for i, (s, e) in enumerate(offsets) if s < end and e > start]
    assert char_span_to_token_span(offsets, start, end) == (expected[0], expected[-1])
