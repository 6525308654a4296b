"""Daily accounts of strategies that set their shares of the wealth anew at every close: many strategies, many symbols,
column by column."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.workloads.trading.strategies import BASIS_POINT

BLOCK = 1 << 15  # numbers worked on at a time: what fits the processor's nearest caches
Array = NDArray[np.float64]


class Account(NamedTuple):
    """Day by day, [K, D - 1] each: net return from the close before, and turnover at this close."""

    net: Array
    turnover: Array


def account(close: Array, targets: Array, cost: float) -> Account:
    """Follows target shares through the closes.

    At each close the shares, drifted since the close before, are brought to that day's targets, and `cost` basis points
    of the turnover (the sum of the absolute changes in shares) are paid. The first purchase is paid too; what is not
    invested earns nothing.

    Args:
        close: [D, N], D >= 2.
        targets: [K, D, N] shares from each close on, or [D, N] for one strategy. The last day's only cost turnover.
        cost: basis points a unit of turnover.

    Returns:
        `net[k, d]` is the return from close d to close d + 1, cost at close d + 1 taken off.
    """
    shares = targets[None] if targets.ndim == 2 else targets
    returns = close[1:] / close[:-1] - 1.0
    strategies, days, symbols = shares.shape
    gross, turnover = np.empty((strategies, days - 1)), np.empty((strategies, days - 1))
    block = max(1, BLOCK // max(symbols, 1))
    moved = np.empty((block, symbols))
    for k in range(strategies):
        for begin in range(0, days - 1, block):
            end = min(begin + block, days - 1)
            held, work = shares[k, begin:end], moved[: end - begin]
            np.multiply(held, returns[begin:end], out=work)
            earned = work.sum(axis=1)
            gross[k, begin:end] = earned
            work += held
            work /= (1.0 + earned)[:, None]
            work -= shares[k, begin + 1 : end + 1]
            np.abs(work, out=work)
            turnover[k, begin:end] = work.sum(axis=1)
    rate = cost * BASIS_POINT
    net = (1.0 + gross) * (1.0 - rate * turnover) - 1.0
    net[:, 0] = (1.0 + net[:, 0]) * (1.0 - rate * np.abs(shares[:, 0]).sum(axis=1)) - 1.0
    return Account(net, turnover)
