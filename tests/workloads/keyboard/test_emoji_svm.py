"""Machines for emoji learn what stands before each, and are the same after saving."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.errors import EquipoiseError
from components.workloads.keyboard.emoji_svm import ARRAYS, TERMS, fit_emoji, grams, load_emoji

TEXTS = ["happy birthday to you", "happy birthday dear", "so sad today", "very sad and cold", "i love you", "love it"]
EMOJI = ["🎂", "🎂", "😢", "😢", "❤", "❤"]


def test_grams_are_folded_units_and_pairs() -> None:
    assert grams("Hi You 2") == ["hi", "you", "2", "hi you", "you 2"]


def test_it_learns_and_ranks_all() -> None:
    model = fit_emoji(TEXTS, EMOJI, 1.0)
    ranked = model.rank(["happy birthday", "sad", "love"])
    assert [row[0][0] for row in ranked] == ["🎂", "😢", "❤"]
    for row in ranked:
        assert sorted(one for one, _ in row) == sorted(set(EMOJI))
        assert sum(share for _, share in row) == pytest.approx(1.0)


@pytest.mark.parametrize("classes", [3, 2, 1, 0])
def test_saving_keeps_every_answer(tmp_path: Path, classes: int) -> None:
    model = fit_emoji(TEXTS[: 2 * classes], EMOJI[: 2 * classes], 1.0)
    model.save(tmp_path)
    asked = ["happy birthday", "sad", "", "nothing known"]
    assert load_emoji(tmp_path).rank(asked) == model.rank(asked)
    assert {len(row) for row in model.rank(asked)} == {classes}


def test_the_commonest_emoji_leads_where_no_word_tells() -> None:
    model = fit_emoji(["a", "b", "c"], ["❤", "❤", "😢"], 1.0)
    assert model.rank(["a"])[0][0] == ("❤", pytest.approx(2 / 3))


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    fit_emoji(TEXTS, EMOJI, 1.0).save(tmp_path)
    (tmp_path / TERMS).write_text('{"emoji": ["a"], "terms": []}')
    with pytest.raises(EquipoiseError, match="E_MODEL"):
        load_emoji(tmp_path)
    fit_emoji(TEXTS, EMOJI, 1.0).save(tmp_path)
    (tmp_path / ARRAYS).write_bytes(b"x")
    with pytest.raises(EquipoiseError, match="E_MODEL"):
        load_emoji(tmp_path)
