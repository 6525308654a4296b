"""How likely each emoji is behind a text: hashed odds over its signs, because which emoji comes hangs on single words
and names that a network reads too seldom.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.data.hashed_odds import HashedOdds, fit_odds, load_odds
from components.errors import bad_data
from components.files import write_json
from components.workloads.keyboard.emoji_signs import signs
from components.workloads.keyboard.events import Event
from components.workloads.keyboard.messages import Message, read_messages
from components.workloads.keyboard.units import Kind, fold, units

FILES = NAMES, NUMBERS = ("emoji_odds.json", "emoji_odds.safetensors")
CLASSES = 64  # emoji at most, the most frequent
FEWEST = 5  # times that one must occur: each costs a number a bucket
ROWS = 60_000  # emoji of the messages that are learned from, at most


@dataclass(frozen=True, eq=False)
class EmojiOdds:
    """A fitted model: emoji [K], most frequent first, and their odds."""

    emoji: tuple[str, ...]
    odds: HashedOdds

    def shares(self, events: Iterable[Event]) -> NDArray[np.float32]:
        """[S, K] probabilities of the emoji behind each event's text, labels not looked at; each row sums to 1."""
        return self.odds.shares(signs(event.before, event.history) for event in events)

    def save(self, folder: Path) -> None:
        """Writes FILES."""
        write_json(folder / NAMES, list(self.emoji))
        self.odds.save(folder / NUMBERS)


def fit_emoji_odds(messages: Iterable[Message], buckets: int, strength: float) -> EmojiOdds | None:
    """Learns from every emoji of the messages, kept in half precision; the same messages give the same numbers.

    Args:
        buckets, strength: as `fit_odds` takes them.

    Returns:
        None where fewer than two emoji occur FEWEST times: there is nothing to choose.
    """
    rows = [row for _, row in zip(range(ROWS), _rows(messages), strict=False)]
    counts = Counter(emoji for emoji, _, _ in rows)
    often = [one for one, count in counts.items() if count >= FEWEST]
    classes = sorted(often, key=lambda one: (-counts[one], one))[:CLASSES]
    if len(classes) < 2:
        return None
    number = {one: i for i, one in enumerate(classes)}
    known = [row for row in rows if row[0] in number]
    found = (signs(before, history) for _, before, history in known)
    odds = fit_odds(found, [number[emoji] for emoji, _, _ in known], len(classes), buckets, strength, np.float16)
    return EmojiOdds(tuple(classes), odds)


def write_emoji_odds(messages: Path, folder: Path, buckets: int, strength: float) -> None:
    """Fits a file of MessageWriter and writes FILES, where there is anything to choose."""
    found = fit_emoji_odds(read_messages(messages), buckets, strength)
    if found is not None:
        found.save(folder)


def load_emoji_odds(folder: Path) -> EmojiOdds | None:
    """The model of a prepared folder or a model's folder; None where none was fitted.

    Raises:
        EquipoiseError: E_MODEL (65) when a file is damaged or absent beside the other.
    """
    if not any((folder / name).is_file() for name in FILES):
        return None
    try:
        emoji = json.loads((folder / NAMES).read_text("utf-8"))
        if not isinstance(emoji, list) or not all(isinstance(one, str) for one in emoji):
            raise ValueError("emoji must be a list of texts")
        if len(set(emoji)) != len(emoji):
            raise ValueError("an emoji stands twice")
    except (OSError, ValueError) as error:
        raise bad_data(
            str(folder / NAMES), "must name the emoji", got=str(error), hint="Run prepare again", code="MODEL"
        ) from error
    return EmojiOdds(tuple(emoji), load_odds(folder / NUMBERS, len(emoji)))


def _rows(messages: Iterable[Message]) -> Iterator[tuple[str, str, Sequence[str]]]:
    """(emoji, text before it, messages before that) of every emoji."""
    for message in messages:
        for unit in units(message.text):
            if unit.kind is Kind.EMOJI:
                yield fold(unit), message.text[: unit.start], message.history
