"""Where a value stands in a text: characters first, then tokens.

All offsets are Python characters (code points), as the tokenizer's are; Polars string positions are bytes.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

CUT_OFF = (-1, -1)
_CACHED_CHARACTERS = 4_000  # longer messages are folded anew, so that the cache stays small


class Folded(NamedTuple):
    """A text made comparable regardless of case. `origin[i]` is the index in the original of folded character i, with
    the original's length at the end; None when the indices are the same."""

    text: str
    origin: tuple[int, ...] | None


def fold(text: str) -> Folded:
    """Lower case with an index map: `lower()` may lengthen a text ('İ' becomes two characters)."""
    return _fold_cached(text) if len(text) <= _CACHED_CHARACTERS else _fold(text)


def _fold(text: str) -> Folded:
    lower = text.lower()
    if text.isascii():
        return Folded(lower, None)
    if len(lower) == len(text):  # lower() never shortens a character, so no character changed its length
        return Folded(lower.replace("ς", "σ"), None)
    pieces = [character.lower() for character in text]
    origin = [index for index, piece in enumerate(pieces) for _ in piece]
    return Folded("".join(pieces).replace("ς", "σ"), (*origin, len(text)))


_fold_cached = lru_cache(maxsize=4096)(_fold)


def find_span_in_text(text: str, value: str) -> tuple[int, int] | None:
    """The first occurrence of `value` in `text` as whole words, regardless of case.

    Returns:
        (start, end) in characters of the original text, end exclusive; None when it is not there or `value` is blank.
    """
    if len(text) > _CACHED_CHARACTERS:
        return next(spans_in_text(text, value), None)
    return _first_span(text, value)  # the decisions of a conversation ask the same of the same messages


@lru_cache(maxsize=8192)
def _first_span(text: str, value: str) -> tuple[int, int] | None:
    return next(spans_in_text(text, value), None)


def spans_in_text(text: str, value: str) -> Iterator[tuple[int, int]]:
    """All occurrences, from left to right; they may overlap."""
    needle = fold(value.strip()).text
    folded = fold(text)
    hay, origin = folded
    start = hay.find(needle) if needle else -1
    while start >= 0:
        end = start + len(needle)
        if _is_word_edge(hay, start) and _is_word_edge(hay, end):
            if origin is None:
                yield start, end
            elif (start == 0 or origin[start - 1] != origin[start]) and origin[end - 1] != origin[end]:
                yield origin[start], origin[end]
        start = hay.find(needle, start + 1)


def _is_word_edge(text: str, index: int) -> bool:
    """Whether a word may begin or end between characters index - 1 and index."""
    if index <= 0 or index >= len(text):
        return True
    before, after = text[index - 1], text[index]
    if unicodedata.combining(after):
        return False
    if not ((before.isalnum() or before == "_") and (after.isalnum() or after == "_")):
        return True
    return _writes_without_spaces(before) or _writes_without_spaces(after)


def _writes_without_spaces(character: str) -> bool:
    """Thai, Lao, Khmer, Burmese, Chinese and Japanese do not part words by spaces: every place is a possible edge."""
    code = ord(character)
    return code >= 0x0E00 and (
        code <= 0x0EFF
        or 0x1000 <= code <= 0x109F
        or 0x1780 <= code <= 0x17FF
        or 0x3040 <= code <= 0x30FF
        or 0x3400 <= code <= 0x9FFF
        or 0xF900 <= code <= 0xFAFF
        or 0x20000 <= code <= 0x3FFFF
    )


def char_span_to_token_span(offsets: Sequence[tuple[int, int]], start: int, end: int) -> tuple[int, int]:
    """The tokens that cover characters [start, end).

    Args:
        offsets: (start, end) characters of each token of one message in order, without special tokens; a message cut
            by a window has fewer tokens than text.
        start, end: characters of that message, end exclusive, start < end.

    Returns:
        (first, last) token index, both inclusive; (-1, -1) when a part of the span has no token. A token that reaches
        over an edge of the span belongs to it.
    """
    first = bisect_right(offsets, start, key=_token_end)
    last = bisect_left(offsets, end, key=_token_start) - 1
    if first > last or offsets[first][0] > start or offsets[last][1] < end:
        return CUT_OFF
    return first, last


def _token_start(offset: tuple[int, int]) -> int:
    return offset[0]


def _token_end(offset: tuple[int, int]) -> int:
    return offset[1]
