"""The cheap next word: an interpolated n-gram with Witten-Bell smoothing, as sorted arrays.

P(w | h) = (c(h w) + T(h) P(w | h')) / (c(h) + T(h)), where h' is h without its first word, c counts, T(h) is how many
different words follow h (Witten and Bell 1991, method C; interpolated as in Chen and Goodman 1999, section 2.4). The
recursion ends in the uniform distribution. A word the training text lacks matches no context, so whoever asks behind it
is answered by the shorter one. Pairs that are too rare may be left out: their share then falls to the shorter context.
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from components.errors import bad_data
from components.files import write_json

BITS = 20  # of a word in the key of a context: three of them fit an int64
LARGEST = (1 << BITS) - 2
UNKNOWN, BEGIN = 0, 1  # in keys; word i is i + 2
PARTS = ("keys", "starts", "totals", "words", "counts")  # of a level


@dataclass(frozen=True, eq=False)
class Level:
    """What follows each context of one length.

    Attributes:
        keys: [C] int64 contexts, rising.
        starts: [C + 1] int64 into the two others.
        totals: [C] c(h) + T(h) of all that follows, whether or not it was left out.
        words: [P] followers, rising within a context.
        counts: [P] of each.
    """

    keys: NDArray[np.int64]
    starts: NDArray[np.int64]
    totals: NDArray[np.integer]
    words: NDArray[np.integer]
    counts: NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Ngram:
    """A fitted n-gram over whole words.

    Attributes:
        words: the vocabulary, sorted by code points, so that the words with one beginning stand together.
        hidden: [V] words that are read but never suggested.
        counts: [V] of each word.
        levels: for contexts of one word, two words ...
    """

    words: tuple[str, ...]
    hidden: NDArray[np.bool_]
    counts: NDArray[np.int64]
    levels: tuple[Level, ...]

    def number(self, word: str) -> int:
        """Its place in the vocabulary, -1 for a word that is not there."""
        at = bisect_left(self.words, word)
        return at if at < len(self.words) and self.words[at] == word else -1

    def _code(self, word: str) -> int:
        at = self.number(word)
        return UNKNOWN if at < 0 else at + 2

    def distribution(self, before: Sequence[str]) -> NDArray[np.float64]:
        """[V] the probability of each word behind these, hidden ones too.

        Args:
            before: the words of the same message left of the cursor, all of them: the beginning is a context too.
        """
        types = np.count_nonzero(self.counts)
        found = (self.counts + types / max(1, len(self.words))) / max(1, int(self.counts.sum()) + types)
        longest = len(self.levels)
        recent = ([BEGIN] * longest + [self._code(word) for word in before[-longest:]])[-longest:]
        for length, level in enumerate(self.levels, start=1):
            context = recent[-length:]
            if UNKNOWN in context:
                break
            key = _key(context)
            at = int(np.searchsorted(level.keys, key))
            if at == len(level.keys) or level.keys[at] != key:
                break
            part = slice(level.starts[at], level.starts[at + 1])
            shares = level.counts[part] / int(level.totals[at])
            found *= 1 - shares.sum()
            found[level.words[part]] += shares
        return found

    def save(self, folder: Path, name: str) -> None:
        """Writes its two files, each array in the smallest type that holds it; the same n-gram gives the same bytes."""
        words, arrays_file = files(name)
        write_json(folder / words, list(self.words))
        arrays = {"hidden": self.hidden.astype(np.uint8), "counts": self.counts}
        for length, level in enumerate(self.levels, start=1):
            arrays |= {f"{length}/{part}": getattr(level, part) for part in PARTS}
        packed = {part: values.astype(np.min_scalar_type(values.max(initial=0))) for part, values in arrays.items()}
        save_file(packed, str(folder / arrays_file))


def files(name: str) -> tuple[str, str]:
    """The two files of an n-gram of that name: words and arrays."""
    return f"{name}.json", f"{name}.safetensors"


def fit_ngram(
    messages: Iterable[Iterable[str]], order: int, hidden: Iterable[str] = (), fewest: Sequence[int] = ()
) -> Ngram:
    """Counts messages of words, which are read once and not kept.

    Args:
        order: the longest n-gram, 2 to 4.
        hidden: words that must never be suggested, known when the last message was read.
        fewest: times a pair, a triple ... must occur to be kept, never falling; all are where it ends.

    Raises:
        ValueError: for another order.
    """
    if not 2 <= order <= 4:
        raise ValueError(f"order must be between 2 and 4, not {order}")
    flat, words = _numbered(messages, order - 1)
    ends = np.flatnonzero(flat > BEGIN)
    never = frozenset(hidden)
    least = [*fewest, *([1] * order)]
    return Ngram(
        words=words,
        hidden=np.array([word in never for word in words], bool),
        counts=np.bincount(flat[ends] - 2, minlength=len(words)).astype(np.int64),
        levels=tuple(_level(flat, ends, length, least[length - 1]) for length in range(1, order)),
    )


def _numbered(messages: Iterable[Iterable[str]], begins: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """All messages one after another in the numbers of keys, each behind so many BEGIN; and the words, sorted."""
    first: dict[str, int] = {}
    read = array("q")
    for message in messages:
        read.extend([BEGIN] * begins)
        read.extend(first.setdefault(word, len(first) + 2) for word in message)
    flat = np.array(read, np.int64)
    totals = np.bincount(flat, minlength=len(first) + 2)
    ranked = sorted(first, key=lambda word: (-totals[first[word]], word))[:LARGEST]
    words = tuple(sorted(ranked))
    final = np.full(len(first) + 2, UNKNOWN)
    final[BEGIN] = BEGIN
    final[[first[word] for word in words]] = np.arange(len(words)) + 2
    return final[flat], words


def load_ngram(folder: Path, name: str) -> Ngram:
    """The n-gram that `Ngram.save` wrote.

    Raises:
        EquipoiseError: E_MODEL (65) when the files are damaged or do not fit each other.
    """
    words_file, arrays_file = files(name)
    try:
        words = json.loads((folder / words_file).read_text("utf-8"))
        arrays = load_file(str(folder / arrays_file))
        lengths = range(1, 1 + sum(name.endswith("/keys") for name in arrays))
        levels = tuple(_unpacked({part: arrays[f"{length}/{part}"] for part in PARTS}) for length in lengths)
        found = Ngram(tuple(words), arrays["hidden"].astype(bool), arrays["counts"].astype(np.int64), levels)
        fits = len(found.hidden) == len(found.counts) == len(words) and list(words) == sorted(set(words))
        if not fits or not all(_sound(level, len(words)) for level in levels):
            raise ValueError("words and counts do not fit")
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise bad_data(
            str(folder / arrays_file), "must be an n-gram", got=str(error), hint="Run evaluate again", code="MODEL"
        ) from error
    return found


def _unpacked(arrays: Mapping[str, NDArray[Any]]) -> Level:
    """Keys and places as numpy searches them; the rest stays small."""
    return Level(**{**arrays, **{part: arrays[part].astype(np.int64) for part in ("keys", "starts")}})


def _sound(level: Level, words: int) -> bool:
    pairs = len(level.words) == len(level.counts) == (level.starts[-1] if len(level.starts) else 0)
    inside = not len(level.words) or (level.words.min() >= 0 and level.words.max() < words)
    contexts = len(level.starts) == len(level.keys) + 1 == len(level.totals) + 1
    if not (pairs and inside and contexts and (np.diff(level.starts) > 0).all()):
        return False
    return not len(level.keys) or bool((np.add.reduceat(level.counts, level.starts[:-1]) < level.totals).all())


def _key(context: Sequence[int]) -> int:
    """Older words in the higher bits."""
    key = 0
    for word in context:
        key = key << BITS | word
    return key


def _level(flat: NDArray[np.int64], ends: NDArray[np.int64], length: int, fewest: int) -> Level:
    """Contexts of `length` words before each place of `ends`, with what follows at least `fewest` times."""
    keys = np.zeros(len(ends), np.int64)
    whole = np.ones(len(ends), bool)
    for back in range(length, 0, -1):
        earlier = flat[ends - back]
        keys = keys << BITS | earlier
        whole &= earlier != UNKNOWN
    keys, words = keys[whole], flat[ends][whole] - 2
    order = np.lexsort((words, keys))
    keys, words = keys[order], words[order]
    new_pair = np.ones(len(keys), bool)
    new_pair[1:] = (np.diff(keys) != 0) | (np.diff(words) != 0)
    pairs = np.flatnonzero(new_pair)
    counts = np.diff(np.append(pairs, len(keys)))
    contexts, place = np.unique(keys[pairs], return_inverse=True)
    totals = np.bincount(place, counts + 1, len(contexts)).astype(np.int64)
    kept = counts >= fewest
    left = np.bincount(place[kept], minlength=len(contexts))
    return Level(
        keys=contexts[left > 0],
        starts=np.append(0, np.cumsum(left[left > 0])),
        totals=totals[left > 0],
        words=words[pairs[kept]],
        counts=counts[kept],
    )
