"""The words that a model knows: which are whole pieces, how each begins and is typed, which are near a mistyped one."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from components.workloads.keyboard.answers import MOST, Ranked
from components.workloads.keyboard.confusions import Meant
from components.workloads.keyboard.encode import END, Codec
from components.workloads.keyboard.events import LANGUAGES, Event, Layout
from components.workloads.keyboard.ngram import Ngram
from components.workloads.keyboard.readings import CONFUSIONS, READINGS
from components.workloads.keyboard.speller import Speller, fit_speller
from components.workloads.keyboard.units import Kind, needed_layouts, units

SPOKEN = (Kind.WORD, Kind.HAN)
LETTERS = len(Layout)  # stands for the layout of letters that is shown
FEWEST = 2  # times a word must stand in training to be corrected to
LAST = "\U0010ffff"
Numbers = NDArray[np.int64]


class Named(Protocol):
    """Words by their numbers."""

    def __getitem__(self, number: int, /) -> str: ...


@dataclass(frozen=True, eq=False)
class Lexicon:
    """Everything that may come next, sorted by code points.

    Attributes:
        words: [W] those that a piece writes whole, and those that were counted.
        places: word -> where it stands.
        written: [P] places of the first, and `pieces`: [P] what writes each.
        counted: language -> [V] place of each word of its n-gram.
        times: [W] how often each was counted.
        layouts: [W] the layout that each is typed on, LETTERS for marks that both layouts of letters have.
        spoken: [W] bool, words of letters and Chinese characters: what stands in the bar above the keys.
        emoji: places of the emoji among them.
        read: letters that Chinese characters are typed by -> places of the characters.
        speller: of the words of letters that are no accident.
        confused: a Chinese character -> places of those that are meant when it is typed wrongly.
    """

    words: tuple[str, ...]
    places: Mapping[str, int]
    written: Numbers
    pieces: Numbers
    counted: Mapping[str, Numbers]
    times: Numbers
    layouts: Numbers
    spoken: NDArray[np.bool_]
    emoji: Numbers
    read: Mapping[str, Numbers]
    speller: Speller
    confused: Mapping[str, Numbers]

    def place(self, word: str) -> int:
        """Where a word stands, -1 for one that is not there."""
        return self.places.get(word, -1)

    def begun(self, typed: str, layout: Layout) -> Numbers:
        """Places of the words and characters that begin so; on the Chinese layout letters mean characters read so."""
        read = self.read.get(typed) if layout is Layout.ZH else None
        places = np.arange(*beginning(self.words, typed)) if read is None else read
        return places[self.spoken[places]]

    def near(self, typed: str) -> tuple[Numbers, Numbers]:
        """Places of the words at most two edits away, of a Chinese character those it is mistaken for; their edits."""
        meant = self.confused.get(typed)
        found = self.speller.near(typed) if meant is None else [(place, 1) for place in meant.tolist()]
        return np.array([place for place, _ in found], np.int64), np.array([edits for _, edits in found], np.int64)

    def emoji_columns(self, named: Sequence[str]) -> tuple[list[int], list[int]]:
        """Which of the named emoji the lexicon has, and the place of each of those in `emoji`."""
        column = {int(at): i for i, at in enumerate(self.emoji)}
        found = [(i, column.get(self.place(one), -1)) for i, one in enumerate(named)]
        kept = [(i, at) for i, at in found if at >= 0]
        return [i for i, _ in kept], [at for _, at in kept]


def beginning(words: Sequence[str], prefix: str) -> tuple[int, int]:
    """The range [low, high) of the sorted words with this beginning; every word begins with ""."""
    return bisect_left(words, prefix), bisect_left(words, prefix + LAST)


def characters_by_reading(words: Sequence[str]) -> dict[str, Numbers]:
    """Letters that Chinese characters are typed by, from the first on -> places of the characters."""
    read: dict[str, list[int]] = defaultdict(list)
    for place, word in enumerate(words):
        reading = READINGS.get(word, "")
        for end in range(1, len(reading) + 1):
            read[reading[:end]].append(place)
    return {letters: np.array(places, np.int64) for letters, places in read.items()}


def lexicon_of(codec: Codec, counts: Mapping[str, Ngram], meant: Meant) -> Lexicon:
    """All that the codec's whole pieces write and the n-grams know; `meant`: by mistyped characters in training."""
    piece = {codec.pieces[number].removesuffix(END): number for number in np.flatnonzero(codec.whole).tolist()}
    words = tuple(sorted(piece.keys() | set(chain.from_iterable(known.words for known in counts.values()))))
    place = {word: at for at, word in enumerate(words)}
    kinds = [next((unit.kind for unit in units(word)), None) for word in words]
    counted = {
        language: np.array([place[word] for word in known.words], np.int64) for language, known in counts.items()
    }
    times = np.zeros(len(words), np.int64)
    for language, known in counts.items():
        times[counted[language]] += known.counts
    return Lexicon(
        words=words,
        places=place,
        written=np.array(sorted(place[word] for word in piece), np.int64),
        pieces=np.array([piece[word] for word in sorted(piece)], np.int64),
        counted=counted,
        times=times,
        layouts=np.array([layout_of(word) for word in words], np.int64),
        spoken=np.array([kind in SPOKEN for kind in kinds], bool),
        emoji=np.array([at for at, kind in enumerate(kinds) if kind is Kind.EMOJI], np.int64),
        read=characters_by_reading(words),
        speller=fit_speller(words, times, FEWEST) if counts else fit_speller(words, np.ones_like(times), 1),
        confused=_confused(place, meant),
    )


def _confused(place: Mapping[str, int], meant: Meant) -> dict[str, Numbers]:
    """Characters of the same sound, and what was meant in training, as far as they are known."""
    found: dict[str, Numbers] = {}
    for typed in CONFUSIONS.keys() | meant.keys():
        known = {place.get(one, -1) for one in (*CONFUSIONS.get(typed, ""), *meant.get(typed, ()))}
        if places := sorted(known - {-1}):
            found[typed] = np.array(places, np.int64)
    return found


def layout_of(word: str) -> int:
    """The layout that a word is typed on, LETTERS for a mark that both layouts of letters have."""
    english, chinese = (needed_layouts(units(word), language) for language in LANGUAGES)
    return int(english[0]) if english == chinese else LETTERS


def typed_on(layouts: Numbers, shares: NDArray[np.floating], event: Event) -> NDArray[np.float64]:
    """[5] how much of what may come next is typed on each layout; marks on the layout of letters that is shown.

    Args:
        layouts: [W] of `layout_of`.
        shares: [W] probabilities.
    """
    found = np.bincount(layouts, shares, LETTERS + 1)
    own = Layout(LANGUAGES.index(event.language))
    found[event.layout if event.layout in (Layout.EN, Layout.ZH) else own] += found[LETTERS]
    known = found[:LETTERS]
    total = float(known.sum())
    return known / total if total > 0 else np.eye(LETTERS)[own]  # nothing was ever read in this language


def best(words: Named, places: Numbers, weights: NDArray[np.floating]) -> Ranked:
    """The MOST words of the greatest weights, the first of equals, with their shares of all weights.

    Args:
        places: [N] in `words`.
        weights: [N], not negative.
    """
    total = float(weights.sum())
    if not total > 0:
        return ()
    kept = np.argpartition(-weights, MOST)[:MOST] if len(weights) > MOST else np.arange(len(weights))
    ranked = kept[np.lexsort((places[kept], -weights[kept]))]
    return tuple((words[int(places[i])], float(weights[i]) / total) for i in ranked if weights[i] > 0)
