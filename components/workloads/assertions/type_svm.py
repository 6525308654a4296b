"""The cheap answer to one part of the question: a linear support vector machine names the kind of the assertion.

TF-IDF (1- and 2-grams, sublinear) of the focal method, of the test prefix and of the words of the names, side by side.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from components.workloads.assertions.java_tokens import tokens
from components.workloads.assertions.pairs import Pair

WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


@dataclass(frozen=True)
class TypeSvm:
    """A fitted machine; with a single kind in training the answer is constant."""

    vectorizers: tuple[TfidfVectorizer, ...]
    machine: LinearSVC | None
    constant: str

    def types(self, pairs: Sequence[Pair]) -> list[str]:
        """The kind it expects of each pair's assertion."""
        if self.machine is None or not pairs:
            return [self.constant] * len(pairs)
        blocks = [vectorizer.transform(pairs) for vectorizer in self.vectorizers]
        return [str(kind) for kind in self.machine.predict(sparse.hstack(blocks, format="csr"))]


def fit_types(pairs: Iterable[Pair], strength: float) -> TypeSvm:
    """Learns from labelled pairs.

    Args:
        strength: inverse of the L2 regularisation, scikit-learn's C.
    """
    rows = list(pairs)
    kinds = [str(pair.assert_type) for pair in rows]
    vectorizers = tuple(
        TfidfVectorizer(analyzer=read, sublinear_tf=True)  # type: ignore[arg-type]
        for read in (_focal, _prefix, _name)
    )
    if len(set(kinds)) < 2:
        return TypeSvm(vectorizers, None, kinds[0] if kinds else "assertEquals")
    blocks = [vectorizer.fit_transform(rows) for vectorizer in vectorizers]
    machine = LinearSVC(C=strength, random_state=0)
    machine.fit(sparse.hstack(blocks, format="csr"), kinds)
    return TypeSvm(vectorizers, machine, kinds[0])


def _focal(pair: Pair) -> list[str]:
    return _grams(tokens(pair.focal_code))


def _prefix(pair: Pair) -> list[str]:
    return _grams(tokens(pair.test_prefix))


def _name(pair: Pair) -> list[str]:
    return [word.lower() for word in WORD.findall(pair.test_name)]


def _grams(found: tuple[str, ...]) -> list[str]:
    return [*found, *(f"{left} {right}" for left, right in pairwise(found))]
