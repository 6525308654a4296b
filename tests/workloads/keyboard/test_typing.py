"""Pseudo-labels: where events stand, what they say, and how words go wrong."""

from __future__ import annotations

import itertools
import random

import pytest

from components.workloads.keyboard.events import Layout, Task
from components.workloads.keyboard.messages import Given, Message, events_of
from components.workloads.keyboard.readings import CONFUSIONS, READINGS
from components.workloads.keyboard.slips import NEIGHBOURS, slip
from components.workloads.keyboard.typing_events import Habits, with_moments

ALL = Habits(seed=1, completion=0.999, error=0.999, clean=0.999, confusions=CONFUSIONS, readings=READINGS)
NOTHING = Habits(seed=1, completion=0.0, error=0.0, clean=0.0)


def message(text: str, language: str = "en", **changes) -> Message:
    return Message("m", "u", "lines", language, text, **changes)


def typed(text: str, habits: Habits, language: str = "en", **changes):
    return list(events_of(with_moments(message(text, language, **changes), habits)))


def test_neighbours_touch():
    assert sorted(NEIGHBOURS["g"]) == sorted("fhtyvb")
    assert sorted(NEIGHBOURS["q"]) == sorted("wa")
    assert all(key in NEIGHBOURS[other] for key, near in NEIGHBOURS.items() for other in near)


def test_a_slip_changes_one_thing():
    chance = random.Random(0)
    for _ in range(300):
        made = slip("Market", chance)
        assert made and made.lower() != "market" and abs(len(made) - 6) <= 1
    assert slip("зъ", random.Random(1)) != "зъ" and slip("aa", random.Random(3)) != "aa"


def test_suggestions_stand_every_five_units_and_at_the_start():
    words = [f"w{chr(97 + i)}" for i in range(17)]
    events = typed(" ".join(words), NOTHING)
    at = [len(event.before.split()) for event in events]
    assert at[0] == 0 and all(b - a == 5 for a, b in itertools.pairwise(at[1:])) and 0 < at[1] <= 5
    assert {event.labels.task for event in events} == {Task.SUGGESTION}
    assert events[0].labels.target == " ".join(words[:5])
    assert events[-1].labels.target == " ".join(words[at[-1] :][:5])
    assert all(event.typed == "" and not event.labels.clean for event in events)


# whether there is an event must not tell what comes: places are drawn before the units are looked at
def test_places_do_not_depend_on_what_stands_there():
    plain = [m.start for m in with_moments(message("a b c d e f g h i j k"), NOTHING).moments]
    full = [m.start for m in with_moments(message("a 1 ❤ % 我 f 7 ❤ ) j 2"), NOTHING).moments]
    assert plain == full


def test_every_kind_of_event_of_a_word():
    events = typed("hello", ALL)
    kinds = {(event.labels.task, event.labels.clean): event for event in events}
    assert len(events) == len(kinds) == 4 and (Task.SUGGESTION, False) in kinds
    assert all(event.labels.target == "hello" and event.before == "" for event in events)
    begun, wrong = kinds[Task.COMPLETION, False].typed, kinds[Task.ERROR, False].typed
    assert "hello".startswith(begun) and 0 < len(begun) < 5
    assert wrong != "hello" and kinds[Task.COMPLETION, True].typed == "hello"


def test_chinese_is_typed_in_letters_and_mistaken_for_what_sounds_the_same():
    kinds = {(e.labels.task, e.labels.clean): e for e in typed("在", ALL, "zh")}
    assert "zai".startswith(kinds[Task.COMPLETION, False].typed)
    assert kinds[Task.ERROR, False].typed in CONFUSIONS["在"] and "再" in CONFUSIONS["在"]
    assert {event.layout for event in kinds.values()} == {Layout.ZH}
    unknown = [(e.labels.task, e.labels.clean) for e in typed("夔", ALL, "zh")]  # nobody said how it is typed
    assert unknown == [(Task.COMPLETION, True), (Task.SUGGESTION, False)]


def test_layouts_switch_at_suggestions_alone():
    events = typed("5pm", ALL)
    first = events[0]
    assert (first.layout, first.labels.next_layout, first.switch) == (Layout.EN, Layout.NUM, True)
    assert first.labels.target_language is None
    assert all(not event.switch for event in events if event.labels.task is not Task.SUGGESTION)


def test_placeholders_are_never_suggested():
    before, *_ = typed("<#> is it", NOTHING)
    assert before.labels.target == "" and before.labels.next_layout is Layout.NUM
    assert typed("ok <#> is it", NOTHING)[0].labels.target == "ok"


def test_known_misspellings_are_used():
    habits = Habits(seed=1, completion=0, error=0.999, clean=0, misspellings={"the": ["teh"]})
    wrong = {e.typed for i in range(40) for e in typed("The", habits) if e.labels.task is Task.ERROR}
    several = {
        m.typed
        for i in range(40)
        for m in with_moments(Message(str(i), "u", "lines", "en", "The"), habits).moments
        if m.task is Task.ERROR
    }
    assert len(wrong) == 1 and "teh" in several and len(several) > 1  # of the id alone


def test_what_a_source_labels_is_kept_and_nothing_is_drawn():
    given = (Given(Task.ERROR, 3, 4, "在"), Given(Task.COMPLETION, 3, 4, "再"))
    made = with_moments(message("我们，再见", "zh", given=given), ALL)
    found = [(m.task, m.start, m.typed, m.clean) for m in made.moments]
    assert found == [(Task.ERROR, 3, "在", False), (Task.COMPLETION, 3, "再", True)]
    assert made.labelled


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_seed_gives_the_same_events(seed):
    habits = Habits(seed=seed, completion=0.5, error=0.5, clean=0.5)
    texts = [f"some words to type number {i} and more of them" for i in range(20)]
    assert [typed(text, habits) for text in texts] == [typed(text, habits) for text in texts]
    other = Habits(seed=seed + 1, completion=0.5, error=0.5, clean=0.5)
    assert [typed(text, habits) for text in texts] != [typed(text, other) for text in texts]
