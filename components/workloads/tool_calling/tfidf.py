"""TF-IDF of a dialogue in blocks: last user turn, last assistant turn, the user turn before, user turns since a call.

Each block has a vocabulary of its own (1- and 2-grams), sublinear term frequency 1 + ln tf, smoothed inverse document
frequency ln((1 + n) / (1 + df)) + 1, and unit length: what scikit-learn's TfidfVectorizer computes with sublinear_tf,
here with parameters that are plain lists, so that a model file needs no pickle.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from components.workloads.tool_calling.dialogues import ASSISTANT, TOOL_CALL, USER, Message

BLOCKS = ("last_user", "last_assistant", "previous_user", "since_call")
WORD = re.compile(r"\w+")

Document = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Vocabulary:
    """The terms of one block in alphabetical order (their column numbers) and the idf of each."""

    terms: dict[str, int]
    idf: NDArray[np.float64]


def blocks(history: Sequence[Message]) -> Document:
    """The messages of each block, in the order of BLOCKS. What was asked before the last call is settled by it."""
    users = tuple(m.content for m in history if m.role == USER)
    said = tuple(m.content for m in history if m.role == ASSISTANT)
    last_call = max((i for i, m in enumerate(history) if m.role == TOOL_CALL), default=-1)
    since = tuple(m.content for m in history[last_call + 1 :] if m.role == USER)
    return (users[-1:], said[-1:], users[-2:-1], since)


@lru_cache(maxsize=8192)
def terms(text: str) -> tuple[str, ...]:
    """Lower-cased words and pairs of neighbouring words of one message; pairs never join two messages."""
    words = WORD.findall(text.lower())
    return (*words, *(f"{left} {right}" for left, right in pairwise(words)))


def fit(documents: Iterable[Document], minimum: int) -> tuple[tuple[Vocabulary, ...], sparse.csr_matrix]:
    """One pass over the documents: the vocabularies of terms in at least `minimum` of them, and their TF-IDF [S, F]."""
    numbers: list[dict[str, int]] = [{} for _ in BLOCKS]
    columns = [array("i") for _ in BLOCKS]
    ends = [array("q", [0]) for _ in BLOCKS]
    for document in documents:
        for number, column, end, messages in zip(numbers, columns, ends, document, strict=True):
            for message in messages:
                column.extend([number.setdefault(term, len(number)) for term in terms(message)])
            end.append(len(column))
    fitted = [
        _fit_block(number, _counts(column, end, len(number)), minimum)
        for number, column, end in zip(numbers, columns, ends, strict=True)
    ]
    return tuple(v for v, _ in fitted), sparse.csr_matrix(sparse.hstack([m for _, m in fitted], format="csr"))


def transform(vocabularies: Sequence[Vocabulary], documents: Sequence[Document]) -> sparse.csr_matrix:
    """[S, F] TF-IDF of new documents; terms outside the vocabularies are ignored."""
    parts = []
    for block, vocabulary in enumerate(vocabularies):
        column, end = array("i"), array("q", [0])
        for document in documents:
            for message in document[block]:
                column.extend([n for term in terms(message) if (n := vocabulary.terms.get(term)) is not None])
            end.append(len(column))
        parts.append(_weighted(_counts(column, end, len(vocabulary.terms)), vocabulary.idf))
    return sparse.csr_matrix(sparse.hstack(parts, format="csr"))


def _counts(columns: array, ends: array, width: int) -> sparse.csr_matrix:
    counts = sparse.csr_matrix(
        (np.ones(len(columns)), np.array(columns, np.int32), np.array(ends, np.int64)), shape=(len(ends) - 1, width)
    )
    counts.sum_duplicates()
    return counts


def _fit_block(
    numbers: dict[str, int], counts: sparse.csr_matrix, minimum: int
) -> tuple[Vocabulary, sparse.csr_matrix]:
    frequency = np.bincount(counts.indices, minlength=len(numbers))
    kept = sorted(term for term, number in numbers.items() if frequency[number] >= minimum)
    order = np.array([numbers[term] for term in kept], np.int64)
    idf = np.log((1.0 + counts.get_shape()[0]) / (1.0 + frequency[order])) + 1.0
    vocabulary = Vocabulary({term: i for i, term in enumerate(kept)}, idf)
    return vocabulary, _weighted(sparse.csr_matrix(counts[:, order]), idf)


def _weighted(counts: sparse.csr_matrix, idf: NDArray[np.float64]) -> sparse.csr_matrix:
    counts.sort_indices()
    counts.data = (1.0 + np.log(counts.data)) * idf[counts.indices]
    lengths = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
    counts.data /= np.repeat(np.where(lengths > 0, lengths, 1.0), np.diff(counts.indptr))
    return counts
