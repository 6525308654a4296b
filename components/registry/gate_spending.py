"""What a look at a hold-out may spend: the more often it was looked at, the stronger the evidence must be.

Every judgement on the same samples is another chance for luck to pass as skill. The k-th look is judged at
alpha * 6 / (pi^2 k^2), which adds up to alpha however many looks there will be (Bonferroni over an open end; it asks
nothing of how the looks depend on each other). The threshold, in standard errors, grows only with the root of the
logarithm of k: one claim at alpha .05 asks for 1.9 at the first look, 3.0 at the fifth, 3.8 at the twentieth.
"""

from __future__ import annotations

import math
from typing import Literal

Spending = Literal["harmonic", "none"]


def alpha_of_look(look: int, alpha: float, spending: Spending) -> float:
    """The alpha at which the look-th judgement (1, 2, ...) on one hold-out is made; `none` spends nothing."""
    return alpha * _share(look) if spending == "harmonic" else alpha


def alpha_left(looks: int, alpha: float, spending: Spending) -> float | None:
    """What is left for all looks after so many; None where nothing is spent."""
    if spending == "none":
        return None
    return alpha * max(0.0, 1 - math.fsum(_share(look) for look in range(1, looks + 1)))


def _share(look: int) -> float:
    return 6 / (math.pi * look) ** 2
