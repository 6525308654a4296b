"""Where in a message the user is caught typing, and what: the pseudo-labels of all three tasks."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from components.workloads.keyboard.events import LANGUAGES, SUGGESTED, TYPED_BYTES, Layout, Task
from components.workloads.keyboard.messages import Given, Message, Moment
from components.workloads.keyboard.slips import slip
from components.workloads.keyboard.units import Kind, Unit, fold, needed_layouts, units

SHORTEST = 2  # letters of a word that is completed or mistyped
KNOWN = 0.5  # share of a known misspelling where a word has one, before slips of the finger


@dataclass(frozen=True)
class Habits:
    """How typing is imitated.

    Attributes:
        completion, error, clean: shares of the words caught half typed, mistyped, and whole and right.
        misspellings: folded word -> known wrong forms of it, preferred to slips of the finger.
        confusions: Chinese character -> characters it is mistaken for.
        readings: Chinese character -> how it is typed in letters.
    """

    seed: int
    completion: float
    error: float
    clean: float
    misspellings: Mapping[str, Sequence[str]] = field(default_factory=dict)
    confusions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    readings: Mapping[str, str] = field(default_factory=dict)


def with_moments(message: Message, habits: Habits) -> Message:
    """The message with its events, a pure function of its id, its text and the habits.

    Suggestions stand every SUGGESTED units from a drawn one on, and at the start: whether there is an event says
    nothing about what comes. A source's own labels are kept as they are, and then nothing is drawn.
    """
    chance = random.Random(f"{habits.seed}/{message.id}")
    found = units(message.text)
    needed = needed_layouts(found, message.language)
    if message.given:
        moments = [_given(message, found, needed, each) for each in message.given]
    else:
        moments = list(_suggestions(found, needed, message.language, chance))
        for unit, layout in zip(found, needed, strict=True):
            moments += _of_word(unit, layout, habits, chance)
    in_place = tuple(sorted(moments, key=lambda m: (m.start, m.task, m.typed)))
    return replace(message, moments=in_place, labelled=bool(message.given))


def _given(message: Message, found: Sequence[Unit], needed: Sequence[Layout], given: Given) -> Moment:
    at = next(i for i, unit in enumerate(found) if unit.end > given.start)
    shown = needed[at] if given.task is not Task.SUGGESTION else _shown(needed, at, message.language)
    clean = given.task is Task.COMPLETION and given.typed == message.text[given.start : given.end]
    return Moment(given.task, given.start, given.end, given.typed, shown, needed[at], clean)


def _shown(needed: Sequence[Layout], at: int, language: str) -> Layout:
    """The layout that the unit before was typed on; at the start the language's own."""
    return needed[at - 1] if at else Layout(LANGUAGES.index(language))


def _suggestions(
    found: Sequence[Unit], needed: Sequence[Layout], language: str, chance: random.Random
) -> Iterator[Moment]:
    first = chance.randrange(SUGGESTED)
    for at in dict.fromkeys([0, *range(first, len(found), SUGGESTED)]):
        if at < len(found):
            ahead = itertools.takewhile(lambda unit: unit.kind is not Kind.PLACE, found[at : at + SUGGESTED])
            end = max((unit.end for unit in ahead), default=found[at].start)
            yield Moment(Task.SUGGESTION, found[at].start, end, "", _shown(needed, at, language), needed[at])


def _of_word(unit: Unit, layout: Layout, habits: Habits, chance: random.Random) -> Iterator[Moment]:
    """At most one event of each kind for a word or a Chinese character."""
    if unit.kind not in (Kind.WORD, Kind.HAN) or (unit.kind is Kind.WORD and len(unit.text) < SHORTEST):
        return
    half, wrong, whole = (chance.random() < share for share in (habits.completion, habits.error, habits.clean))
    typed = [
        (Task.COMPLETION, _begun(unit, habits, chance) if half else "", False),
        (Task.ERROR, _mistyped(unit, habits, chance) if wrong else "", False),
        (Task.COMPLETION, unit.text if whole else "", True),
    ]
    for task, text, clean in typed:
        if text and len(text.encode()) <= TYPED_BYTES:
            yield Moment(task, unit.start, unit.end, text, layout, layout, clean)


def _begun(unit: Unit, habits: Habits, chance: random.Random) -> str:
    """A beginning of a word, or of how a Chinese character is typed in letters; "" where that is unknown."""
    if unit.kind is Kind.WORD:
        return unit.text[: chance.randrange(1, len(unit.text))]
    reading = habits.readings.get(unit.text, "")
    return reading[: chance.randint(1, len(reading))] if reading else ""


def _mistyped(unit: Unit, habits: Habits, chance: random.Random) -> str:
    """A wrong form; "" where none is known."""
    if unit.kind is Kind.HAN:
        confused = habits.confusions.get(unit.text, ())
        return chance.choice(confused) if confused else ""
    known = habits.misspellings.get(fold(unit), ())
    return chance.choice(known) if known and chance.random() < KNOWN else slip(unit.text, chance)
