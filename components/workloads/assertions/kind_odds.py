"""How likely each kind of assertion is, by a linear model of hashed signs: what a network of pieces learns badly from
few projects, because names and types decide and each of them is rare.

Multinomial logistic regression over which signs a pair has (Weinberger et al. 2009 for the hashing), fitted on the
training split when data are prepared. It goes with every model as one file of numbers.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from components.errors import bad_data
from components.workloads.assertions.kind_signs import signs
from components.workloads.assertions.pairs import ASSERT_TYPES, Pair

KINDS = "kinds.safetensors"
NEVER = -30.0  # the score of a kind that training does not have
PASSES = 100  # of the solver at most
TOLERANCE = 1e-3  # of its gradient

Numbers = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class KindOdds:
    """A fitted model: weights [N, K] of N buckets for the K kinds of ASSERT_TYPES, and bias [K]."""

    weights: Numbers
    bias: Numbers

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return self.weights.size + self.bias.size

    def shares(self, pairs: Sequence[Pair]) -> Numbers:
        """[S, K] probabilities of the kinds; each row sums to 1."""
        scores = np.asarray(_hashed(pairs, len(self.weights)) @ self.weights) + self.bias
        scores = np.exp(scores - scores.max(axis=1, keepdims=True, initial=NEVER))
        return (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Writes kinds.safetensors."""
        save_file({"weights": self.weights, "bias": self.bias}, folder / KINDS)


def fit_odds(pairs: Iterable[Pair], buckets: int, strength: float) -> KindOdds:
    """Learns from labelled pairs; the same pairs give the same numbers.

    Args:
        buckets: that signs are hashed into.
        strength: inverse of the L2 regularisation, scikit-learn's C.
    """
    rows = list(pairs)
    kinds = np.array([ASSERT_TYPES.index(str(pair.assert_type)) for pair in rows])
    weights = np.zeros((buckets, len(ASSERT_TYPES)), np.float32)
    bias = np.full(len(ASSERT_TYPES), NEVER, np.float32)
    known = np.unique(kinds)
    if len(known) < 2:
        bias[known] = 0.0
        return KindOdds(weights, bias)
    machine = LogisticRegression(C=strength, max_iter=PASSES, tol=TOLERANCE)
    machine.fit(_hashed(rows, buckets), kinds)
    found, offset = np.asarray(machine.coef_).T, np.asarray(machine.intercept_)
    if len(known) == 2:  # then there is one score, of the second
        found, offset = np.hstack([0 * found, found]), np.array([0.0, offset.item()])
    weights[:, known], bias[known] = found, offset
    return KindOdds(weights, bias)


def load_odds(folder: Path) -> KindOdds | None:
    """The odds of a prepared folder or a model's folder; None where none were fitted.

    Raises:
        EquipoiseError: E_MODEL (65) when the file is damaged.
    """
    path = folder / KINDS
    if not path.is_file():
        return None
    try:
        found = load_file(path)
        weights, bias = found["weights"], found["bias"]
        if weights.ndim != 2 or weights.shape[1:] != bias.shape or bias.shape != (len(ASSERT_TYPES),):
            raise ValueError(f"weights {weights.shape}, bias {bias.shape}")
        if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
            raise ValueError("numbers are not finite")
    except (ValueError, KeyError, SafetensorError) as error:
        raise bad_data(
            str(path), "must hold the odds of the kinds", got=str(error), hint="Run prepare again", code="MODEL"
        ) from error
    return KindOdds(weights, bias)


def _hashed(pairs: Sequence[Pair], buckets: int) -> sparse.csr_matrix:
    """[S, N]: 1 where a sign of the pair falls into the bucket."""
    columns = [sorted({_bucket(sign, buckets) for sign in signs(pair)}) for pair in pairs]
    ends = np.cumsum([0, *map(len, columns)])
    flat = np.array([column for row in columns for column in row], np.int32)
    return sparse.csr_matrix((np.ones(len(flat), np.float32), flat, ends), shape=(len(columns), buckets))


def _bucket(sign: str, buckets: int) -> int:
    return zlib.crc32(sign.encode("utf-8", "surrogatepass")) % buckets
