"""Bars of several symbols and values beside them, from files to one panel: every symbol is checked on its own, then all
are put on the days that they share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from components.config_trading import TradingData
from components.errors import missing
from components.workloads.trading import lean
from components.workloads.trading.records import Panel
from components.workloads.trading.series import Series, check_order, check_prices, check_volume
from components.workloads.trading.tables import days, line_of, numbers, pick, read_table, refuse

DAY = ("date", "day", "time", "timestamp", "datetime")
CLOSE = ("adj close", "adj_close", "adjclose", "adjusted close", "adjusted_close", "close")
ENDINGS = (".csv", ".csv.gz", ".parquet")
BAR_FOLDERS = ("", "etf", "bars")
VALUE_FOLDERS = ("", "exogenous", "rates", "vix")
LOST_SHARE = 0.02  # of the days: more means that the symbols are quoted in different calendars


def read_panel(data: TradingData, look_back: int) -> Panel:
    """The symbols and exogenous values that the data section names, on the days that all symbols share.

    Bars more than `look_back` days before the first labelled day are left out before anything is judged that depends on
    neighbouring days: holes, splits and unpublished values of earlier decades do not matter.

    Raises:
        EquipoiseError: E_MISSING (66) for an absent source, symbol or value; E_BARS, E_ORDER, E_GAP, E_SPLIT, E_VOLUME,
            E_CALENDAR, E_EXOGENOUS, E_FACTORS, E_ARCHIVE (65) for what is wrong in them.
    """
    source = Path(data.source)
    if not source.exists():
        raise missing(
            "trading.data.source",
            "must name a file or folder",
            got=data.source,
            hint="Run the generate stage for the embedded data, or name yours with --data",
        )
    since = None if data.label_from is None else np.datetime64(data.label_from) - np.timedelta64(2 * look_back + 30)
    every = [_read_symbol(source, data, symbol, since) for symbol in data.symbols]
    values = [_read_value(source, name) for name in data.exogenous]
    longest = look_back + max(data.exogenous.values(), default=0)
    return assemble(every, values, data, longest)


def assemble(every: Sequence[Series], values: Sequence[Series], data: TradingData, look_back: int) -> Panel:
    """Checked series on the days that all symbols share; see `read_panel`."""
    for one in every:
        check_order(one)
    shared = _shared_days(every, data, look_back)
    _check_gaps(shared, data)
    close = np.empty((len(shared), len(every)))
    volume = np.empty_like(close) if data.volume else None
    for column, one in enumerate(every):
        used = one.between(shared[0], shared[-1])
        check_prices(used, data.largest_move)
        picked = np.searchsorted(used.days, shared)
        close[:, column] = used.close[picked]
        if volume is not None:
            volume[:, column] = check_volume(used)[picked]
    known = {one.name: _known(one, shared, data) for one in values}
    first = max((int(np.isnan(v).argmin()) for v in known.values()), default=0)
    for name, found in known.items():
        if np.isnan(found[first:]).any():
            raise refuse(name, "must have values", "none in the days of the bars", "Give values", "EXOGENOUS")
    return Panel(
        dates=shared[first:],
        symbols=tuple(one.name for one in every),
        close=close[first:],
        volume=None if volume is None else volume[first:],
        exogenous={name: found[first:] for name, found in known.items()},
    )


def _shared_days(every: Sequence[Series], data: TradingData, look_back: int) -> NDArray[np.datetime64]:
    shared = every[0].days
    for one in every[1:]:
        shared = np.intersect1d(shared, one.days, assume_unique=True)
    if len(shared) == 0:
        names = ", ".join(f"{one.name} {one.days[0]}..{one.days[-1]}" for one in every)
        raise refuse(data.source, "the symbols must share days", names, "Give bars of the same years", "CALENDAR")
    if data.label_from is not None:
        begin = int(np.searchsorted(shared, np.datetime64(data.label_from)))
        if begin == len(shared):
            rule = f"must reach trading.data.label_from {data.label_from}"
            raise refuse(data.source, rule, f"bars to {shared[-1]}", "Give later bars", "CALENDAR")
        shared = shared[max(0, begin - look_back + 1) :]
    joint = np.unique(np.concatenate([one.between(shared[0], shared[-1]).days for one in every]))
    if len(shared) < (1 - LOST_SHARE) * len(joint):
        lacking = min(every, key=lambda one: len(one.between(shared[0], shared[-1]).days))
        got = f"{len(joint) - len(shared)} of {len(joint)} days without all of them, most without {lacking.name}"
        hint = "Give symbols of one exchange's calendar, or begin later with trading.data.label_from"
        raise refuse(lacking.place, "the symbols must be quoted on the same days", got, hint, "CALENDAR")
    return shared


def _check_gaps(shared: NDArray[np.datetime64], data: TradingData) -> None:
    steps = np.diff(shared).astype(int)
    if len(steps) and steps.max() > data.longest_gap:
        at = int(steps.argmax())
        raise refuse(
            data.source,
            f"at most {data.longest_gap} calendar days between bars",
            f"{steps[at]} from {shared[at]} to {shared[at + 1]}",
            "A ticker may have changed its company: begin after the hole with trading.data.label_from, or raise "
            "trading.data.longest_gap",
            "GAP",
        )


def _known(one: Series, shared: NDArray[np.datetime64], data: TradingData) -> NDArray[np.float64]:
    """[D] the last value published by each day's close; NaN before the first.

    Raises:
        EquipoiseError: E_EXOGENOUS (65) when that value is older than `longest_gap` days, but for the first bars' sake.
    """
    check_order(one)
    delay = data.exogenous[one.name]
    asked = np.concatenate([np.full(min(delay, len(shared)), np.datetime64("NaT", "D")), shared[: len(shared) - delay]])
    at = np.searchsorted(one.days, asked, side="right") - 1
    at[np.isnat(asked)] = -1
    found = np.where(at >= 0, one.close[at], np.nan)
    age = np.where(at >= 0, (asked - one.days[at]).astype(int), 0)
    if (at < 0).all() or age.max() > data.longest_gap:
        day = int(age.argmax()) if (at >= 0).any() else -1
        raise refuse(
            one.place,
            f"{one.name} must have a value at most {data.longest_gap} days old on every day of the bars",
            f"{age[day]} days on {shared[day]}" if (at >= 0).any() else f"none before {one.days[0]}",
            "Complete the series, leave it out of trading.data.exogenous, or begin later with trading.data.label_from",
            "EXOGENOUS",
        )
    return found


# --- where things lie -------------------------------------------------------------------------------------------------


def source_format(source: Path, declared: str) -> str:
    """csv, parquet, lean or etf; `auto` looks at what lies there."""
    if declared != "auto":
        return declared
    if source.is_dir():
        if (source / "etf").is_dir():
            return "etf"
        if lean.home(source) is not None:
            return "lean"
        return "parquet" if any(source.glob("*.parquet")) and not any(source.glob("*.csv*")) else "csv"
    return "parquet" if source.suffix == ".parquet" else "csv"


def _read_symbol(source: Path, data: TradingData, symbol: str, since: np.datetime64 | None) -> Series:
    if source_format(source, data.format) == "lean":
        return lean.read(source, symbol, since)
    if source.is_file():
        return _from_one_table(source, symbol)
    path = _find(source, BAR_FOLDERS, (symbol, symbol.lower(), symbol.upper()), data.format)
    if path is None:
        raise missing(
            str(source),
            f"must hold bars of {symbol}",
            got=f"neither {symbol}.csv, {symbol}.csv.gz nor {symbol}.parquet",
            hint="Add the file, or take the symbol out of trading.data.symbols and strategies",
        )
    return _bars(read_table(path), path, symbol)


def _read_value(source: Path, name: str) -> Series:
    if source.is_file():
        return _from_one_table(source, name, value=True)
    names = (name, name.lower(), name.upper(), f"{name.lower()}-daily")
    path = _find(source, VALUE_FOLDERS, names, "auto")
    if path is None:
        raise missing(
            str(source),
            f"must hold the exogenous series {name}",
            got=f"neither {name}.csv nor {name}.csv.gz there, in rates/ or in exogenous/",
            hint="Add the file, or take the name out of trading.data.exogenous",
        )
    table = read_table(path)
    day = pick(table, (*DAY, table.columns[0]), path, "day")
    column = pick(table, (name.lower(), "value", "close", table.columns[-1]), path, "value")
    return _without_absent(name, path, days(table, day, path), numbers(table, column, path, absent=True))


def _find(source: Path, folders: Sequence[str], names: Sequence[str], form: str) -> Path | None:
    endings = {"csv": ENDINGS[:2], "parquet": ENDINGS[2:]}.get(form, ENDINGS)
    places: Iterator[Path] = (source / folder / f"{name}{e}" for folder in folders for name in names for e in endings)
    return next((path for path in places if path.is_file()), None)


def _from_one_table(path: Path, name: str, value: bool = False) -> Series:
    """A symbol out of a table of many: a `symbol` column with a row a symbol and day, or a column a symbol."""
    table = read_table(path)
    day = pick(table, (*DAY, table.columns[0]), path, "day")
    if "symbol" in table.columns:
        mine = table.with_row_index("equipoise row").filter(pl.col("symbol").str.strip_chars() == name)
        if mine.height:
            return _bars(mine, path, name)
    elif name.lower() in table.columns:
        found = numbers(table, name.lower(), path, absent=True)
        return _without_absent(name, path, days(table, day, path), found)
    elif set(table.columns) & set(CLOSE) and not value and path.name.split(".")[0].lower() == name.lower():
        return _bars(table, path, name)
    raise missing(
        str(path),
        f"must hold {name}",
        got=f"columns {', '.join(table.columns)}",
        hint="Name a table with this symbol, or take it out of trading.data",
    )


def _bars(table: pl.DataFrame, path: Path, symbol: str) -> Series:
    day, price = pick(table, DAY, path, "day"), pick(table, CLOSE, path, "closing price")
    found = days(table, day, path)
    close = numbers(table, price, path)
    if {"high", "low", "close"} <= set(table.columns):
        _check_range(table, path)
    volume = numbers(table, "volume", path, absent=True) if "volume" in table.columns else None
    rows = table["equipoise row"].to_numpy() if "equipoise row" in table.columns else np.arange(len(found))
    return Series(symbol, str(path), found, close, volume, rows.astype(np.int64) + 2)


def _check_range(table: pl.DataFrame, path: Path) -> None:
    high, low, close = (numbers(table, name, path) for name in ("high", "low", "close"))
    slack = 1e-6 * np.abs(close)
    wrong = (close > high + slack) | (close < low - slack)
    if wrong.any():
        row = int(wrong.argmax())
        got = f"{close[row]:g} outside {low[row]:g}..{high[row]:g}"
        raise refuse(line_of(path, row), "the close must lie between low and high", got, "Mend or drop that bar")


def _without_absent(name: str, path: Path, found: NDArray[np.datetime64], values: NDArray[np.float64]) -> Series:
    there = ~np.isnan(values)
    if not there.any():
        raise refuse(str(path), f"{name} must have at least one value", "none", "Complete the column")
    return Series(name, str(path), found[there], values[there], None, np.flatnonzero(there) + 2)
