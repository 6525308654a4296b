"""What a series of daily returns comes to: growth, annual return, Sharpe, Sortino, drawdown.

Every function takes daily simple returns [T] or [T, series] as fractions, oldest first, and works along the days.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from components.errors import bad_data

Floats = NDArray[np.float64]

DAYS_A_YEAR = 252  # trading days
BASIS_POINTS = 1e4  # in one


def checked(returns: ArrayLike, place: str = "returns") -> Floats:
    """The returns as float64.

    Raises:
        EquipoiseError: E_RETURNS (65) for values that are not finite, or a loss of more than everything.
    """
    values: Floats = np.asarray(returns, np.float64)
    bad = ~np.isfinite(values) | (values < -1)
    if bad.any():
        row = int(np.argwhere(bad)[0, 0])
        raise bad_data(
            place,
            "daily returns must be finite and at least -1",
            got=f"{values[row]} on day {row}",
            hint="Mend the prices of that day",
            code="RETURNS",
        )
    return values


def growth(returns: ArrayLike) -> Floats:
    """What one unit of money has become after each day: [T, ...]."""
    return np.cumprod(1.0 + np.asarray(returns, np.float64), axis=0, dtype=np.float64)


def annual_return(returns: ArrayLike) -> Floats:
    """Compound growth a year, by 252 days; nan without a day."""
    values = np.asarray(returns, np.float64)
    if not len(values):
        return np.full(values.shape[1:], math.nan)
    return np.prod(1.0 + values, axis=0) ** (DAYS_A_YEAR / len(values)) - 1.0


def daily_sharpe(excess: ArrayLike) -> Floats:
    """Mean over standard deviation (one degree of freedom taken) of returns over cash, a day; nan where nothing varies.

    Spreads below rounding dust, relative to the size of the returns, count as none.
    """
    values = np.asarray(excess, np.float64)
    if len(values) < 2:
        return np.full(values.shape[1:], math.nan)
    spread = values.std(axis=0, ddof=1)
    dust = 1e-12 * np.abs(values).max(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > dust, values.mean(axis=0) / spread, math.nan)


def sharpe(excess: ArrayLike) -> Floats:
    """`daily_sharpe`, annualised by the square root of 252."""
    return daily_sharpe(excess) * math.sqrt(DAYS_A_YEAR)


def sortino(excess: ArrayLike) -> Floats:
    """Mean over the root mean square of the losses (gains counting as zero), annualised; nan without a loss."""
    values = np.asarray(excess, np.float64)
    if not len(values):
        return np.full(values.shape[1:], math.nan)
    downside = np.sqrt(np.mean(np.minimum(values, 0.0) ** 2, axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(downside > 0, values.mean(axis=0) / downside, math.nan) * math.sqrt(DAYS_A_YEAR)


def drawdown(returns: ArrayLike) -> Floats:
    """The deepest fall below an earlier height, the starting value included: 0 or negative, -.5 is a halving."""
    values = np.asarray(returns, np.float64)
    curve = np.concatenate([np.ones((1, *values.shape[1:])), growth(values)])
    return np.min(curve / np.maximum.accumulate(curve, axis=0) - 1.0, axis=0)


def volatility(returns: ArrayLike) -> Floats:
    """Standard deviation of daily returns, annualised; nan with fewer than two days."""
    values = np.asarray(returns, np.float64)
    if len(values) < 2:
        return np.full(values.shape[1:], math.nan)
    return values.std(axis=0, ddof=1) * math.sqrt(DAYS_A_YEAR)


def figures(returns: ArrayLike, cash: ArrayLike, turnover: ArrayLike) -> dict[str, float]:
    """The figures of one account.

    Args:
        returns: [T] net of costs.
        cash: [T] what cash earned, which Sharpe and Sortino take off.
        turnover: [T] traded each day, as a share of the account.

    Returns:
        total, annual, volatility, sharpe, sortino, drawdown (fractions, annualised where that has a meaning), and
        turnover, traded a year as a multiple of the account. nan where undefined.
    """
    net = checked(returns)
    excess = net - np.asarray(cash, np.float64)
    return {
        "total": float(growth(net)[-1] - 1.0) if len(net) else math.nan,
        "annual": float(annual_return(net)),
        "volatility": float(volatility(net)),
        "sharpe": float(sharpe(excess)),
        "sortino": float(sortino(excess)),
        "drawdown": float(drawdown(net)),
        "turnover": float(np.mean(np.asarray(turnover, np.float64)) * DAYS_A_YEAR) if len(net) else math.nan,
    }
