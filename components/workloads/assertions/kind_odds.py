"""How likely each kind of assertion is: hashed odds over the signs of a pair, because names and types decide."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from components.data.hashed_odds import HashedOdds, fit_odds, load_odds
from components.workloads.assertions.kind_signs import signs
from components.workloads.assertions.pairs import ASSERT_TYPES, Pair

KINDS = "kinds.safetensors"


def fit_kinds(pairs: Iterable[Pair], buckets: int, strength: float) -> HashedOdds:
    """Learns from labelled pairs; the same pairs give the same numbers.

    Args:
        buckets, strength: as `fit_odds` takes them.
    """
    rows = list(pairs)
    kinds = [ASSERT_TYPES.index(str(pair.assert_type)) for pair in rows]
    return fit_odds(map(signs, rows), kinds, len(ASSERT_TYPES), buckets, strength)


def load_kinds(folder: Path) -> HashedOdds | None:
    """The odds of a prepared folder or a model's folder; None where none were fitted.

    Raises:
        EquipoiseError: E_MODEL (65) when the file is damaged.
    """
    path = folder / KINDS
    return load_odds(path, len(ASSERT_TYPES)) if path.is_file() else None
