"""Finding values by having seen them: the texts each slot had in training, looked up in what was said.

No learning beyond counting; it is the honest floor that a span head has to beat.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from components.workloads.tool_calling.dialogues import ASSISTANT, USER, FoundSpan, Message, Sample, Span

LONGEST = 10  # words, punctuation marks being words
UNSEEN_SHARE = 0.5  # confidence of a closed set's value that training never showed for this slot
WORD = re.compile(r"\w+|[^\w\s]")

Dictionary = Mapping[str, Mapping[str, int]]  # text as words -> slot -> how often


class Mention(NamedTuple):
    """Words `first` to `last` of one message, characters [start, end)."""

    words: int
    start: int
    end: int
    share: float


def bare(name: str) -> str:
    """A slot's name without its service: services share what a city or a date looks like."""
    return name.rpartition(".")[2]


def as_words(text: str) -> str:
    """The form texts are compared in: words in lower case with single blanks."""
    return " ".join(WORD.findall(text.lower()))


class Counts:
    """Gathers a Dictionary from labelled samples; a mention that many samples repeat counts once."""

    def __init__(self) -> None:
        self.texts: dict[str, Counter[str]] = defaultdict(Counter)
        self._conversation = ""
        self._counted: set[tuple[str, Span]] = set()

    def add(self, sample: Sample) -> None:
        labels = sample.labels
        if labels is None:
            return
        if sample.conversation != self._conversation:
            self._conversation, self._counted = sample.conversation, set()
        for name, span in (*labels.slot_spans.items(), *labels.argument_spans.items()):
            text = as_words(sample.history[span.turn].content[span.start : span.end])
            if text and (bare(name), span) not in self._counted:
                self._counted.add((bare(name), span))
                self.texts[text][bare(name)] += 1


class Finder:
    """Looks values up in histories.

    The latest message with a match counts, in it the longest match, of those the last.
    """

    def __init__(self, dictionary: Dictionary) -> None:
        self._dictionary = dictionary
        self._mentions = lru_cache(maxsize=8192)(self._look)

    def find(self, name: str, history: Sequence[Message], values: Iterable[str] = ()) -> FoundSpan | None:
        """The mention of a value of slot `name`; `values` is its closed set, if it has one."""
        slot, closed = bare(name), {as_words(value) for value in values}
        for turn in range(len(history) - 1, -1, -1):
            if history[turn].role not in (USER, ASSISTANT):
                continue
            text = history[turn].content
            best = self._mentions(text).get(slot)
            if closed:
                best = max(
                    (m for m in (best, _closed_mention(text, closed)) if m is not None),
                    key=lambda m: (m.words, m.start),
                    default=None,
                )
            if best is not None:
                return FoundSpan(text[best.start : best.end], turn, best.start, best.end, best.share)
        return None

    def _look(self, text: str) -> dict[str, Mention]:
        """The best mention of each slot in one message."""
        found: dict[str, Mention] = {}
        for words, start, end, phrase in _phrases(text):
            slots = self._dictionary.get(phrase)
            if slots is None:
                continue
            total = sum(slots.values())
            for slot, count in slots.items():
                mention = Mention(words, start, end, (count + 1) / (total + 2))
                if slot not in found or (words, start) > (found[slot].words, found[slot].start):
                    found[slot] = mention
        return found


def _closed_mention(text: str, values: set[str]) -> Mention | None:
    found = [Mention(n, start, end, UNSEEN_SHARE) for n, start, end, phrase in _phrases(text) if phrase in values]
    return max(found, key=lambda m: (m.words, m.start), default=None)


@lru_cache(maxsize=8192)
def _phrases(text: str) -> tuple[tuple[int, int, int, str], ...]:
    """(words, start, end, phrase) of every run of up to LONGEST words of a message."""
    words = [(m.start(), m.end(), m.group().lower()) for m in WORD.finditer(text)]
    return tuple(
        (n, words[i][0], words[i + n - 1][1], " ".join(w for _, _, w in words[i : i + n]))
        for i in range(len(words))
        for n in range(1, min(LONGEST, len(words) - i) + 1)
    )
