"""The next word as the network, the counts of the training messages and what this user wrote before say together.

A linear interpolation of network and n-gram (Jelinek and Mercer 1980), moved towards the user's own words by as many
imagined words as a weight says, from all words to those behind the same word to those behind the same two:
P_n(w) = (c_n(w) + k_n P_(n-1)(w)) / (c_n + k_n). The recursion is that of MacKay and Peto (1995); that writers repeat
themselves was first used by Kuhn and De Mori (1990).
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.config_keyboard_model import KeyboardMixture
from components.workloads.keyboard.events import Event, Layout
from components.workloads.keyboard.lexicon import SPOKEN, Lexicon, typed_on
from components.workloads.keyboard.ngram import Ngram
from components.workloads.keyboard.speller import EDITS, LONGEST, SHORTEST, distance
from components.workloads.keyboard.units import folded, units

BEGIN = ""  # of a message
Shares = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Outlook:
    """What may come next.

    Attributes:
        shares: [W + O] probability of each word of the lexicon and of `own`.
        own: [O] what the user wrote and the lexicon lacks, sorted.
    """

    lexicon: Lexicon
    shares: Shares
    own: tuple[str, ...] = ()

    def __getitem__(self, number: int, /) -> str:
        """The word of that place in `shares`."""
        known = len(self.lexicon.words)
        return self.lexicon.words[number] if number < known else self.own[number - known]

    def begun(self, typed: str, layout: Layout) -> NDArray[np.int64]:
        """Places of the words and characters that begin so, as `Lexicon.begun` finds them."""
        own = [
            i for i, word in enumerate(self.own, len(self.lexicon.words)) if word.startswith(typed) and _spoken(word)
        ]
        return np.append(self.lexicon.begun(typed, layout), np.array(own, np.int64))

    def near(self, typed: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places of the words near a mistyped one and their edits, as `Lexicon.near` finds them."""
        places, edits = self.lexicon.near(typed)
        if not SHORTEST <= len(typed) <= LONGEST:
            return places, edits
        away = ((i, distance(typed, word)) for i, word in enumerate(self.own, len(self.lexicon.words)))
        own = [(i, count) for i, count in away if 0 < count <= EDITS and _spoken(self[i])]
        found = np.array(own, np.int64).reshape(-1, 2)
        return np.append(places, found[:, 0]), np.append(edits, found[:, 1])

    @property
    def emoji(self) -> Shares:
        """[E] the probabilities of the lexicon's emoji, together 1; all 0 where none may come."""
        shares = self.shares[self.lexicon.emoji]
        total = float(shares.sum())
        return shares / total if total > 0 else shares

    def typed_on(self, event: Event) -> Shares:
        """[5] how much of it is typed on each layout."""
        return typed_on(self.lexicon.layouts, self.shares[: len(self.lexicon.words)], event)


def _spoken(word: str) -> bool:
    return units(word)[0].kind in SPOKEN


def outlook(
    written: Shares, event: Event, lexicon: Lexicon, counts: Mapping[str, Ngram], settings: KeyboardMixture
) -> Outlook:
    """What may come next behind an event's text, whatever is typed of it.

    Args:
        written: [P] the network's probabilities of the lexicon's `written` words, together 1.
        counts: by language; {} without.
    """
    shares = np.zeros(len(lexicon.words))
    shares[lexicon.written] = written
    known = counts.get(event.language)
    if settings.use and known is not None and known.words:
        shares *= 1 - settings.counts
        shares[lexicon.counted[event.language]] += settings.counts * known.distribution(folded(event.before))
    return adapted(Outlook(lexicon, shares), stream(event), settings.own) if settings.use else Outlook(lexicon, shares)


def pictured(words: Shares, signs: Shares, times: NDArray[np.int64], settings: KeyboardMixture) -> Shares:
    """[..., E] the weights of the emoji: both parts by their share, divided by a power of how common each is.

    Args:
        words: [..., E] of `Outlook.emoji`.
        signs: [..., E] what the linear model says; all 0 without one, and then the words speak alone.
        times: [E] how often each was counted.
    """
    if not settings.use:
        return words
    share = settings.emoji_share * signs.any(axis=-1, keepdims=True)
    return ((1 - share) * words + share * signs) / (1.0 + times) ** settings.emoji


def stream(event: Event) -> list[str]:
    """All that the user wrote up to the cursor, folded, BEGIN twice before each message."""
    return [*_said(event.history), BEGIN, BEGIN, *folded(event.before)]


@functools.lru_cache(maxsize=16)  # a message is asked about at every key
def _said(history: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for text in history for word in (BEGIN, BEGIN, *folded(text)))


def adapted(general: Outlook, said: Sequence[str], weights: Sequence[float]) -> Outlook:
    """Moved towards what was said behind the same none, one, two words.

    Args:
        general: without words of the user.
        said: of `stream`.
        weights: [3] how many words of the user weigh as much as the rest.
    """
    place = {word: general.lexicon.place(word) for word in {*said} - {BEGIN}}
    own = tuple(sorted(word for word, at in place.items() if at < 0))
    place |= {word: len(general.lexicon.words) + i for i, word in enumerate(own)}
    shares = np.concatenate([general.shares, np.zeros(len(own))])
    for length, weight in enumerate(weights):
        counts = followers(said, length)
        total = counts.total()
        if not total:
            break
        shares *= weight / (total + weight)
        for word, count in counts.items():
            shares[place[word]] += count / (total + weight)
    return Outlook(general.lexicon, shares, own)


def followers(said: Sequence[str], length: int) -> Counter[str]:
    """How often each word stood behind what the last `length` of `said` are, itself at the end left out."""
    if length:
        *before, last = said[-length:]
        found = Counter(
            said[at + 1] for at in _places(said[:-1], last) if [*said[max(at + 1 - length, 0) : at]] == before
        )
    else:
        found = Counter(said)
    del found[BEGIN]
    return found


def _places(said: Sequence[str], word: str) -> Iterator[int]:
    """Where a word stands; `index` looks faster than a loop over thousands of words at every key."""
    at = -1
    for _ in range(said.count(word)):
        at = said.index(word, at + 1)
        yield at
