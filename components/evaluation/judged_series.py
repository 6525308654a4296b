"""What two models earn day by day, compared as whole statistics: Sharpe ratio, drawdown.

Days hang together, so blocks of them are drawn (the stationary bootstrap), and the candidate's and the champion's day
always together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.errors import bad_data
from components.evaluation.performance import drawdown, sharpe
from components.evaluation.statistics import PairedDifference, paired
from components.evaluation.time_bootstrap import block_length, stationary_bootstrap

Floats = NDArray[np.float64]
METRICS = ("sharpe", "drawdown")


@dataclass(frozen=True)
class Account:
    """Daily returns of a model's decisions.

    Attributes:
        days: [T] datetime64[D] or row numbers.
        net: [T] returns after costs, as fractions.
        cash: [T] what cash earned.
        overlap: days over which one decision is held: no block is shorter.
    """

    days: NDArray
    net: Floats
    cash: Floats
    overlap: int


def value(metric: str, net: Floats, cash: Floats) -> float:
    """`sharpe`, annual and over cash, or `drawdown` (0 or negative: -.5 is a halving) of daily returns [T]."""
    return float(sharpe(net - cash) if metric == "sharpe" else drawdown(net))


def paired_account(
    metric: str, a: Account, b: Account, resamples: int, confidence: float, seed: int
) -> PairedDifference:
    """The statistic of a less that of b, with the distribution of the difference; its `clusters` are blocks of days.

    Raises:
        EquipoiseError: E_GATE_PAIRS (65) when the two are not accounts of the same days.
    """
    if not (np.array_equal(a.days, b.days) and np.array_equal(a.cash, b.cash)):
        got = f"{len(a.days)} and {len(b.days)} days"
        hint = "Score both models on the same samples"
        raise bad_data(f"gate, {metric}", "accounts must be of the same days", got=got, hint=hint, code="GATE_PAIRS")
    rows = np.column_stack([a.net, b.net, a.cash])
    block = block_length(np.column_stack([a.net, b.net, a.net - b.net]), max(a.overlap, b.overlap))

    def difference(drawn: Floats) -> float:
        return value(metric, drawn[:, 0], drawn[:, 2]) - value(metric, drawn[:, 1], drawn[:, 2])

    found = stationary_bootstrap(rows, difference, block, resamples, seed)[0]
    group = (np.arange(len(rows)) / block).astype(np.int64)
    differing = len(np.unique(group[a.net != b.net]))
    value_a, value_b = (value(metric, each.net, each.cash) for each in (a, b))
    return paired(value_a, value_b, found, differing, confidence)
