"""The cheap emoji: TF-IDF of the words before it and linear support vector machines, one against the rest.

Words and pairs of neighbours, sublinear term frequency, unit length. Texts come without variation selectors, as
prepare cleans them: those that stayed behind in published sets give the emoji away.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from components.errors import bad_data
from components.files import write_json
from components.workloads.keyboard.answers import MOST, Ranked
from components.workloads.keyboard.units import fold, units

TERMS, ARRAYS = "emoji.json", "emoji.safetensors"
FEWEST = 2  # texts that a term must stand in
CLASSES = 64  # emoji at most, the most frequent
CHUNK = 4096  # texts ranked at a time


@dataclass(frozen=True, eq=False)
class EmojiSvm:
    """Fitted machines; with no emoji in training it ranks none, with one it always says that.

    Attributes:
        emoji: [K], most frequent first.
        vectorizer: of texts; None where there are fewer than two emoji, or no term.
        weights: [K, F] float32, [0, 0] without a vectorizer.
        bias: [K] float32.
    """

    emoji: tuple[str, ...]
    vectorizer: TfidfVectorizer | None
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def rank(self, texts: Sequence[str]) -> list[Ranked]:
        """The likeliest emoji behind each text, with the softmax of the machines' margins as their probabilities."""
        ranked: list[Ranked] = []
        for start in range(0, len(texts), CHUNK):
            margins = self._margins(texts[start : start + CHUNK])
            shares = np.exp(margins - margins.max(axis=1, keepdims=True, initial=-np.inf))
            shares /= shares.sum(axis=1, keepdims=True)
            order = np.argsort(-shares, axis=1, kind="stable")[:, :MOST]
            ranked += [
                tuple((self.emoji[i], float(row[i])) for i in places)
                for row, places in zip(shares, order.tolist(), strict=True)
            ]
        return ranked

    def _margins(self, texts: Sequence[str]) -> NDArray[np.float64]:
        if self.vectorizer is None:
            return np.tile(self.bias.astype(np.float64), (len(texts), 1))
        return np.asarray(self.vectorizer.transform(texts) @ self.weights.T, np.float64) + self.bias

    def save(self, folder: Path) -> None:
        """Writes emoji.json and emoji.safetensors."""
        terms: dict[str, int] = {} if self.vectorizer is None else self.vectorizer.vocabulary_
        idf = np.zeros(0) if self.vectorizer is None else self.vectorizer.idf_
        ordered = sorted(terms, key=terms.__getitem__)
        write_json(folder / TERMS, {"emoji": list(self.emoji), "terms": ordered})
        arrays = {"weights": self.weights, "bias": self.bias, "idf": np.asarray(idf, np.float64)}
        save_file({name: np.ascontiguousarray(values) for name, values in arrays.items()}, str(folder / ARRAYS))


def fit_emoji(texts: Sequence[str], emoji: Sequence[str], strength: float) -> EmojiSvm:
    """Learns from texts and the emoji that followed.

    Args:
        strength: inverse of the L2 regularisation, scikit-learn's C.
    """
    counts = Counter(emoji)
    classes = sorted(counts, key=lambda one: (-counts[one], one))[:CLASSES]
    rows = [i for i, one in enumerate(emoji) if one in set(classes)]
    shares = np.array([counts[one] for one in classes], np.float32)
    constant = EmojiSvm(tuple(classes), None, np.zeros((0, 0), np.float32), np.log(shares))
    terms = Counter(term for i in rows for term in set(grams(texts[i])))
    known = sorted(term for term, count in terms.items() if count >= FEWEST)
    if len(classes) < 2 or not known:
        return constant
    vectorizer = _vectorizer(known)
    matrix = vectorizer.fit_transform([texts[i] for i in rows])
    machine = LinearSVC(C=strength, random_state=0)
    machine.fit(matrix, [classes.index(emoji[i]) for i in rows])
    weights, bias = machine.coef_, machine.intercept_
    if len(classes) == 2:  # one machine serves both
        weights, bias = np.concatenate([-weights, weights]), np.concatenate([-bias, bias])
    return EmojiSvm(tuple(classes), vectorizer, np.asarray(weights, np.float32), np.asarray(bias, np.float32))


def load_emoji(folder: Path) -> EmojiSvm:
    """The machines that `EmojiSvm.save` wrote.

    Raises:
        EquipoiseError: E_MODEL (65) when the files are damaged or do not fit each other.
    """
    try:
        named = json.loads((folder / TERMS).read_text("utf-8"))
        arrays = load_file(str(folder / ARRAYS))
        emoji, terms = tuple(named["emoji"]), list(named["terms"])
        weights, bias, idf = arrays["weights"], arrays["bias"], arrays["idf"]
        whole = (len(emoji), len(terms)) if terms else (0, 0)
        if weights.shape != whole or len(bias) != len(emoji) or len(idf) != len(terms):
            raise ValueError(f"{len(emoji)} emoji, {len(terms)} terms, weights {weights.shape}")
        vectorizer = None
        if terms:
            vectorizer = _vectorizer(terms)
            vectorizer.idf_ = idf
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise bad_data(
            str(folder / ARRAYS), "must be machines for emoji", got=str(error), hint="Run evaluate again", code="MODEL"
        ) from error
    return EmojiSvm(emoji, vectorizer, weights, bias)


def grams(text: str) -> list[str]:
    """Folded units and pairs of neighbours."""
    found = [fold(unit) for unit in units(text)]
    return [*found, *(f"{left} {right}" for left, right in pairwise(found))]


def _vectorizer(terms: list[str]) -> TfidfVectorizer:
    return TfidfVectorizer(analyzer=grams, vocabulary=terms, sublinear_tf=True)  # type: ignore[arg-type]
