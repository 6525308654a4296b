"""The embedded data: a stock index, long bonds and cash with volatility and yields beside them, written as CSV files.

`market`: the stock index is the S&P 500 (closes 1999-2018 without dividends) that the `arch` package carries, cash
earns the one-month bill rate it carries too; the bonds are generated: a 20-year par bond whose yield walks at random,
at times against the stocks and at times not. VIX is a stand-in from the index's daily ranges.

`planted`: everything is generated, and the volatility index tells which of two regimes drives the days to come. Who
follows it has a known information ratio over the best mix that never changes; with an edge of 0 nobody has one.
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.errors import missing
from components.files import write_text

Array = NDArray[np.float64]
YEAR = 252
LAST_DAY = np.datetime64("2018-12-31")  # of planted bars; the first follows from their number

BOND_YEARS = 20
YIELD_START, YIELD_MOVE = 5.4, 0.016  # percent; daily deviation of its logarithm
COUPLING = (0.6, 0.1)  # correlation of yields with stocks, in the two states that alternate
COUPLING_STAY = 0.997

STOCK_MOVE, BOND_MOVE, COUPLED = 0.010, 0.008, -0.4  # planted: daily deviations and correlation
CASH_RATE = 2.5  # percent a year; also the mean return of stocks and bonds, so that no mix is better than another
REGIME_DAYS = (20, 60)
CALM_VIX, WILD_VIX, VIX_NOISE = 15.0, 27.0, 2.0
LATE = 1.25  # how much stronger the drift must be: decisions are held into the next regime, and the best mix of three
# years in hindsight is a little better than either in the long run
_MIXES = np.array([[0.9, 0.1], [0.2, 0.5]])  # stocks and bonds of the mixes that the two regimes favour


class Bars(NamedTuple):
    """[D] days with closes of stocks, bonds and cash, and the values beside them."""

    days: NDArray[np.datetime64]
    stocks: Array
    bonds: Array
    cash: Array
    vix: Array
    bill_yield: Array
    bond_yield: Array


def generate(section: Any, folder: Path) -> None:
    """Writes SPY, TLT, BIL, VIX, DGS3MO and DGS20 as CSV files for a `trading` section.

    Raises:
        EquipoiseError: E_MISSING (66) without the `arch` package, E_WRITE (73) or E_IO (74).
    """
    data = section.data
    if data.embedded == "market":
        write_market(data.seed, folder)
    else:
        write_planted(data.seed, data.embedded_days, data.embedded_edge, folder)


def write_market(seed: int, folder: Path) -> None:
    """The same seed gives the same bytes."""
    write_bars(market(seed), folder)


def write_planted(seed: int, days: int, edge: float, folder: Path) -> None:
    """The same seed, number of days and edge give the same bytes."""
    write_bars(planted(seed, days, edge)[0], folder)


def market(seed: int) -> Bars:
    """S&P 500 and bill rates with generated bonds."""
    days, table = _carried("sp500", "sp500.csv.gz", ("High", "Low", "Adj Close"))
    high, low, stocks = table.T
    returns = np.diff(np.log(stocks), prepend=np.log(stocks[0]))
    chance = np.random.default_rng([seed, 1])
    bill = _bill_rates(days)
    range_variance = np.log(high / low) ** 2 / (4 * math.log(2))
    vix = 100 * np.sqrt(YEAR * _smoothed(range_variance, 0.9)) * 1.4  # ranges miss the nights
    path = _yield_path(returns / np.sqrt(_smoothed(returns**2, 0.97, start=1e-4)), chance)
    bonds = _par_bond(path)
    return Bars(days, stocks, bonds, _cash(bill), vix, bill, path)


def planted(seed: int, days: int, edge: float) -> tuple[Bars, NDArray[np.int64]]:
    """Generated bars and [D] the regime, 1 or -1, that drives the return of the day after.

    Args:
        edge: mean over deviation of the daily difference between following the regime and the fixed mix that was
            better in hindsight over three years, when decisions are spread over five overlapping books that hold for
            five days each, before costs (over decades, where hindsight helps less, 1.13 times as much).
    """
    chance = np.random.default_rng([seed, 2])
    regime = _regimes(days, chance)
    noise = chance.standard_normal((days, 2))
    noise[:, 1] = COUPLED * noise[:, 0] + math.sqrt(1 - COUPLED**2) * noise[:, 1]
    base = CASH_RATE / 100 / YEAR
    drift = np.concatenate([[0], regime[:-1]]) * _drift(edge)
    stock_returns = base + drift + STOCK_MOVE * noise[:, 0]
    bond_returns = base - drift / 2 + BOND_MOVE * noise[:, 1]
    vix = np.where(regime > 0, CALM_VIX, WILD_VIX) + VIX_NOISE * chance.standard_normal(days)
    bill = np.full(days, CASH_RATE)
    slope = np.cumsum(chance.standard_normal(days)) * 0.02
    long_yield = np.clip(4.0 + slope - slope.mean(), 0.5, None)
    dates = np.arange(LAST_DAY - np.timedelta64(2 * days), LAST_DAY + np.timedelta64(1))
    dates = dates[np.is_busday(dates)][-days:]
    stocks: Array = 100 * np.cumprod(1 + stock_returns, dtype=np.float64)
    bonds: Array = 100 * np.cumprod(1 + bond_returns, dtype=np.float64)
    bars = Bars(dates, stocks, bonds, _cash(bill), vix, bill, long_yield)
    return bars, regime


def _drift(edge: float) -> float:
    """Daily drift of the stocks, half of it against the bonds, that gives following the regime the information ratio.

    Half of the days the follower holds what the better fixed mix holds, on the others it gains the drift of the
    difference m with its deviation s: mean m / 2, variance s^2 / 2 + m^2 / 4.
    """
    stock, bond = _MIXES[0] - _MIXES[1]
    deviation = math.sqrt(
        (stock * STOCK_MOVE) ** 2 + (bond * BOND_MOVE) ** 2 + 2 * stock * bond * COUPLED * STOCK_MOVE * BOND_MOVE
    )
    return LATE * deviation * edge * math.sqrt(2 / (1 - edge**2)) / (stock - bond / 2)


def _regimes(days: int, chance: np.random.Generator) -> NDArray[np.int64]:
    lengths = chance.integers(*REGIME_DAYS, size=days // REGIME_DAYS[0] + 2, endpoint=True)
    signs = np.where(np.arange(len(lengths)) % 2 == 0, 1, -1) * (1 if chance.random() < 0.5 else -1)
    return np.repeat(signs, lengths)[:days]


def _yield_path(shocks: Array, chance: np.random.Generator) -> Array:
    """[D] percent; shocks are the stocks' returns in units of their recent deviation."""
    state = 0
    moves = chance.standard_normal(len(shocks))
    switches = chance.random(len(shocks)) > COUPLING_STAY
    level = math.log(YIELD_START)
    path = np.empty(len(shocks))
    for day in range(len(shocks)):
        state ^= int(switches[day])
        tie = COUPLING[state]
        shock = tie * float(np.clip(shocks[day], -4, 4)) + math.sqrt(1 - tie**2) * moves[day]
        level += YIELD_MOVE * shock - YIELD_MOVE**2 / 2
        path[day] = math.exp(level)
    return path


