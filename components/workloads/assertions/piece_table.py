"""Frozen embeddings of the vocabulary's pieces, in which the semantic term measures meaning.

The default is computed from the training split: positive pointwise mutual information of pieces that stand near each
other, factored to a few dimensions. It needs no download and no teacher, so that a comparison without a teacher can
still use the term, and takes seconds. The sentence model all-MiniLM-L6-v2 is the alternative.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from sklearn.utils.extmath import randomized_svd
from torch import Tensor

from components.workloads.assertions import sentences
from components.workloads.assertions.batches import open_split
from components.workloads.assertions.encode import UNK, load_codec

NEAR = 4  # pieces on either side that count as near
SEED = 29


def piece_table(settings: Any, prepared: Path) -> Tensor:
    """[V, D] float32 embeddings as the semantic term's section asks for them; rows of unseen pieces are small.

    Raises:
        EquipoiseError: E_EXTRA (78) for `pieces: minilm` without the extra.
    """
    changed = (prepared / "manifest.json").stat().st_mtime_ns
    if settings.pieces == "minilm":
        return torch.from_numpy(_minilm(str(prepared), changed))
    return torch.from_numpy(_cooccurrence(str(prepared), settings.width, changed))


@lru_cache(maxsize=2)
def _cooccurrence(prepared: str, width: int, _changed: int) -> NDArray[np.float32]:
    size = load_codec(Path(prepared)).size
    split = open_split(Path(prepared), "train")
    counts = near_counts(np.asarray(split.source), size) + near_counts(np.asarray(split.target), size)
    return factored(csr_array(counts), width)


def near_counts(pieces: NDArray[np.int32], size: int) -> csr_array:
    """[V, V] symmetric counts of pieces at most NEAR apart; special pieces are near nothing."""
    total = csr_array((size, size), dtype=np.float64)
    for apart in range(1, NEAR + 1):
        left, right = pieces[:-apart].astype(np.int64), pieces[apart:].astype(np.int64)
        real = (left > UNK) & (right > UNK)
        ones = np.ones(int(real.sum()))
        both = coo_array((ones, (left[real], right[real])), shape=(size, size)).tocsr()
        total = total + both + both.T
    return csr_array(total)


def factored(counts: csr_array, width: int) -> NDArray[np.float32]:
    """[V, D] from counts: positive PMI with contexts smoothed by the power 3/4 (Levy et al. 2015), then a truncated SVD
    with each side given the root of the singular values; a fixed seed and signs, so the same counts give the same."""
    cells = coo_array(counts)
    number, row, column = np.asarray(cells.data, np.float64), np.asarray(cells.row), np.asarray(cells.col)
    size = len(counts.indptr) - 1
    left, right = (np.bincount(axis, weights=number, minlength=size) for axis in (row, column))
    right = right**0.75
    total = max(float(number.sum()), 1.0)
    expected = left[row] / total * right[column] / max(float(right.sum()), 1e-9)
    information = np.maximum(np.log(number / total / expected), 0.0)
    matrix = csr_array(coo_array((information, (row, column)), shape=(size, size)))
    width = min(width, size - 1)
    vectors, strength, _ = randomized_svd(matrix, width, random_state=SEED, n_iter=4)  # pyright: ignore[reportArgumentType]
    return np.ascontiguousarray(vectors * np.sqrt(strength), dtype=np.float32)


@lru_cache(maxsize=1)
def _minilm(prepared: str, _changed: int) -> NDArray[np.float32]:
    codec = load_codec(Path(prepared))
    return sentences.embeddings([codec.decode([piece]) or " " for piece in range(codec.size)])
