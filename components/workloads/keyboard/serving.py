"""What a keyboard offers its users: languages and emoji, which a newer one may not take away."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from components.workload import Predictor
from components.workloads.keyboard.baseline import CheapKeyboard
from components.workloads.keyboard.predict import KeyboardPredictor


def serves(folder: Path, predictor: Predictor) -> Mapping[str, Collection[str]]:
    """language, emoji -> those that a loaded model knows."""
    if isinstance(predictor, CheapKeyboard):
        return {"language": list(predictor.tongues), "emoji": predictor.emoji.emoji}
    assert isinstance(predictor, KeyboardPredictor)
    words = predictor.lexicon
    return {"language": list(predictor.counts), "emoji": [words.words[place] for place in words.emoji]}
