"""What hints at the emoji behind a text: signs that a linear model weighs.

Words, words that stand side by side, runs of letters, the last words, and which emoji the same user sent before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from components.workloads.keyboard.units import Kind, fold, folded, units

RUNS = (3, 4, 5)  # letters of a word, its ends among them
EARLIER = 8  # messages of the history that are searched for emoji


def signs(before: str, history: Sequence[str]) -> Iterator[str]:
    """The signs of a text left of the cursor and of the messages before it; some come twice."""
    found = folded(before)
    for word in found:
        yield f"word {word}"
        bounded = f"<{word}>"
        for length in RUNS:
            yield from (f"run {bounded[i : i + length]}" for i in range(len(bounded) - length + 1))
    yield from (f"pair {left} {right}" for left, right in pairwise(("", *found, "")))
    for text in history[-EARLIER:]:
        yield from (f"sent {fold(unit)}" for unit in units(text) if unit.kind is Kind.EMOJI)
