"""Raw pairs as the model sees them: retrieved for, encoded and cut as in training, for the network and for serving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components.workloads.assertions import encode, retrieval
from components.workloads.assertions.pairs import Pair

SERVED = (encode.TOKENIZER, encode.LIMITS, retrieval.WORDS, retrieval.ARRAYS)
"""The prepared files that a model's folder needs beside its weights."""


@dataclass(frozen=True, eq=False)
class Reading:
    """How a model reads pairs."""

    codec: encode.Codec
    limits: encode.Limits
    index: retrieval.Index

    def sources(self, pairs: Sequence[Pair]) -> list[encode.Source]:
        """One Source per pair, with the nearest training row's assertion."""
        found = self.index.nearest(pairs)
        return encode.sources(self.codec, pairs, [one.assertion for one in found], self.limits)


def load_reading(folder: Path) -> Reading:
    """The reading of a prepared folder or a model's folder.

    Raises:
        EquipoiseError: E_MISSING (66) without one of the files SERVED, E_DATA or E_MODEL (65) when one is damaged.
    """
    return Reading(encode.load_codec(folder), encode.load_limits(folder), retrieval.load_index(folder))
