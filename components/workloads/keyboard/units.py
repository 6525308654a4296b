"""Text as a keyboard sees it: words, Chinese characters, digits, emoji and marks, and the layout that each needs."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from components.workloads.keyboard.events import LANGUAGES, Layout


class Kind(Enum):
    """What a unit is: a word of letters, one Chinese character, one digit, one emoji, a placeholder, one other mark."""

    WORD = "word"
    HAN = "han"
    DIGIT = "digit"
    EMOJI = "emoji"
    PLACE = "place"
    MARK = "mark"


_KINDS = {kind.value: kind for kind in Kind}


class Unit(NamedTuple):
    """Characters [start, end) of a clean text."""

    text: str
    start: int
    end: int
    kind: Kind


PLACES = ("<#>", "<decimal>", "<time>", "<date>", "<name>", "<email>", "<url>", "@user")
"""What stands for private data in published messages, folded. Each is one piece and none is ever suggested."""

NUMERIC_PLACES = frozenset(PLACES[:4])
REMEMBERED = 400  # characters of a text whose units are kept for the next time: what a stranger sends must not add up
SHARED_MARKS = frozenset(".,?!'’，。？！、…")
"""Marks that both layouts of letters have: they need no switch."""

_HAN = "\u2e80-\u2fdf\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_LETTER = rf"(?:(?![{_HAN}])[^\W\d_])"
_PICTURE = (
    "[\u203c\u2049\u231a-\u23ff\u2600-\u27bf\u2934\u2935\u2b05-\u2b55\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]"
)
_TONED = rf"{_PICTURE}[\U0001f3fb-\U0001f3ff]?"
_EMOJI = rf"[\U0001f1e6-\U0001f1ff]{{2}}|{_TONED}(?:\u200d{_TONED})*"
_UNIT = re.compile(
    r"(?P<place><(?:#|decimal|time|date|name|email|url)>|@user\b|https?(?:://\S+|\b))"
    rf"|(?P<emoji>{_EMOJI})|(?P<han>[{_HAN}])|(?P<word>{_LETTER}+(?:['’]{_LETTER}+)*)|(?P<digit>\d)"
    r"|(?P<mark>[^\s\u200d])",
    re.IGNORECASE,
)
_UNSEEN = re.compile("[\u00ad\u034f\u061c\u180e\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_SURROGATE = re.compile("[\ud800-\udfff]")


def clean_text(text: str) -> str:
    """The text in composed form (NFC) on one line, without what is never typed: zero-width characters, direction marks,
    control characters, and variation selectors, of which some data sets left those of emoji that they took away.

    Lone surrogates become U+FFFD. Joiners inside an emoji stay.
    """
    text = _UNSEEN.sub("", _SURROGATE.sub("\ufffd", text))
    return unicodedata.normalize("NFC", _CONTROL.sub(" ", text)).strip()


def units(text: str) -> tuple[Unit, ...]:
    """The units of a clean text in order; blanks belong to none."""
    return _remembered(text) if len(text) <= REMEMBERED else tuple(_units(text))


@functools.lru_cache(maxsize=4096)
def _remembered(text: str) -> tuple[Unit, ...]:
    return tuple(_units(text))


def _units(text: str) -> Iterator[Unit]:
    for found in _UNIT.finditer(text):
        yield Unit(found.group(), found.start(), found.end(), _KINDS[found.lastgroup or ""])


def fold(unit: Unit) -> str:
    """The unit as vocabulary and scores know it: small letters, straight apostrophes, placeholders by their name."""
    if unit.kind is Kind.PLACE and unit.text.lower().startswith("http"):
        return "<url>"
    return fold_text(unit.text)


def folded(text: str) -> tuple[str, ...]:
    """The units of a clean text, folded."""
    return _folded(text) if len(text) <= REMEMBERED else tuple(fold(unit) for unit in _units(text))


@functools.lru_cache(maxsize=1 << 14)  # a history has hundreds of texts, and is asked about at every key
def _folded(text: str) -> tuple[str, ...]:
    return tuple(fold(unit) for unit in units(text))


def fold_text(text: str) -> str:
    """Small letters and straight apostrophes: two words are the same when this is."""
    return text.lower().replace("’", "'")


_LAYOUTS = {Kind.WORD: Layout.EN, Kind.HAN: Layout.ZH, Kind.DIGIT: Layout.NUM, Kind.EMOJI: Layout.EMOJI}


def needed_layouts(of: Sequence[Unit], language: str) -> list[Layout]:
    """The layout that each unit of a message is typed on.

    Marks that both layouts of letters have need the one shown last, at first that of the message's language.
    """
    letters = Layout(LANGUAGES.index(language))
    found = []
    for unit in of:
        need = _layout(unit, letters)
        if need in (Layout.EN, Layout.ZH):
            letters = need
        found.append(need)
    return found


def _layout(unit: Unit, letters: Layout) -> Layout:
    if unit.kind is Kind.PLACE:
        return Layout.NUM if unit.text.lower() in NUMERIC_PLACES else Layout.EN
    if unit.kind is Kind.MARK:
        return letters if unit.text in SHARED_MARKS else Layout.SYM
    return _LAYOUTS[unit.kind]


def language_of(text: str) -> Layout | None:
    """EN or ZH by the script of a text's first unit; None for other scripts, digits, marks, emoji and no text."""
    first = next(_units(text), None)
    if first is None or first.kind not in (Kind.WORD, Kind.HAN):
        return None
    if first.kind is Kind.HAN:
        return Layout.ZH
    return Layout.EN if unicodedata.name(first.text[0], "").startswith("LATIN") else None
