"""How likely each class is, by a linear model of hashed signs: what a network of pieces learns badly from few samples,
because single words decide and each of them is rare.

Multinomial logistic regression over which signs a sample has (Weinberger et al. 2009 for the hashing), fitted on the
training split when data are prepared. It goes with a model as one file of numbers.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from components.errors import bad_data

NEVER = -30.0  # the score of a class that training does not have
PASSES = 100  # of the solver at most
TOLERANCE = 1e-3  # of its gradient

Signs = Iterable[str]


@dataclass(frozen=True, eq=False)
class HashedOdds:
    """A fitted model: weights [N, K] of N buckets for K classes, float32 or float16, and bias [K] float32."""

    weights: NDArray[np.floating[Any]]
    bias: NDArray[np.float32]

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return self.weights.size + self.bias.size

    @functools.cached_property
    def _single(self) -> NDArray[np.float32]:
        return self.weights.astype(np.float32, copy=False)

    def shares(self, samples: Iterable[Signs]) -> NDArray[np.float32]:
        """[S, K] probabilities of the classes of samples, each its signs; each row sums to 1."""
        scores = np.asarray(_hashed(samples, len(self.weights)) @ self._single) + self.bias
        scores = np.exp(scores - scores.max(axis=1, keepdims=True, initial=NEVER))
        return (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)

    def save(self, path: Path) -> None:
        """Writes the numbers as safetensors."""
        save_file({"weights": np.ascontiguousarray(self.weights), "bias": self.bias}, path)


def fit_odds(
    samples: Iterable[Signs],
    labels: Sequence[int],
    classes: int,
    buckets: int,
    strength: float,
    kind: DTypeLike = np.float32,
) -> HashedOdds:
    """Learns from labelled samples; the same ones give the same numbers.

    Args:
        samples: the signs of each.
        labels: the class of each, below `classes`.
        buckets: that signs are hashed into.
        strength: inverse of the L2 regularisation, scikit-learn's C.
        kind: of the kept weights.
    """
    wanted = np.asarray(labels, np.int64)
    weights = np.zeros((buckets, classes), kind)
    bias = np.full(classes, NEVER, np.float32)
    known = np.unique(wanted)
    if len(known) < 2:
        bias[known] = 0.0
        return HashedOdds(weights, bias)
    machine = LogisticRegression(C=strength, max_iter=PASSES, tol=TOLERANCE)
    machine.fit(_hashed(samples, buckets), wanted)
    found, offset = np.asarray(machine.coef_).T, np.asarray(machine.intercept_)
    if len(known) == 2:  # then there is one score, of the second
        found, offset = np.hstack([0 * found, found]), np.array([0.0, offset.item()])
    weights[:, known], bias[known] = found, offset
    return HashedOdds(weights, bias)


def load_odds(path: Path, classes: int) -> HashedOdds:
    """What `HashedOdds.save` wrote.

    Raises:
        EquipoiseError: E_MODEL (65) when the file is damaged or has another number of classes.
    """
    try:
        found = load_file(path)
        weights, bias = found["weights"], found["bias"]
        if weights.ndim != 2 or weights.shape[1:] != bias.shape or bias.shape != (classes,):
            raise ValueError(f"weights {weights.shape}, bias {bias.shape}, {classes} classes")
        if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
            raise ValueError("numbers are not finite")
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise bad_data(
            str(path), "must hold the odds of the classes", got=str(error), hint="Run prepare again", code="MODEL"
        ) from error
    return HashedOdds(weights, bias)


def _hashed(samples: Iterable[Signs], buckets: int) -> sparse.csr_matrix:
    """[S, N]: 1 where a sign of the sample falls into the bucket."""
    columns = [np.array(sorted({_bucket(sign, buckets) for sign in signs}), np.int32) for signs in samples]
    ends = np.cumsum([0, *map(len, columns)])
    flat = np.concatenate([np.zeros(0, np.int32), *columns])
    return sparse.csr_matrix((np.ones(len(flat), np.float32), flat, ends), shape=(len(columns), buckets))


def _bucket(sign: str, buckets: int) -> int:
    return zlib.crc32(sign.encode("utf-8", "surrogatepass")) % buckets
