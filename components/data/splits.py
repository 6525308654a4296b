"""Which split a conversation belongs to: a pure function of the seed and its name, so that adding data moves nobody."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from components.errors import bad_data

SPLITS = ("train", "validation", "test")


def check_split(prepared: Path, split: str) -> None:
    """Raises E_DATA (65) for a split that prepared data never has."""
    if split not in SPLITS:
        raise bad_data(
            str(prepared), f"the split must be one of {', '.join(SPLITS)}", got=split, hint="Name one of them"
        )


def stable_share(seed: int, key: str) -> float:
    """A number in [0, 1) that depends on (seed, key) alone: the same on every machine and in every process."""
    digest = hashlib.sha256(f"{seed}\x00{key}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7], "big") / float(1 << 56)


def assign(seed: int, key: str, shares: Sequence[tuple[str, float]]) -> str:
    """The split of `key`: `shares` are (split, share) pairs; what is left over belongs to the last one."""
    place = stable_share(seed, key)
    edge = 0.0
    for split, share in shares:
        edge += share
        if place < edge:
            return split
    return shares[-1][0]
