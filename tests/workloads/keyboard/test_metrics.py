"""Heads of score worked by hand, one event at a time."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from components.errors import EquipoiseError
from components.workloads.keyboard.answers import MOST, Prediction
from components.workloads.keyboard.events import Event, Labels, Layout, Task
from components.workloads.keyboard.metrics import (
    HEADS,
    at_threshold,
    differences,
    metrics,
    routing,
    routing_table,
    score,
    threshold,
    validation_metrics,
    values,
)

SETTINGS: Any = SimpleNamespace(resamples=200, confidence=0.9, seed=5)


def event(
    task: Task, target: str, typed: str = "", layout: Layout = Layout.EN, needed: Layout = Layout.EN, **changes: Any
) -> Event:
    language = Layout.EN if target[:1].isascii() and target[:1].isalpha() else None
    labels = Labels(task, needed, target, language, changes.pop("clean", False))
    made = Event("m/0", "u", "u", "embedded", "en", (), "so ", typed, layout, labels)
    return replace(made, **changes)


def said(task: Task, *words: str, layout: Layout = Layout.EN, **changes: Any) -> Prediction:
    ranked = tuple((word, 0.5 / (i + 1)) for i, word in enumerate(words))
    chances = tuple(float(one == task) for one in Task)
    made = Prediction(ranked, (), (), task, chances, layout, tuple(float(one == layout) for one in Layout))
    return replace(made, **changes)


def judged(asked: Event, answer: Prediction) -> dict[str, float]:
    return values(score([asked], [answer]))


def test_a_suggestion_is_judged_by_its_first_word() -> None:
    asked = event(Task.SUGGESTION, "See you soon")
    found = judged(asked, said(Task.SUGGESTION, "you", "see"))
    assert found["next_word/top1"] == 0
    assert found["next_word/top3"] == 1
    assert not {"completion/top1", "correction/accuracy", "correction/kept", "emoji/accuracy"} & set(found)


def test_a_mark_or_a_digit_is_no_next_word_but_a_layout() -> None:
    found = judged(event(Task.SUGGESTION, "7 pm", needed=Layout.NUM), said(Task.SUGGESTION, "7", layout=Layout.NUM))
    assert "next_word/top1" not in found
    assert found["layout/accuracy"] == found["layout/switch"] == 1
    assert "layout/consistency" not in found


def test_a_completion_among_three_and_the_fourth() -> None:
    asked = event(Task.COMPLETION, "Tomorrow", "to")
    assert judged(asked, said(Task.COMPLETION, "to", "today", "tomorrow"))["completion/top3"] == 1
    assert judged(asked, said(Task.COMPLETION, "a", "b", "c", "tomorrow"))["completion/top3"] == 0


def test_a_correction_must_be_made_and_be_right() -> None:
    asked = event(Task.ERROR, "the", "teh")
    right, wrong = (("the", 0.9),), (("tea", 0.9),)
    made = said(Task.ERROR, "the", corrections=right)
    assert judged(asked, made)["correction/accuracy"] == judged(asked, made)["correction/seen"] == 1
    missed = said(Task.COMPLETION, "tehran", corrections=right)
    assert judged(asked, missed)["correction/accuracy"] == judged(asked, missed)["correction/seen"] == 0
    assert judged(asked, missed)["correction/candidate"] == 1
    assert judged(asked, said(Task.ERROR, "tea", corrections=wrong))["correction/accuracy"] == 0


def test_right_words_are_spoiled_only_by_another_word() -> None:
    asked = event(Task.COMPLETION, "liao", "liao", clean=True)
    assert judged(asked, said(Task.ERROR, "liar"))["correction/kept"] == 0
    assert judged(asked, said(Task.ERROR, "liao"))["correction/kept"] == 1
    assert judged(asked, said(Task.ERROR))["correction/kept"] == 1
    found = judged(asked, said(Task.COMPLETION, "liao"))
    assert found["correction/kept"] == 1
    assert "completion/top1" not in found


def test_layouts_consistency_and_agreement() -> None:
    asked = event(Task.SUGGESTION, "hi", layout=Layout.ZH)
    found = judged(asked, said(Task.SUGGESTION, "你", layout=Layout.EN))
    assert (found["layout/switch"], found["layout/consistency"], found["layout/agreement"]) == (1, 1, 0)
    found = judged(asked, said(Task.SUGGESTION, "你", layout=Layout.ZH))
    assert (found["layout/switch"], found["layout/consistency"], found["layout/agreement"]) == (0, 0, 1)
    assert "layout/agreement" not in judged(asked, said(Task.SUGGESTION, "hi", layout=Layout.SYM))


def test_emoji_are_ranked_apart() -> None:
    asked = event(Task.SUGGESTION, "😂 see", needed=Layout.EMOJI)
    found = judged(asked, said(Task.SUGGESTION, "haha", emoji=(("❤", 0.6), ("😂", 0.4))))
    assert (found["emoji/accuracy"], found["emoji/top3"], found["emoji/macro_f1"]) == (0, 1, 0)


def test_macro_f1_worked_by_hand() -> None:
    labels, answers = "😂😂😂❤❤☀", "😂😂❤❤❤😂"
    events = [
        replace(event(Task.SUGGESTION, label, needed=Layout.EMOJI), id=f"m/{i}", conversation=str(i))
        for i, label in enumerate(labels)
    ]
    frame = score(events, [said(Task.SUGGESTION, emoji=((answer, 1.0),)) for answer in answers])
    # F1: 😂 2*2/(3+3), ❤ 2*2/(3+2), ☀ 0
    expected = (2 / 3 + 4 / 5 + 0) / 3
    assert values(frame)["emoji/macro_f1"] == pytest.approx(expected)
    found = metrics(frame, SETTINGS)["test/emoji/macro_f1"]
    assert found.value == pytest.approx(expected)
    assert found.low <= found.value <= found.high


def test_nothing_to_suggest_judges_task_and_layout_alone() -> None:
    found = judged(event(Task.SUGGESTION, "", needed=Layout.NUM), said(Task.SUGGESTION))
    assert set(found) == {"task/accuracy", "layout/accuracy", "layout/switch"}
    assert found["layout/accuracy"] == 0


def test_an_event_without_labels_cannot_be_judged() -> None:
    with pytest.raises(EquipoiseError, match="E_LABELS"):
        score([replace(event(Task.SUGGESTION, "a"), labels=None)], [said(Task.SUGGESTION)])


def test_metrics_and_differences_of_the_same_are_nothing() -> None:
    events = [replace(event(Task.SUGGESTION, "hi"), id=f"m/{i}", conversation=str(i % 4)) for i in range(12)]
    frame = score(events, [said(Task.SUGGESTION, "hi" if i % 3 else "ho") for i in range(12)])
    found = metrics(frame, SETTINGS)
    assert found["test/next_word/top1"].value == pytest.approx(8 / 12)
    assert {key.removeprefix("test/") for key in found} <= set(HEADS)
    assert all(each.value == each.low == each.high == 0 for each in differences(frame, frame, SETTINGS).values())
    assert metrics(frame.clear(), SETTINGS) == {}
    with pytest.raises(ValueError, match="same samples"):
        differences(frame, frame[::-1], SETTINGS)


def test_the_objective_is_the_mean_of_what_is_defined() -> None:
    frame = score([event(Task.SUGGESTION, "hi")], [said(Task.SUGGESTION, "hi", layout=Layout.NUM)])
    assert validation_metrics(frame)["objective"] == 0.5
    assert validation_metrics(frame.clear())["objective"] == 0.0


def test_few_events_tell_no_epoch_from_another() -> None:
    words = [replace(event(Task.SUGGESTION, "hi"), id=f"w/{i}") for i in range(100)]
    pictures = [replace(event(Task.SUGGESTION, "👍", needed=Layout.EMOJI), id=f"e/{i}") for i in range(99)]
    answers = [said(Task.SUGGESTION, "hi")] * 100 + [said(Task.SUGGESTION, emoji=(("👍", 1.0),))] * 99
    few = validation_metrics(score(words + pictures, answers))
    assert few["objective"] == pytest.approx((few["next_word/top3"] + few["layout/accuracy"]) / 2)
    assert few["emoji/top3"] == 1.0
    more = validation_metrics(score([*words, *pictures, pictures[0]], [*answers, answers[-1]]))
    assert more["objective"] == pytest.approx((1.0 + more["layout/accuracy"] + 1.0) / 3)
    alone = validation_metrics(score(pictures[:9], answers[-9:]))
    assert alone["objective"] == pytest.approx((alone["layout/accuracy"] + 1.0) / 2)


def test_routing_worked_by_hand() -> None:
    rows = [(1.0, 0.0, 0.0, 0.0, 0.0), (0.5, 0.5, 0.0, 0.0, 0.0)]
    events = [event(Task.SUGGESTION, "hi"), replace(event(Task.SUGGESTION, "hi"), id="n/0")]
    frame = score(events, [said(Task.SUGGESTION, "hi", experts=row) for row in rows])
    found = routing(frame)
    mean = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25)) / math.log(5)
    assert found == pytest.approx(
        {"least": 0.0, "most": 0.75, "entropy": mean, "entropy_each": math.log(2) / math.log(5) / 2}
    )
    assert validation_metrics(frame)["experts/least"] == 0
    assert routing_table(frame).row(0)[:3] == ("EN", 2, 0.75)
    assert routing(score(events, [said(Task.SUGGESTION)] * 2)) == {}


def test_a_threshold_spoils_no_more_than_allowed() -> None:
    clean = [replace(event(Task.COMPLETION, "word", "word", clean=True), id=f"c/{i}") for i in range(100)]
    slips = [replace(event(Task.ERROR, "the", "teh"), id=f"e/{i}") for i in range(2)]
    chances = [i / 100 for i in range(100)] + [0.99, 0.2]
    answers = [
        said(Task.COMPLETION, "x", task_probabilities=(p, 1 - p, 0.0), corrections=(("the", 1.0),)) for p in chances
    ]
    frame = score(clean + slips, answers)
    least = threshold(frame, 0.05)
    assert least is not None
    assert least == 0.94
    assert at_threshold(frame, least) == pytest.approx({"accuracy": 0.5, "false_corrections": 0.05})
    assert threshold(frame.filter(~pl.col("clean")), 0.05) is None


def test_the_rank_of_what_is_not_there() -> None:
    assert said(Task.SUGGESTION, "a", "b").rank("b") == 1
    assert said(Task.SUGGESTION).rank("b") == MOST
    assert said(Task.SUGGESTION).first == ""
