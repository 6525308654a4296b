"""Strategies as shares of the wealth: what each earns over the horizon, which is best, and which can never be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

BASIS_POINT = 1e-4
Array = NDArray[np.float64]


def weight_matrix(strategies: Mapping[str, Mapping[str, float]], symbols: Sequence[str]) -> Array:
    """[K, N] share of the wealth that each strategy holds in each symbol; what is left of 1 earns nothing."""
    return np.array([[shares.get(symbol, 0.0) for symbol in symbols] for shares in strategies.values()])


def horizon_returns(close: Array, weights: Array, horizon: int, cost: float) -> Array:
    """Net return of holding each strategy from a day's close for `horizon` days without touching it.

    The cost is what following the strategy costs: at the end it is brought back to its shares, and `cost` basis points
    of the turnover, the sum of the changes in shares, are paid. Changing from one strategy to another costs more; that
    depends on the choices made and is counted where they are judged (see `pnl`).

    Args:
        close: [D, N].
        weights: [K, N].

    Returns:
        [D - horizon, K] fractions; empty when there are not more days than the horizon.
    """
    if len(close) <= horizon:
        return np.empty((0, len(weights)))
    growth = close[horizon:] / close[:-horizon]
    wealth = 1.0 + (growth - 1.0) @ weights.T
    drifted = growth[:, None, :] * weights / wealth[:, :, None]
    turnover = np.abs(drifted - weights).sum(axis=2)
    return wealth * (1.0 - cost * BASIS_POINT * turnover) - 1.0


def best(returns: Array, dead_band: float) -> NDArray[np.int64]:
    """[S] index of the first strategy whose return is at most `dead_band` below the highest of its row."""
    return (returns >= returns.max(axis=1, keepdims=True) - dead_band).argmax(axis=1)


def never_best(weights: Array) -> list[int]:
    """Strategies that no returns of the symbols make strictly better than all others, before costs.

    A strategy's return is linear in its shares, so one that is a mixture of others earns the same mixture of their
    returns and never more than the best of them. Of equal strategies the first may win.
    """
    found = []
    for k, target in enumerate(weights):
        others = [w for j, w in enumerate(weights) if j != k and not (j > k and np.allclose(w, target))]
        if not others:
            continue
        system = np.vstack([np.array(others).T, np.ones(len(others))])
        solution = linprog(np.zeros(len(others)), A_eq=system, b_eq=[*target, 1.0], bounds=(0, None), method="highs")
        if solution.status == 0:
            found.append(k)
    return found
