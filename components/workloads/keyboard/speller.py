"""The cheap correction: known words at most two edits away, found by what is left when letters are taken out.

Symmetric deletes (Garbe's SymSpell): two words are within n edits only if some text is left of both when at most n
letters are taken out of each. An edit is a letter dropped, added, changed or swapped with its neighbour (optimal string
alignment). Left-overs are kept as 32-bit checksums in one sorted array, a collision being found out by the distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

EDITS = 2
SHORTEST = 2  # letters: a single one is near everything
LONGEST = 24  # letters of a word that is corrected, or corrected to


@dataclass(frozen=True, eq=False)
class Speller:
    """Words that can be corrected to.

    Attributes:
        words: the vocabulary.
        sums: [N] uint32 checksums of left-overs, rising.
        owners: [N] int32 the number of the word each is left of.
    """

    words: Sequence[str]
    sums: NDArray[np.uint32]
    owners: NDArray[np.int32]

    def near(self, typed: str) -> list[tuple[int, int]]:
        """(number of a word, its edits from `typed`) for all known words within EDITS, `typed` itself left out."""
        if not SHORTEST <= len(typed) <= LONGEST:
            return []
        asked = np.array([crc32(text.encode()) for text in leftovers(typed)], np.uint32)
        low, high = (np.searchsorted(self.sums, asked, side=side) for side in ("left", "right"))
        found: set[int] = set()
        for start, end in zip(low.tolist(), high.tolist(), strict=True):
            found.update(self.owners[start:end].tolist())
        edits = ((number, distance(typed, self.words[number])) for number in sorted(found))
        return [(number, count) for number, count in edits if 0 < count <= EDITS]


def fit_speller(words: Sequence[str], counts: NDArray[np.integer], minimum: int) -> Speller:
    """Knows the words of letters that occur at least `minimum` times.

    Args:
        counts: [V] of each word.
    """
    sums, owners = [], []
    for number in np.flatnonzero(np.asarray(counts) >= minimum).tolist():
        word = words[number]
        if SHORTEST <= len(word) <= LONGEST and word[0].isalpha():
            left = leftovers(word)
            sums += [crc32(text.encode()) for text in left]
            owners += [number] * len(left)
    order = np.lexsort((np.array(owners, np.int32), np.array(sums, np.uint32)))
    return Speller(words, np.array(sums, np.uint32)[order], np.array(owners, np.int32)[order])


def leftovers(word: str) -> set[str]:
    """The word without any EDITS letters, or fewer."""
    found = set()
    for taken in range(min(EDITS, len(word)) + 1):
        for places in combinations(range(len(word)), taken):
            found.add("".join(letter for i, letter in enumerate(word) if i not in places))
    return found


def distance(left: str, right: str, most: int = EDITS) -> int:
    """Edits between two words, swaps of neighbours counting one; most + 1 stands for anything above `most`."""
    if abs(len(left) - len(right)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, start=1):
        earlier, before, row = before, row, [i]
        for j, b in enumerate(right, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return min(row[-1], most + 1)
