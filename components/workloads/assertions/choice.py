"""Which of several hypotheses to answer: the one that the others resemble most, not the likeliest.

The likeliest text is right in every detail or far off; what is asked is likeness. So each hypothesis votes for every
other with their token similarity, with a weight of its own (minimum Bayes risk decoding, Kumar and Byrne 2004).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from components.workloads.assertions.compare import token_similarity


def by_consensus(texts: Sequence[str], log_probabilities: Sequence[float], power: float) -> list[int]:
    """The indices of `texts`, the one with the highest expected token similarity first, of equals the earlier.

    Args:
        log_probabilities: of each, not all of them -inf.
        power: a vote weighs probability ** power: 0 counts all alike, and the higher it is the more the likeliest
            text decides alone.
    """
    highest = max(log_probabilities, default=0.0)
    votes = [math.exp(power * (each - highest)) for each in log_probabilities]

    def expected(text: str) -> float:
        return sum(vote * token_similarity(other, text) for other, vote in zip(texts, votes, strict=True))

    gains = [expected(text) for text in texts]
    return sorted(range(len(texts)), key=lambda i: -gains[i])
