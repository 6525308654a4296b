"""Raw pairs as the model sees them: retrieved for, encoded and cut as in training, for the network and for serving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components.data.hashed_odds import HashedOdds
from components.workloads.assertions import encode, kind_odds, retrieval
from components.workloads.assertions.pairs import Pair

NEEDED = (encode.TOKENIZER, encode.LIMITS, retrieval.WORDS, retrieval.ARRAYS)
"""The prepared files that a model's folder needs beside its weights."""
SERVED = (*NEEDED, kind_odds.KINDS)
"""Those that go into it where they are there."""


@dataclass(frozen=True, eq=False)
class Reading:
    """How a model reads pairs; `odds` of the kinds, where the data have them."""

    codec: encode.Codec
    limits: encode.Limits
    index: retrieval.Index
    odds: HashedOdds | None = None

    def sources(self, pairs: Sequence[Pair]) -> list[encode.Source]:
        """One Source per pair, with the nearest training row's assertion."""
        found = self.index.nearest(pairs)
        return encode.sources(self.codec, pairs, [one.assertion for one in found], self.limits)


def load_reading(folder: Path) -> Reading:
    """The reading of a prepared folder or a model's folder.

    Raises:
        EquipoiseError: E_MISSING (66) without one of the files NEEDED, E_DATA or E_MODEL (65) when one is damaged.
    """
    index = retrieval.load_index(folder)
    return Reading(encode.load_codec(folder), encode.load_limits(folder), index, kind_odds.load_kinds(folder))
