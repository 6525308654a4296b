"""Nearest training row by TF-IDF of focal method and test prefix, whose assertion is copied or given to the model.

Java tokens and pairs of neighbours, sublinear term frequency 1 + ln tf, smoothed inverse document frequency
ln((1 + n) / (1 + df)) + 1, unit length: what scikit-learn's TfidfTransformer computes with sublinear_tf. The index is
plain lists and arrays, so that a model's folder needs no pickle.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy import sparse
from sklearn.feature_extraction.text import TfidfTransformer

from components.errors import bad_data, missing
from components.files import write_json
from components.workloads.assertions.java_tokens import tokens
from components.workloads.assertions.pairs import Pair

WORDS, ARRAYS = "retrieval.json", "retrieval.safetensors"
CELLS = 1 << 24  # similarities computed at once


@dataclass(frozen=True)
class Found:
    """The nearest row: its number in the index (-1: none), its assertion (None: none), the cosine."""

    row: int
    assertion: str | None
    similarity: float


@dataclass(frozen=True, eq=False)
class Index:
    """Training rows to retrieve from.

    Attributes:
        terms: term -> column.
        idf: [F] float32.
        matrix: [R, F] float32 CSR, rows of unit length.
        assertions: [R].
        groups: [R] rows of the query's own group are never its answer where that is asked for.
    """

    terms: dict[str, int]
    idf: NDArray[np.float32]
    matrix: sparse.csr_matrix
    assertions: tuple[str, ...]
    groups: tuple[str, ...]

    def nearest(self, pairs: Sequence[Pair]) -> list[Found]:
        """The nearest row of each pair, the first of equals."""
        return list(self._search(self.vectors(pairs), None))

    def nearest_elsewhere(self, pairs: Sequence[Pair], groups: Sequence[str]) -> list[Found]:
        """The nearest row of another group than the pair's."""
        return list(self._search(self.vectors(pairs), groups))

    def vectors(self, pairs: Sequence[Pair]) -> sparse.csr_matrix:
        """[S, F] TF-IDF; unknown terms are ignored."""
        columns, ends = array("i"), array("q", [0])
        for pair in pairs:
            columns.extend(n for term in terms_of(pair) if (n := self.terms.get(term)) is not None)
            ends.append(len(columns))
        return _weighted(_counts(columns, ends, len(self.terms)), self.idf)

    def _search(self, vectors: sparse.csr_matrix, groups: Sequence[str] | None) -> Iterator[Found]:
        if not self.assertions:
            yield from (Found(-1, None, 0.0) for _ in range(vectors.get_shape()[0]))
            return
        codes = {group: code for code, group in enumerate(dict.fromkeys(self.groups))}
        own = np.array([codes[group] for group in self.groups])
        turned = self.matrix.T.tocsr()
        step = max(1, CELLS // len(self.assertions))
        for start in range(0, vectors.get_shape()[0], step):
            near = np.asarray((vectors[start : start + step] @ turned).todense())
            if groups is not None:
                asked = np.array([codes.get(group, -1) for group in groups[start : start + step]])
                near[asked[:, None] == own[None, :]] = -1.0
            best = near.argmax(axis=1)
            for row, number in enumerate(best.tolist()):
                likeness = float(near[row, number])
                known = likeness > 0
                yield Found(
                    number if known else -1, self.assertions[number] if known else None, min(max(likeness, 0.0), 1.0)
                )

    def save(self, folder: Path) -> None:
        """Writes retrieval.json and retrieval.safetensors; the same index gives the same bytes."""
        words = {"terms": list(self.terms), "assertions": self.assertions, "groups": self.groups}
        write_json(folder / WORDS, words)
        arrays = {
            "idf": self.idf,
            "data": self.matrix.data.astype(np.float32),
            "indices": self.matrix.indices.astype(np.int32),
            "indptr": self.matrix.indptr.astype(np.int64),
        }
        save_file(arrays, folder / ARRAYS)


def terms_of(pair: Pair) -> Iterator[str]:
    """Java tokens of focal method and prefix, and pairs of neighbours within each."""
    for text in (pair.focal_code, pair.test_prefix):
        found = tokens(text)
        yield from found
        yield from (f"{left} {right}" for left, right in pairwise(found))


def build_index(pairs: Iterable[tuple[Pair, str]], minimum: int) -> Index:
    """The index of labelled pairs, each with its group; terms in fewer than `minimum` rows are left out."""
    numbers: dict[str, int] = {}
    columns, ends = array("i"), array("q", [0])
    assertions, groups = [], []
    for pair, group in pairs:
        columns.extend([numbers.setdefault(term, len(numbers)) for term in terms_of(pair)])
        ends.append(len(columns))
        assertions.append(pair.assertion or "")
        groups.append(group)
    counts = _counts(columns, ends, len(numbers))
    frequency = np.bincount(counts.indices, minlength=len(numbers))
    kept = sorted(term for term, number in numbers.items() if frequency[number] >= minimum)
    counts = sparse.csr_matrix(counts[:, np.array([numbers[term] for term in kept], np.int64)])
    idf = TfidfTransformer(sublinear_tf=True).fit(counts).idf_ if kept else np.zeros(0)
    idf = idf.astype(np.float32)
    matrix = _weighted(counts, idf)
    return Index({term: i for i, term in enumerate(kept)}, idf, matrix, tuple(assertions), tuple(groups))


def load_index(folder: Path) -> Index:
    """The index of a prepared folder or a model's folder.

    Raises:
        EquipoiseError: E_MISSING (66) without a file of it, E_MODEL (65) when they are damaged or do not fit.
    """
    for name in (WORDS, ARRAYS):
        if not (folder / name).is_file():
            raise missing(str(folder / name), "the index must be there", got="no file", hint="Run prepare again")
    try:
        return _assemble(json.loads((folder / WORDS).read_text("utf-8")), load_file(folder / ARRAYS))
    except (ValueError, KeyError, TypeError, IndexError, RecursionError, SafetensorError) as error:
        raise bad_data(
            str(folder), "must hold a whole index", got=str(error), hint="Run prepare again", code="MODEL"
        ) from error


def _assemble(words: dict[str, Any], arrays: dict[str, NDArray]) -> Index:
    terms, assertions, groups = words["terms"], tuple(words["assertions"]), tuple(words["groups"])
    shape = (len(assertions), len(terms))
    if len(groups) != len(assertions) or arrays["idf"].shape != (len(terms),):
        raise ValueError("words and arrays differ in length")
    matrix = sparse.csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape)
    matrix.check_format()
    if not (np.isfinite(matrix.data).all() and np.isfinite(arrays["idf"]).all()):
        raise ValueError("weights are not finite")
    return Index({term: i for i, term in enumerate(terms)}, arrays["idf"], matrix, assertions, groups)


def _counts(columns: array, ends: array, width: int) -> sparse.csr_matrix:
    counts = sparse.csr_matrix(
        (np.ones(len(columns), np.float32), np.array(columns, np.int32), np.array(ends, np.int64)),
        shape=(len(ends) - 1, width),
    )
    counts.sum_duplicates()
    return counts


def _weighted(counts: sparse.csr_matrix, idf: NDArray[np.float32]) -> sparse.csr_matrix:
    counts.sort_indices()
    counts.data = (1.0 + np.log(counts.data)) * idf[counts.indices]
    lengths = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
    counts.data = (counts.data / np.repeat(np.where(lengths > 0, lengths, 1.0), np.diff(counts.indptr))).astype(
        np.float32
    )
    return counts
