"""The speller finds exactly the words within two edits, as comparing with every word does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.workloads.keyboard.speller import EDITS, distance, fit_speller, leftovers

WORDS = st.lists(st.text("abc", min_size=2, max_size=6), min_size=1, max_size=20, unique=True)


@pytest.mark.parametrize(
    ("left", "right", "edits"),
    [
        ("the", "the", 0),
        ("teh", "the", 1),
        ("tomorow", "tomorrow", 1),
        ("tommorow", "tomorrow", 2),
        ("ca", "abc", 3),
        ("kitten", "sitting", 3),
        ("", "ab", 2),
        ("a", "abcd", 3),
    ],
)
def test_edits_worked_by_hand(left: str, right: str, edits: int) -> None:
    assert distance(left, right) == distance(right, left) == min(edits, EDITS + 1)


def test_leftovers_of_a_short_word() -> None:
    assert leftovers("abc") == {"abc", "ab", "ac", "bc", "a", "b", "c"}
    assert leftovers("a") == {"a", ""}


@settings(max_examples=80, deadline=None)
@given(words=WORDS, typed=st.text("abc", min_size=2, max_size=6))
def test_it_finds_what_comparing_with_every_word_finds(words: list[str], typed: str) -> None:
    speller = fit_speller(words, np.ones(len(words), np.int64), 1)
    expected = [(i, distance(typed, word)) for i, word in enumerate(words) if 0 < distance(typed, word) <= EDITS]
    assert speller.near(typed) == expected


def test_rare_words_and_marks_are_not_corrected_to() -> None:
    words = ["hello", "hallo", "12345"]
    speller = fit_speller(words, np.array([5, 1, 9]), 2)
    assert speller.near("hullo") == [(0, 1)]
    assert speller.near("12346") == []


@pytest.mark.parametrize("typed", ["", "a", "a" * 25])
def test_nothing_one_letter_and_endless_words_have_no_neighbours(typed: str) -> None:
    assert fit_speller(["ab"], np.array([3]), 1).near(typed) == []


def test_no_words_at_all() -> None:
    assert fit_speller([], np.zeros(0, np.int64), 1).near("ab") == []
