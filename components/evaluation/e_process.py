"""E-processes: evidence of harm in paired differences that may be looked at whenever one likes.

The unit is a cluster (a conversation, a month). Its harm x in [-1, 1] is the share that the old model had right less
the share that the new one has right. The null hypothesis of a head with margin m: given all clusters before it, the
next one's expected harm is at most m. Somebody who stakes the share b of a capital of 1 on more harm than that has
1 + b (x - m) times the capital afterwards: never below 0 while 0 <= b <= 1 / (1 + m), and at most 1 in expectation
under the null. Over the clusters the capital is then a nonnegative supermartingale, which by Ville's inequality ever
reaches 1 / alpha with probability alpha at most, however often and whenever one looks (Waudby-Smith and Ramdas 2024,
"Estimating means of bounded random variables by betting", section 4).

Which b grows fastest depends on what is not known, so the capital is divided equally over a grid of them. A mean of
supermartingales is one, and this one does not depend on the order of the clusters.

Several heads: the mean of their capitals is a supermartingale under "no head is worse than its margin", however the
heads hang together, so that claim is rejected at 1 / alpha with size alpha. It is never later than Bonferroni's rule,
one head alone at heads / alpha.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from components.errors import bad_data

Floats = NDArray[np.float64]

STAKES = 0.95 * 0.5 ** np.arange(8)  # of the largest bet allowed; never all of it, which one cluster could lose
LARGEST_LOG = 700.0  # e to the power of more is no float


def log_e_value(harm: ArrayLike, margin: float) -> Floats:
    """Logarithm of a head's e-value against "the expected harm is at most the margin".

    Args:
        harm: [..., n] in [-1, 1]; nan where a cluster has no say in the head, which leaves the capital as it is.
        margin: at least 0.

    Returns:
        [...], 0 without a cluster.

    Raises:
        EquipoiseError: E_E_VALUE (65) for harm outside [-1, 1].
    """
    return log_mean(log_capitals(harm, margin))


def log_capitals(harm: ArrayLike, margin: float) -> Floats:
    """[..., stakes] logarithm of what each stake made of a capital of 1; those of further clusters are added to it.

    Arguments and errors are those of `log_e_value`.
    """
    values = np.asarray(harm, np.float64)
    beyond = np.abs(values) > 1 + 1e-9
    if beyond.any():
        rule, hint = "harm must lie in [-1, 1]", "Compare shares, whose hits lie between 0 and what they are out of"
        raise bad_data("e-process", rule, got=float(values[beyond][0]), hint=hint, code="E_VALUE")
    gain = np.where(np.isnan(values), 0.0, values - margin)
    return np.stack([np.log1p(stake / (1 + margin) * gain).sum(axis=-1) for stake in STAKES], axis=-1)


def log_mean(log_e: ArrayLike) -> Floats:
    """[...] logarithm of the mean of e-values [..., heads], given by their logarithms."""
    values = np.asarray(log_e, np.float64)
    return np.asarray(logsumexp(values, axis=-1)) - math.log(values.shape[-1])


def shown(log_e: float, alpha: float) -> bool:
    """Whether the evidence has reached 1 / alpha."""
    return log_e >= -math.log(alpha)


def plain(log_e: float) -> float:
    """The e-value itself, held at e^700 where it is larger."""
    return math.exp(min(log_e, LARGEST_LOG))