def _par_bond(percent: Array) -> Array:
    """[D] index of a portfolio that holds a bond of BOND_YEARS at par, bought anew at every close."""
    before, now = percent[:-1] / 100, percent[1:] / 100
    periods = 2 * BOND_YEARS
    factor = (1 + now / 2) ** -periods
    price = before / now * (1 - factor) + factor
    return 100 * np.concatenate([[1.0], np.cumprod(price + before / YEAR)])


def _cash(percent: Array) -> Array:
    return 100 * np.concatenate([[1.0], np.cumprod(1 + percent[:-1] / 100 / YEAR)])


def _smoothed(values: Array, memory: float, start: float | None = None) -> Array:
    result = np.empty(len(values))
    level = values[:20].mean() if start is None else start
    for i, value in enumerate(values):
        level = memory * level + (1 - memory) * value
        result[i] = level
    return result


def _bill_rates(days: NDArray[np.datetime64]) -> Array:
    """[D] percent a year: the one-month rate fixed at the beginning of the day's month, the last one carried on."""
    months, rates = _carried("frenchdata", "frenchdata.csv.gz", ("RF",))
    at = np.searchsorted(months, days.astype("datetime64[M]").astype("datetime64[D]"), side="right") - 1
    return np.maximum(rates[at, 0] * 12, 0.0)


def _carried(name: str, file: str, columns: Sequence[str]) -> tuple[NDArray[np.datetime64], Array]:
    """[D] days and [D, C] columns of a table in the `arch` package, which is not imported for it."""
    spec = importlib.util.find_spec("arch")
    path = None if spec is None or spec.origin is None else Path(spec.origin).parent / "data" / name / file
    if path is None or not path.is_file():
        raise missing(
            "trading.data.embedded",
            "market takes its closes from the arch package",
            got="not installed" if path is None else f"no {name} in it",
            hint="Install arch, or set trading.data.embedded to planted",
        )
    with gzip.open(path, "rt", encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    return np.array([_day(row["Date"]) for row in rows]), np.array([[float(row[c]) for c in columns] for row in rows])


def _day(text: str) -> np.datetime64:
    if "/" in text:
        month, day, year = text.split("/")
        return np.datetime64(f"{year}-{int(month):02}-{int(day):02}", "D")
    return np.datetime64(f"{text[:4]}-{text[4:]}-01", "D")


def write_bars(bars: Bars, folder: Path) -> None:
    """One CSV file a symbol or value: Date,Close."""
    for name, values, decimals in (
        ("SPY", bars.stocks, 6),
        ("TLT", bars.bonds, 6),
        ("BIL", bars.cash, 8),
        ("VIX", bars.vix, 2),
        ("DGS3MO", bars.bill_yield, 2),
        ("DGS20", bars.bond_yield, 2),
    ):
        text = io.StringIO()
        text.write("Date,Close\n")
        text.writelines(f"{day},{value:.{decimals}f}\n" for day, value in zip(bars.days, values, strict=True))
        write_text(folder / f"{name}.csv", text.getvalue())
