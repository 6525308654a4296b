"""Slips of the finger on a QWERTY keyboard: a letter left out, doubled, swapped with the next, a neighbouring key."""

from __future__ import annotations

import random

KEY_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
"""The letters as both layouts of letters show them; each row stands half a key further right than the one above."""

TRIES = 8


def _neighbours() -> dict[str, str]:
    near: dict[str, list[str]] = {}
    places = {key: (row, at + row / 2) for row, keys in enumerate(KEY_ROWS) for at, key in enumerate(keys)}
    for key, (row, at) in places.items():
        near[key] = [k for k, (r, a) in places.items() if k != key and abs(r - row) <= 1 and abs(a - at) <= 1]
    return {key: "".join(keys) for key, keys in near.items()}


NEIGHBOURS = _neighbours()
"""Letter -> letters that touch its key."""


def slip(word: str, chance: random.Random) -> str:
    """The word with one slip; "" where none was found that changes it (of one letter, or of other alphabets)."""
    for _ in range(TRIES):
        at = chance.randrange(len(word))
        kind = chance.choice(("drop", "double", "swap", "neighbour", "neighbour"))
        made = _slipped(word, at, kind, chance)
        if made and made.lower() != word.lower():
            return made
    return ""


def _slipped(word: str, at: int, kind: str, chance: random.Random) -> str:
    if kind == "drop":
        return word[:at] + word[at + 1 :]
    if kind == "double":
        return word[: at + 1] + word[at:]
    if kind == "swap":
        return word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :]
    near = NEIGHBOURS.get(word[at].lower(), "")
    if not near:
        return ""
    key = chance.choice(near)
    return word[:at] + (key.upper() if word[at].isupper() else key) + word[at + 1 :]
