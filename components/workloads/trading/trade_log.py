"""A log of trades really made: what the sample of a day earned, where that is known better than from the bars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.workloads.trading.series import Series, check_order
from components.workloads.trading.tables import days, numbers, pick, read_table, refuse

LARGEST = 1.0  # a PnL is a fraction of the wealth: beyond this it was written in percent or in money


def read_trade_log(path: Path, dates: NDArray[np.datetime64], strategies: Sequence[str]) -> NDArray[np.float64]:
    """The logged PnL of each day: CSV or Parquet with columns date, strategy, pnl (a fraction: 0.012 is 1.2%).

    Args:
        dates: [D] days of the bars.
        strategies: the known names.

    Returns:
        [D] PnL as fractions, NaN on days without a trade.

    Raises:
        EquipoiseError: E_MISSING (66) without the file, E_BARS, E_ORDER or E_TRADE_LOG (65) for what is wrong in it.
    """
    table = read_table(path)
    day = pick(table, ("date", "day"), path, "day of the trade")
    name = pick(table, ("strategy",), path, "strategy")
    earned = numbers(table, pick(table, ("pnl",), path, "profit or loss as a fraction"), path)
    log = Series("trade log", str(path), days(table, day, path), earned, None, np.arange(2, len(earned) + 2))
    check_order(log)
    for row, strategy in enumerate(table[name].to_list()):
        if strategy is None or str(strategy).strip() not in strategies:
            hint = f"Name one of {', '.join(strategies)}"
            raise log.refuse(row, "the strategy must be one of trading.data.strategies", strategy, hint, "TRADE_LOG")
    beyond = np.abs(earned) > LARGEST
    if beyond.any():
        row = int(beyond.argmax())
        hint = "Write 1.2% as 0.012"
        raise log.refuse(row, "a PnL must be a fraction of the wealth", float(earned[row]), hint, "TRADE_LOG")
    at = np.minimum(np.searchsorted(dates, log.days), len(dates) - 1)
    inside = (log.days >= dates[0]) & (log.days <= dates[-1])
    stranger = inside & (dates[at] != log.days)
    if stranger.any():
        row = int(stranger.argmax())
        hint = "Date a trade by the day at whose close it was decided"
        raise log.refuse(row, "the day must have a bar", str(log.days[row]), hint, "TRADE_LOG")
    if not inside.any():
        got = f"{log.days[0]}..{log.days[-1]}"
        hint = "Name the log that belongs to these bars, or set trading.data.trade_log to null"
        raise refuse(str(path), f"must have trades within {dates[0]}..{dates[-1]}", got, hint, "TRADE_LOG")
    result = np.full(len(dates), np.nan)
    result[at[inside]] = earned[inside]
    return result
