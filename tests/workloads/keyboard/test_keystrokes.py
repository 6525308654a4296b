"""Keys saved, counted by hand with a keyboard that knows a fixed list of words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from components.workloads.keyboard.answers import Prediction
from components.workloads.keyboard.events import Event, Labels, Layout, Task
from components.workloads.keyboard.keystrokes import (
    keystroke_differences,
    keystroke_metrics,
    type_words,
    words_of,
)
from components.workloads.keyboard.looking import nearest_own, one_a_message

SETTINGS: Any = SimpleNamespace(resamples=100, confidence=0.9, seed=5)


@dataclass(frozen=True)
class Listed:
    """Suggests the first words of a list that begin as typed."""

    words: tuple[str, ...]

    def predict(self, samples: Sequence[Event], given: Sequence[Any] | None = None) -> list[Prediction]:
        return [self._answer(event) for event in samples]

    def _answer(self, event: Event) -> Prediction:
        found = [word for word in self.words if word.startswith(event.typed)][:10]
        ranked = tuple((word, 1 / len(found)) for word in found)
        return Prediction(ranked, (), (), Task.SUGGESTION, (0.0, 0.0, 1.0), Layout.EN, (1.0, 0.0, 0.0, 0.0, 0.0))


def suggestion(number: int, before: str, target: str, language: str = "en") -> Event:
    labels = Labels(Task.SUGGESTION, Layout.EN, target, None)
    return Event(f"m{number}/0", "u", f"u{number}", "embedded", language, (), before, "", Layout.EN, labels)


def test_each_word_behind_the_right_text() -> None:
    found = words_of([suggestion(0, "so ", "See you, 2 you")], 10, seed=1)
    assert [(word.event.before, word.text) for word in found] == [
        ("so ", "see"),
        ("so See ", "you"),
        ("so See you, 2 ", "you"),
    ]
    assert found[2].event.layout == Layout.NUM
    assert all(word.event.labels is None for word in found)


def test_a_place_is_typed_once_and_no_more_than_asked() -> None:
    overlapping = [suggestion(0, "", "a b c"), replace(suggestion(0, "a ", "b c d"), id="m0/1")]
    found = words_of(overlapping, 10, seed=1)
    assert sorted(word.text for word in found) == ["a", "b", "c", "d"]
    assert len(words_of(overlapping, 2, seed=1)) == 2


def test_other_events_and_other_units_are_stepped_over() -> None:
    event = suggestion(0, "", "hi")
    assert event.labels is not None
    completion = replace(event, typed="h", labels=replace(event.labels, task=Task.COMPLETION))
    assert words_of([completion], 10, seed=1) == []
    assert [word.text for word in words_of([suggestion(1, "", "好a吗", "zh")], 10, seed=1)] == ["好", "吗"]


def test_keys_worked_by_hand() -> None:
    model = Listed(("the", "to", "a", "tomorrow", "today", "tonight"))
    frame = type_words(model, words_of([suggestion(0, "", "to tomorrow tonight xyz")], 10, seed=1))
    by_word = {row["word"]: row for row in frame.iter_rows(named=True)}
    # to: second of three before any key: 1 key. tomorrow: the third behind t. tonight: third behind to. xyz: all + 1.
    assert [by_word[w]["keys"] for w in ("to", "tomorrow", "tonight", "xyz")] == [1, 2, 3 + 1, 4]
    assert [by_word[w]["keys_without"] for w in ("to", "tomorrow", "tonight", "xyz")] == [3, 9, 8, 4]
    found = keystroke_metrics(frame, SETTINGS)
    assert found["en/top1"].value == 0
    assert found["en/top3"].value == pytest.approx(1 / 4)
    assert found["en/keys_saved"].value == pytest.approx(1 - 11 / 24)


def test_chinese_characters_have_no_keys() -> None:
    frame = type_words(Listed(("好", "吗")), words_of([suggestion(0, "", "吗好", "zh")], 10, seed=1))
    assert set(keystroke_metrics(frame, SETTINGS)) == {"zh/top1", "zh/top3"}


def test_a_model_less_itself_is_nothing() -> None:
    events = [suggestion(i, "", "to the tomorrow") for i in range(4)]
    good, bad = (type_words(Listed(words), words_of(events, 99, seed=1)) for words in (("to", "the"), ()))
    assert all(each.value == 0 for each in keystroke_differences(good, good, SETTINGS).values())
    assert keystroke_differences(good, bad, SETTINGS)["en/top1"].value == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="same words"):
        keystroke_differences(good, bad[::-1], SETTINGS)


def test_nearest_own_within_groups() -> None:
    left = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.6, 0.8]])
    right = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [0.8, 0.6]])
    assert nearest_own(left, right, 2).tolist() == [1, 1, 0, 1]
    assert nearest_own(left, right, 4).tolist() == [1, 0, 0, 0]


def test_one_event_with_a_screen_a_message() -> None:
    screen = np.zeros((96, 64), np.uint8)
    seen = [replace(suggestion(i, "", "a"), screen=screen) for i in (0, 0, 1)]
    seen[1] = replace(seen[1], id="m0/1")
    assert [event.id for event in one_a_message([suggestion(7, "", "a"), *seen])] == ["m0/0", "m1/0"]
