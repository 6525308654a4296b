"""How text is cut, cleaned and given to layouts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.workloads.keyboard.events import Layout
from components.workloads.keyboard.units import (
    Kind,
    clean_text,
    fold,
    fold_text,
    language_of,
    needed_layouts,
    units,
)

EN, ZH, SYM, EMOJI, NUM = Layout


def cut(text: str) -> list[str]:
    return [unit.text for unit in units(clean_text(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don’t stop-go 2moro", ["Don’t", "stop", "-", "go", "2", "moro"]),
        ("我7点到ok吗？", ["我", "7", "点", "到", "ok", "吗", "？"]),
        ("<#> at <TIME>, @user", ["<#>", "at", "<TIME>", ",", "@user"]),
        ("see https://a.b/c?d=1 now", ["see", "https://a.b/c?d=1", "now"]),
        ("<b> x", ["<", "b", ">", "x"]),
        ("👍🏽 👨‍👩‍👧🇺🇸❤️", ["👍🏽", "👨‍👩‍👧", "🇺🇸", "❤"]),
        ("naïve Привет", ["naïve", "Привет"]),
        ("cafe\u0301", ["café"]),
        ("", []),
        (" \u200b\ufe0f ", []),
    ],
)  # fmt: skip
def test_units(text, expected):
    assert cut(text) == expected


def test_kinds():
    found = units("Hi <#> 我 5 ❤ %")
    assert [unit.kind for unit in found] == [Kind.WORD, Kind.PLACE, Kind.HAN, Kind.DIGIT, Kind.EMOJI, Kind.MARK]
    assert [(unit.start, unit.end) for unit in found] == [(0, 2), (3, 6), (7, 8), (9, 10), (11, 12), (13, 14)]


def test_cleaning_takes_away_what_is_never_typed_and_keeps_the_rest():
    assert clean_text("\u202eab\u202c c\u0000d\r\ne\u200bf\ufeff\ud83d") == "ab c d ef\ufffd"
    assert clean_text("so ️ ️ much ❤️") == "so   much ❤"
    assert clean_text("👨‍👩‍👧") == "👨‍👩‍👧"


@given(st.text(max_size=60))
def test_units_cover_a_clean_text_but_for_blanks_and_joiners(text):
    clean = clean_text(text)
    assert clean_text(clean) == clean
    rest, end = "", 0
    for unit in units(clean):
        assert clean[unit.start : unit.end] == unit.text and unit.start >= end
        rest += clean[end : unit.start]
        end = unit.end
    rest += clean[end:]
    assert not rest.replace("\u200d", "").strip()
    clean.encode("utf-8")


def test_folding():
    assert fold_text("Don’t") == "don't"
    assert [fold(unit) for unit in units("See HTTP://X.y/z <DECIMAL> I’M")] == ["see", "<url>", "<decimal>", "i'm"]


# each unit's layout: digits and emoji leave the letters, a shared mark comes back to the last ones
def test_needed_layouts():
    assert needed_layouts(units("at 5, ok :) <#> go!"), "en") == [EN, NUM, EN, EN, SYM, SYM, NUM, EN, EN]
    assert needed_layouts(units("我ok，5点。❤"), "zh") == [ZH, EN, EN, NUM, ZH, ZH, EMOJI]
    assert needed_layouts(units("，我"), "zh") == [ZH, ZH]
    assert needed_layouts(units("?"), "en") == [EN]


@pytest.mark.parametrize(
    ("text", "language"),
    [("hello 我", EN), ("我 hello", ZH), ("5 hello", None), ("❤", None), ("", None), ("Привет", None), ("Éa", EN)],
)
def test_language_of(text, language):
    assert language_of(text) == language
