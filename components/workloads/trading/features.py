"""What a day looks like from its past: the features of a bar, computed from that bar and the LOOKBACK bars before it.

Every rolling value is taken over its own window, never carried on from the day before, so that the features of a day
are the same whether they are computed from twenty years of bars or from the few that a request brings.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from components.workloads.trading.records import Panel

RETURN_DAYS = (1, 5, 20, 60)
VOLATILITY_DAYS = (20, 60)
CHANGE_DAYS = (5, 20)
VOLUME_DAYS = 20
LOOKBACK = 60  # bars that must stand before one for its features to exist
_STILL = 1e-9  # daily deviation below which a series counts as constant: its correlation means nothing

Columns = dict[str, NDArray[np.float64]]


def feature_names(symbols: tuple[str, ...], exogenous: tuple[str, ...], volume: bool) -> tuple[str, ...]:
    """The names of the columns that `features_of` gives for such a panel, in order."""
    bars = np.ones((LOOKBACK + 1, len(symbols)))
    none = np.zeros(LOOKBACK + 1)
    dates = np.arange(LOOKBACK + 1).astype("datetime64[D]")
    return tuple(_columns(Panel(dates, symbols, bars, bars if volume else None, dict.fromkeys(exogenous, none))))


def features_of(panel: Panel) -> NDArray[np.float64]:
    """Raw features of every day.

    Returns:
        [D, F] float64; row d is a function of the bars d - LOOKBACK .. d alone and NaN for d < LOOKBACK.
    """
    columns = _columns(panel)
    result = np.column_stack(list(columns.values()))
    result[:LOOKBACK] = np.nan
    return result


def _columns(panel: Panel) -> Columns:
    columns: Columns = {}
    prices = np.log(panel.close)
    daily = {symbol: _change(prices[:, i], 1) for i, symbol in enumerate(panel.symbols)}
    for i, symbol in enumerate(panel.symbols):
        for days in RETURN_DAYS:
            columns[f"{symbol} return {days}"] = _change(prices[:, i], days)
        for days in VOLATILITY_DAYS:
            columns[f"{symbol} volatility {days}"] = _rolling(daily[symbol], days, np.std)
        columns[f"{symbol} below its {LOOKBACK}-day high"] = prices[:, i] - _rolling(prices[:, i], LOOKBACK, np.max)
    first = panel.symbols[0]
    for symbol in panel.symbols[1:]:
        columns[f"{first} {symbol} correlation {LOOKBACK}"] = _correlation(daily[first], daily[symbol])
    if panel.volume is not None:
        traded = np.log(panel.volume)
        for i, symbol in enumerate(panel.symbols):
            columns[f"{symbol} volume"] = traded[:, i] - _rolling(traded[:, i], VOLUME_DAYS, np.mean)
    for name, values in panel.exogenous.items():
        columns[name] = np.array(values, dtype=np.float64)
        for days in CHANGE_DAYS:
            columns[f"{name} change {days}"] = _change(values, days)
    return columns


def _change(values: NDArray[np.float64], days: int) -> NDArray[np.float64]:
    result = np.full(len(values), np.nan)
    result[days:] = values[days:] - values[:-days]
    return result


def _rolling(values: NDArray[np.float64], days: int, measure) -> NDArray[np.float64]:
    result = np.full(len(values), np.nan)
    if len(values) >= days:
        result[days - 1 :] = measure(sliding_window_view(values, days), axis=1)
    return result


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    result = np.full(len(one), np.nan)
    if len(one) < LOOKBACK:
        return result
    a, b = (sliding_window_view(values, LOOKBACK) for values in (one, other))
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    still = LOOKBACK * _STILL**2
    power = np.sqrt(np.maximum((a * a).sum(axis=1), still) * np.maximum((b * b).sum(axis=1), still))
    result[LOOKBACK - 1 :] = (a * b).sum(axis=1) / power
    return result
