"""The words that a model's pieces can write: which are whole, how each begins, which are near a mistyped one."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.workloads.keyboard.answers import MOST, Ranked
from components.workloads.keyboard.encode import END, Codec
from components.workloads.keyboard.events import Layout
from components.workloads.keyboard.readings import CONFUSIONS, READINGS
from components.workloads.keyboard.speller import Speller, fit_speller
from components.workloads.keyboard.units import Kind, units

SPOKEN = (Kind.WORD, Kind.HAN)
LAST = "\U0010ffff"
Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Lexicon:
    """What may be suggested, sorted by code points.

    Attributes:
        words: [W].
        pieces: [W] the piece that writes each.
        spoken: [W] bool, words of letters and Chinese characters: what stands in the bar above the keys.
        emoji: places of the emoji among them.
        read: letters that Chinese characters are typed by -> places of the characters.
        speller: of the words of letters.
    """

    words: Sequence[str]
    pieces: Numbers
    spoken: NDArray[np.bool_]
    emoji: Numbers
    read: Mapping[str, Numbers]
    speller: Speller

    def begun(self, typed: str, layout: Layout) -> Numbers:
        """Places of the words and characters that begin so; on the Chinese layout letters mean characters read so."""
        read = self.read.get(typed) if layout is Layout.ZH else None
        places = np.arange(*beginning(self.words, typed)) if read is None else read
        return places[self.spoken[places]]

    def near(self, typed: str) -> tuple[Numbers, Numbers]:
        """Places of the words at most two edits away, of a Chinese character those it is mistaken for; their edits."""
        if typed in CONFUSIONS:
            ranges = (beginning(self.words, other) for other in CONFUSIONS[typed])
            found = [(low, 1) for low, high in ranges if low < high]
        else:
            found = self.speller.near(typed)
        return np.array([place for place, _ in found], np.int64), np.array([edits for _, edits in found], np.int64)


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


def lexicon_of(codec: Codec) -> Lexicon:
    """All that the codec's whole pieces write."""
    known = sorted((codec.pieces[piece].removesuffix(END), piece) for piece in np.flatnonzero(codec.whole).tolist())
    words = tuple(word for word, _ in known)
    kinds = [next((unit.kind for unit in units(word)), None) for word in words]
    return Lexicon(
        words=words,
        pieces=np.array([piece for _, piece in known], np.int64),
        spoken=np.array([kind in SPOKEN for kind in kinds], bool),
        emoji=np.array([place for place, kind in enumerate(kinds) if kind is Kind.EMOJI], np.int64),
        read=characters_by_reading(words),
        speller=fit_speller(words, np.ones(len(words), np.int64), 1),
    )


def best(words: Sequence[str], places: Numbers, weights: NDArray[np.floating]) -> Ranked:
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
