"""What a model of assertions answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Prediction:
    """One written assertion.

    Attributes:
        assertion: in canonical spacing.
        confidence: probability the model gives to the whole text, of a baseline its own measure; in [0, 1].
        pieces: how many pieces were written, 0 where none are.
        alternatives: the next best, in order.
    """

    assertion: str
    confidence: float
    pieces: int = 0
    alternatives: tuple[str, ...] = ()
