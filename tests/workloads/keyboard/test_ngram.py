"""The n-gram against numbers worked by hand and against its definition, word by word."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import EquipoiseError
from components.workloads.keyboard.ngram import files, fit_ngram, load_ngram

SAID = [["a", "b"], ["a", "b"], ["a", "c"]]
MESSAGES = st.lists(st.lists(st.sampled_from("abcd"), max_size=6), min_size=1, max_size=8)


def naive(messages: list[list[str]], order: int, before: list[str], word: str) -> float:
    """The recursion as it stands in the module's description, by counting whole lists."""
    vocabulary = sorted({each for message in messages for each in message})
    padded = [["<s>"] * (order - 1) + message for message in messages]

    def share(context: tuple[str, ...]) -> float:
        if not context:
            counts = Counter(each for message in messages for each in message)
            return (counts[word] + len(counts) / len(vocabulary)) / (counts.total() + len(counts))
        following = Counter(
            message[i]
            for message in padded
            for i in range(order - 1, len(message))
            if tuple(message[i - len(context) : i]) == context
        )
        shorter = share(context[1:])
        if not following:
            return shorter
        return (following[word] + len(following) * shorter) / (following.total() + len(following))

    return share(tuple((["<s>"] * (order - 1) + before)[-(order - 1) :]))


def test_a_bigram_worked_by_hand() -> None:
    model = fit_ngram(SAID, 2)
    assert model.words == ("a", "b", "c")
    behind_a = model.distribution(["a"])
    assert behind_a == pytest.approx([(2 * 4 / 9) / 5, (2 + 2 * 3 / 9) / 5, (1 + 2 * 2 / 9) / 5])
    assert model.distribution([])[0] == pytest.approx((3 + 4 / 9) / 4)


@settings(max_examples=60, deadline=None)
@given(messages=MESSAGES, before=st.lists(st.sampled_from("abcde"), max_size=4), order=st.integers(2, 4))
def test_it_is_its_definition(messages: list[list[str]], before: list[str], order: int) -> None:
    model = fit_ngram(messages, order)
    found = model.distribution(before)
    if not model.words:
        assert len(found) == 0
        return
    unknown = max((i for i, word in enumerate(before) if word not in model.words), default=-1)
    if unknown >= 0:  # contexts reach back to the unknown word and not beyond it
        shorter = before[unknown + 1 :][-(order - 1) :]
        expected = fit_ngram(messages, order).distribution(["e", *shorter])
        assert found == pytest.approx(expected)
    else:
        assert found == pytest.approx([naive(messages, order, before, word) for word in model.words])
    assert found.sum() == pytest.approx(1.0)


def test_a_hidden_word_is_read_and_marked() -> None:
    model = fit_ngram([["<#>", "pm"], ["at", "<#>"]], 3, hidden=["<#>"])
    assert [word for word, hidden in zip(model.words, model.hidden, strict=True) if hidden] == ["<#>"]
    assert model.distribution(["<#>"])[model.number("pm")] > model.distribution(["at"])[model.number("pm")]


def test_rare_runs_leave_their_share_to_shorter_contexts() -> None:
    whole, pruned = fit_ngram(SAID, 2), fit_ngram(SAID, 2, fewest=[2])
    assert pruned.levels[0].words.tolist() == [0, 1]  # a at the beginning, b behind a; c but once
    lower = whole.counts + 3 / 3
    behind_a = lower / lower.sum() * (1 - 2 / 5)
    behind_a[1] += 2 / 5
    assert pruned.distribution(["a"]) == pytest.approx(behind_a)
    assert pruned.distribution(["a"]).sum() == pytest.approx(1.0)


def test_saving_keeps_every_number(tmp_path: Path) -> None:
    model = fit_ngram(SAID, 4, hidden=["c"])
    model.save(tmp_path, "one")
    again = load_ngram(tmp_path, "one")
    assert again.words == model.words
    assert np.array_equal(again.hidden, model.hidden)
    for before in ([], ["a"], ["a", "b"], ["x"]):
        assert np.array_equal(again.distribution(before), model.distribution(before))


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    fit_ngram(SAID, 2).save(tmp_path, "one")
    words, arrays = files("one")
    (tmp_path / words).write_text('["a", "b"]')
    with pytest.raises(EquipoiseError, match="E_MODEL"):
        load_ngram(tmp_path, "one")
    (tmp_path / words).write_text('["a", "b", "c"]')
    (tmp_path / arrays).write_bytes(b"nothing")
    with pytest.raises(EquipoiseError, match="E_MODEL"):
        load_ngram(tmp_path, "one")


def test_an_order_that_fits_no_key_is_refused() -> None:
    with pytest.raises(ValueError, match="order"):
        fit_ngram(SAID, 5)
