"""Finding values by having seen them: the texts each slot had in training, looked up in what was said.

No learning beyond counting; it is the honest floor that a span head has to beat.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    """Gathers a Dictionary from labelled samples; a mention that many samples repeat counts once.

    Where a value is said in several messages, `first` and `last` count how often the first and the last one was meant.
    """

    def __init__(self) -> None:
        self.texts: dict[str, Counter[str]] = defaultdict(Counter)
        self.first = self.last = 0
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
                self._count_place(sample.history, span)

    def _count_place(self, history: Sequence[Message], span: Span) -> None:
        text = history[span.turn].content[span.start : span.end].lower()
        turns = [i for i in _spoken(history, backwards=False) if text in history[i].content.lower()]
        if len(turns) > 1:
            self.first += span.turn == turns[0]
            self.last += span.turn == turns[-1]


class Finder:
    """Looks values up in histories.

    The latest message with a match has the value, in it the longest match, of those the last. The span is that very
    mention, or with `latest` off the first place where the same value was said.
    """

    def __init__(self, dictionary: Dictionary, latest: bool) -> None:
        self._dictionary = dictionary
        self._latest = latest
        self._mentions = lru_cache(maxsize=8192)(self._look)

    def find(self, name: str, history: Sequence[Message], values: Iterable[str] = ()) -> FoundSpan | None:
        """The mention of a value of slot `name`; `values` is its closed set, if it has one."""
        slot, closed = bare(name), {as_words(value) for value in values}
        for turn in _spoken(history, backwards=True):
            text = history[turn].content
            best = self._mentions(text).get(slot)
            if closed:
                found = [Mention(n, s, e, UNSEEN_SHARE) for n, s, e, phrase in _phrases(text) if phrase in closed]
                found += [best] if best is not None else []
                best = max(found, key=_order) if found else None
            if best is not None:
                span = FoundSpan(text[best.start : best.end], turn, best.start, best.end, best.share)
                return span if self._latest else _first_place(span, history)
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
                if slot not in found or _order(mention) > _order(found[slot]):
                    found[slot] = mention
        return found


def _order(mention: Mention) -> tuple[int, int]:
    return mention.words, mention.start


def _spoken(history: Sequence[Message], backwards: bool) -> Iterator[int]:
    """Indices of what user and assistant said."""
    turns = range(len(history))
    return (i for i in (reversed(turns) if backwards else turns) if history[i].role in (USER, ASSISTANT))


def _first_place(span: FoundSpan, history: Sequence[Message]) -> FoundSpan:
    wanted = as_words(span.text)
    for turn in _spoken(history, backwards=False):
        text = history[turn].content
        for _, start, end, phrase in _phrases(text):
            if phrase == wanted:
                return FoundSpan(text[start:end], turn, start, end, span.confidence)
    return span


@lru_cache(maxsize=8192)
def _phrases(text: str) -> tuple[tuple[int, int, int, str], ...]:
    """(words, start, end, phrase) of every run of up to LONGEST words of a message."""
    words = [(m.start(), m.end(), m.group().lower()) for m in WORD.finditer(text)]
    return tuple(
        (n, words[i][0], words[i + n - 1][1], " ".join(w for _, _, w in words[i : i + n]))
        for i in range(len(words))
        for n in range(1, min(LONGEST, len(words) - i) + 1)
    )
