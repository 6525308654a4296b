"""Whole users into one split, and no text in two."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from components.data.splits import SPLITS, assign
from components.errors import bad_data
from components.workloads.keyboard.messages import Message, MessageWriter, read_messages
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
    places = "".join(f"\x00{m.start}\x01{m.typed}" for m in message.moments) if message.labelled else ""
    text = "".join(fold_text(message.text).split()) + places
    return hashlib.blake2b(text.encode(), digest_size=12).digest()


def split_messages(rows: Path, folder: Path, seed: int, shares: Shares, left_out: Counter[str]) -> dict[str, int]:
    """Writes messages-<split>.jsonl.gz of the messages in `rows`, each text once, in the first split that has it (in
    the order train, validation, test), and returns how many each split has.

    Args:
        left_out: counts exact repeats within a split and across splits.

    Raises:
        EquipoiseError: E_DATA (65) when a split would be empty.
    """
    claimed: dict[bytes, int] = {}
    for message in read_messages(rows):
        key, rank = text_key(message), SPLITS.index(split_of(message, seed, shares))
        claimed[key] = min(rank, claimed.get(key, rank))
    counts: Counter[str] = Counter()
    seen: set[bytes] = set()
    writers = {split: MessageWriter(messages_file(folder, split)) for split in SPLITS}
    try:
        for message, split in _once(rows, seed, shares, claimed, seen, left_out):
            counts[split] += 1
            writers[split].write(message)
        for writer in writers.values():
            writer.close()
    finally:
        for writer in writers.values():
            writer.abandon()
    for split in SPLITS:
        if not counts[split]:
            raise bad_data(
                str(rows.name),
                "must have messages of different users for train, validation and test",
                got=f"none for {split}, {counts.total()} in all",
                hint="Give messages of more users, or another seed",
            )
    return dict(counts)


def _once(
    rows: Path, seed: int, shares: Shares, claimed: dict[bytes, int], seen: set[bytes], left_out: Counter[str]
) -> Iterator[tuple[Message, str]]:
    for message in read_messages(rows):
        key, split = text_key(message), split_of(message, seed, shares)
        if claimed[key] < SPLITS.index(split):
            left_out[f"repeats of an earlier split in {split}"] += 1
        elif key in seen:
            left_out[f"repeats within {split}"] += 1
        else:
            seen.add(key)
            yield message, split


def messages_file(folder: Path, split: str) -> Path:
    """Where the messages of a prepared split are."""
    return folder / f"messages-{split}.jsonl.gz"
