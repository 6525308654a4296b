"""Whole users into one split, and no text in two."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from components.data.splits import SPLITS, assign
from components.errors import bad_data
from components.workloads.keyboard.messages import Message, MessageWriter
from components.workloads.keyboard.units import fold_text

Shares = tuple[float, float]


def split_of(message: Message, seed: int, shares: Shares) -> str:
    """The split that a message's source says, else that of its user; what nobody is known to have written is trained
    on, never scored: it may be by anyone.

    Args:
        shares: of the users, for validation and test.
    """
    if message.split:
        return message.split
    if not message.user:
        return "train"
    validation, test = shares
    return assign(seed, message.user, (("validation", validation), ("test", test), ("train", 1.0)))


def text_key(message: Message) -> bytes:
    """Equal for messages that say the same to the letter, whatever their case and blanks; labelled places count too."""
    places = "".join(f"\x00{len(_letters(message.text[: m.start]))}\x01{m.typed}" for m in message.moments)
    text = _letters(message.text) + (places if message.labelled else "")
    return hashlib.blake2b(text.encode(), digest_size=12).digest()


def _letters(text: str) -> str:
    return "".join(fold_text(text).split())


class Splitter:
    """Decides for each message in turn, then divides them: each text once, in the first split that has it (in the order
    train, validation, test). Holds one digest a message.

    Args:
        shares: of the users, for validation and test.
        left_out: counts exact repeats within a split and across splits.
    """

    def __init__(self, seed: int, shares: Shares, left_out: Counter[str]) -> None:
        self.seed = seed
        self.shares = shares
        self.left_out = left_out
        self._decided: list[tuple[bytes, int]] = []
        self._claimed: dict[bytes, int] = {}

    def add(self, message: Message) -> None:
        """The next message, its moments known."""
        key, rank = text_key(message), SPLITS.index(split_of(message, self.seed, self.shares))
        self._decided.append((key, rank))
        self._claimed[key] = min(rank, self._claimed.get(key, rank))

    def divide(self, source: str, messages: Iterable[Message], folder: Path) -> None:
        """Writes messages-<split>.jsonl.gz of the same messages in the same order.

        Args:
            source: what a message about an empty split names.

        Raises:
            EquipoiseError: E_DATA (65) when a split would be empty.
        """
        counts: Counter[str] = Counter()
        writers = [MessageWriter(messages_file(folder, split)) for split in SPLITS]
        try:
            for message, rank in self._once(messages):
                counts[SPLITS[rank]] += 1
                writers[rank].write(message)
            for writer in writers:
                writer.close()
        finally:
            for writer in writers:
                writer.abandon()
        for split in SPLITS:
            if not counts[split]:
                raise bad_data(
                    source,
                    "must have messages of different users for train, validation and test",
                    got=f"none for {split}, {counts.total()} in all",
                    hint="Give messages of more users, or another seed",
                )

    def _once(self, messages: Iterable[Message]) -> Iterator[tuple[Message, int]]:
        seen: set[bytes] = set()
        for message, (key, rank) in zip(messages, self._decided, strict=True):
            if self._claimed[key] < rank:
                self.left_out[f"repeats of an earlier split in {SPLITS[rank]}"] += 1
            elif key in seen:
                self.left_out[f"repeats within {SPLITS[rank]}"] += 1
            else:
                seen.add(key)
                yield message, rank


def messages_file(folder: Path, split: str) -> Path:
    """Where the messages of a prepared split are."""
    return folder / f"messages-{split}.jsonl.gz"
