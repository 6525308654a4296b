"""Where the arguments of a Schema-Guided Dialogue call were said.

The dialogues give canonical values (`2019-03-01`); people said something else ("today"). Four sources tie the two
together, the first that hits wins, and in each the latest mention counts:
1. a span annotated for the same service and slot whose text is one of the value's spellings,
2. a dialogue act whose canonical value equals the argument,
3. the canonical value itself as words of an utterance,
4. any spelling listed in the last dialogue state of the service, or the word for a small number.
Only turns before the call are ever looked at.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from components.workloads.tool_calling.dialogues import Span
from components.workloads.tool_calling.text_spans import spans_in_text

_USER_ACTS = frozenset({"INFORM", "SELECT"})
_SYSTEM_ACTS = frozenset({"OFFER", "CONFIRM", "INFORM"})
# "one" is left out: far more often a pronoun ("that one") than a number.
_WORDS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBER_WORDS = {str(number): word for number, word in enumerate(_WORDS, start=2)}
Key = tuple[str, str]  # service, slot


@dataclass
class Mentions:
    """What the turns so far say about each (service, slot).

    Attributes:
        utterances: (message index, text) of the user's and the assistant's messages, in order.
        spans: annotated spans with their text.
        acts: (message index, value as said, canonical value) of the dialogue acts that state a value.
        states: spellings of the current value in the last dialogue state.
        taken: per message index, the spans of the slots annotated there.
    """

    utterances: list[tuple[int, str]] = field(default_factory=list)
    spans: dict[Key, list[tuple[Span, str]]] = field(default_factory=lambda: defaultdict(list))
    acts: dict[Key, list[tuple[int, str, str]]] = field(default_factory=lambda: defaultdict(list))
    states: dict[Key, tuple[str, ...]] = field(default_factory=dict)
    taken: dict[int, list[tuple[int, int, Key]]] = field(default_factory=lambda: defaultdict(list))

    def add_frame(self, frame: dict[str, Any], turn: int, utterance: str, by_user: bool) -> None:
        """Takes in one frame of a turn that has become history."""
        service = frame["service"]
        for slot in frame.get("slots", ()):
            key = (service, slot["slot"])
            span = Span(turn, slot["start"], slot["exclusive_end"])
            self.spans[key].append((span, utterance[span.start : span.end].lower()))
            self.taken[turn].append((span.start, span.end, key))
        acts = _USER_ACTS if by_user else _SYSTEM_ACTS
        for action in frame.get("actions", ()):
            if action["act"] in acts:
                key = (service, action["slot"])
                for value, canonical in zip(action["values"], action["canonical_values"], strict=True):
                    self.acts[key].append((turn, value, canonical))
        if by_user:
            for slot, values in frame["state"]["slot_values"].items():
                self.states[service, slot] = tuple(values)


def spellings(mentions: Mentions, key: Key, value: str) -> tuple[str, ...]:
    """Every surface form known to mean `value`, the canonical one first, each once."""
    said = [text for _, text, canonical in mentions.acts.get(key, ()) if canonical == value]
    word = (_NUMBER_WORDS[value],) if value in _NUMBER_WORDS else ()
    return tuple(dict.fromkeys((value, *said, *mentions.states.get(key, ()), *word)))


def argument_span(mentions: Mentions, key: Key, value: str, forms: tuple[str, ...]) -> Span | None:
    """The latest mention of an argument's value, by the four rules above; None when it was never said."""
    lowered = {form.lower() for form in forms}
    for span, text in reversed(mentions.spans.get(key, ())):
        if text in lowered:
            return span
    texts = dict(mentions.utterances)
    for turn, said, canonical in reversed(mentions.acts.get(key, ())):
        if canonical == value and (span := _last_in(mentions, turn, texts[turn], said, key)):
            return span
    for form in forms:  # rule 3, then rule 4: the canonical value comes first
        for turn, text in reversed(mentions.utterances):
            if span := _last_in(mentions, turn, text, form, key):
                return span
    return None


def _last_in(mentions: Mentions, turn: int, text: str, value: str, key: Key) -> Span | None:
    """The last occurrence in one message that is not a part of another slot's value: the 2 of "2 people" rather than
    that of "2 pm". The whole of another slot's value will do: cities are handed on from service to service."""
    found = None
    for start, end in spans_in_text(text, value):
        inside = (s <= start and end <= e and (s, e) != (start, end) and k != key for s, e, k in mentions.taken[turn])
        if not any(inside) and not _inside_number(text, start, end):
            found = Span(turn, start, end)
    return found


def _inside_number(text: str, start: int, end: int) -> bool:
    """Whether the span is only a part of a time, price, date or decimal: the 2 of "12:2" or of "2,000"."""
    before = start >= 2 and text[start].isdigit() and text[start - 1] in ":.,/-" and text[start - 2].isdigit()
    after = end + 1 < len(text) and text[end - 1].isdigit() and text[end] in ":.,/-" and text[end + 1].isdigit()
    return before or after
