"""QuantConnect LEAN's daily equity files: zipped raw prices in ten-thousandths of a dollar, factor files that undo
splits and dividends, and map files that say which ticker's file holds a company's bars, and when."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from components.data import archives
from components.errors import bad_data, missing
from components.workloads.trading.series import Series
from components.workloads.trading.tables import refuse

SCALE = 10_000.0
FOLDERS = ("", "equity/usa", "lean/equity/usa", "Data/equity/usa")
FIELDS = ("time", "open", "high", "low", "close", "volume")


class Listing(NamedTuple):
    """The bars of a company in a ticker's file: the days in (after, until]."""

    ticker: str
    after: np.datetime64
    until: np.datetime64


class Factors(NamedTuple):
    """[R] last days of a stretch, its price factor and its split factor."""

    days: NDArray[np.datetime64]
    price: NDArray[np.float64]
    split: NDArray[np.float64]


def home(source: Path) -> Path | None:
    """The folder with daily/, factor_files/ and map_files/, or None."""
    return next((source / folder for folder in FOLDERS if (source / folder / "daily").is_dir()), None)


def read(source: Path, symbol: str, since: np.datetime64 | None = None) -> Series:
    """A company's adjusted bars: total-return closes and split-adjusted volume.

    Args:
        source: the folder of LEAN's data, or a folder above it.
        symbol: today's ticker, as the map and factor files are named.
        since: earlier days are not needed; a file that holds only such need not be there.

    Raises:
        EquipoiseError: E_MISSING (66) without the folder, a ticker's file or its map or factor file, E_FACTORS (65) for
            a bad map or factor file, E_ARCHIVE or E_BARS (65) for bad bars.
    """
    folder = home(source)
    if folder is None:
        hint = "Name the folder that holds equity/usa/daily, or another trading.data.format"
        raise missing(str(source), "must hold LEAN's daily files", got="no equity/usa/daily", hint=hint)
    name = symbol.lower()
    listings = read_map(_need(folder / "map_files" / f"{name}.csv", symbol, "which tickers the company had"))
    factors = read_factors(_need(folder / "factor_files" / f"{name}.csv", symbol, "splits and dividends"))
    parts = []
    for listing in listings:
        if since is not None and listing.until < since:
            continue
        path = _need(folder / "daily" / f"{listing.ticker}.zip", symbol, f"{listing.after}..{listing.until}")
        raw = read_zip(path, listing.ticker)
        listed = raw.taken((raw.days > listing.after) & (raw.days <= listing.until))
        parts.append(adjust(listed, factors))
    if not sum(len(part.days) for part in parts):
        hint = "Name another symbol or an earlier trading.data.label_from"
        raise refuse(str(folder), f"{symbol} must have bars", "none in its listings", hint)
    return Series(
        symbol,
        parts[-1].place,
        np.concatenate([part.days for part in parts]),
        np.concatenate([part.close for part in parts]),
        np.concatenate([part.volume for part in parts]),
        np.concatenate([part.lines for part in parts]),
    )


def adjust(raw: Series, factors: Factors) -> Series:
    """Closes times price and split factor, volume divided by the split factor, of the stretch that ends on or after the
    day."""
    row = np.searchsorted(factors.days, raw.days, side="left")
    if (row == len(factors.days)).any():
        late = str(raw.days[int((row == len(factors.days)).argmax())])
        hint = "Fetch the factor file that belongs to these bars"
        raise bad_data(raw.place, "the factor file must reach every bar", got=late, hint=hint, code="FACTORS")
    assert raw.volume is not None, "LEAN bars have a volume"
    close = raw.close * factors.price[row] * factors.split[row]
    return Series(raw.name, raw.place, raw.days, close, raw.volume / factors.split[row], raw.lines)


def read_map(path: Path) -> list[Listing]:
    """`YYYYMMDD,ticker,exchange` rows: a ticker holds up to and including its date; the first date is the listing's."""
    rows = _rows(path, 2)
    listings, after = [], _day(rows[0][0], f"{path}:1") - np.timedelta64(1)
    for number, row in enumerate(rows, 1):
        until = _day(row[0], f"{path}:{number}")
        if until < after or not row[1]:
            raise _bad(f"{path}:{number}", "tickers must follow each other in time", ",".join(row))
        if until > after:
            listings.append(Listing(row[1].lower(), after, until))
        after = until
    return listings


def read_factors(path: Path) -> Factors:
    """`YYYYMMDD,price factor,split factor,raw close` rows in order of time."""
    rows = _rows(path, 3)
    found = [_day(row[0], f"{path}:{number}") for number, row in enumerate(rows, 1)]
    values = []
    for number, row in enumerate(rows, 1):
        try:
            price, split = float(row[1]), float(row[2])
        except ValueError:
            price = split = np.nan
        if not (0 < price < np.inf and 0 < split < np.inf):
            raise _bad(f"{path}:{number}", "factors must be numbers above 0", ",".join(row))
        values.append((price, split))
    for number in range(1, len(found)):
        if found[number] <= found[number - 1]:
            raise _bad(f"{path}:{number + 1}", "days must rise", ",".join(rows[number]))
    table = np.array(values)
    return Factors(np.array(found), table[:, 0], table[:, 1])


def read_zip(path: Path, ticker: str) -> Series:
    """Raw bars of one ticker's file, in dollars; the archive holds one CSV of six fields without a header."""
    members = [(name, raw) for name, raw in archives.members(path, lambda name: name.endswith(".csv"))]
    if len(members) != 1 or not members[0][1].strip():
        hint = "Fetch the file again"
        raise refuse(str(path), "must hold one CSV file with bars", [name for name, _ in members], hint)
    place = f"{path}:{members[0][0]}"
    try:
        table = pl.read_csv(io.BytesIO(members[0][1]), has_header=False, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise refuse(place, "must be CSV", str(error).split("\n")[0], "Fetch the file again") from error
    if table.width != len(FIELDS):
        hint = "Only equities are read: forex days are not cut in New York time"
        raise refuse(place, "an equity bar has 6 fields", f"{table.width} fields", hint)
    table.columns = list(FIELDS)
    found = _bar_days(table["time"], place)
    cells = {name: table[name].cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy() for name in FIELDS[1:]}
    for name, column in cells.items():
        wrong = ~np.isfinite(column) | ((column < 0) if name == "volume" else (column <= 0))
        if wrong.any():
            row = int(wrong.argmax())
            rule = f"{name} must be a number {'of shares' if name == 'volume' else 'above 0'}"
            raise refuse(f"{place}:{row + 1}", rule, table[name][row], "Fetch the file again")
    lines = np.arange(1, table.height + 1, dtype=np.int64)
    return Series(ticker, place, found, cells["close"] / SCALE, cells["volume"], lines)


def _bar_days(text: pl.Series, place: str) -> NDArray[np.datetime64]:
    found = text.str.to_datetime("%Y%m%d %H:%M", strict=False)
    cut = found.dt.truncate("1d")
    wrong = (found.is_null() | (found != cut)).fill_null(True)
    if wrong.any():
        row = int(wrong.arg_true()[0])
        hint = "Give daily bars, which start at 00:00 New York time"
        raise refuse(f"{place}:{row + 1}", "a daily bar must start at YYYYMMDD 00:00", text[row], hint)
    return found.dt.date().to_numpy().astype("datetime64[D]")


def _need(path: Path, symbol: str, what: str) -> Path:
    if not path.is_file():
        hint = "Fetch it from LEAN's repository, or begin after its days with trading.data.label_from"
        raise missing(str(path), f"{symbol} needs this file ({what})", got="no file", hint=hint)
    return path


def _rows(path: Path, fields: int) -> list[list[str]]:
    try:
        text = archives.file_bytes(path).decode("ascii")
    except UnicodeDecodeError as error:
        raise _bad(str(path), "must be plain text", f"byte {error.start}") from error
    rows = [line.strip().split(",") for line in text.splitlines()]
    if not rows or any(len(row) < fields for row in rows):
        number = next((n for n, row in enumerate(rows, 1) if len(row) < fields), 1)
        raise _bad(f"{path}:{number}", f"must have {fields} fields or more", ",".join(rows[number - 1]) if rows else "")
    return rows


def _day(text: str, place: str) -> np.datetime64:
    try:
        if len(text) != 8 or not text.isdigit():
            raise ValueError(text)
        return np.datetime64(f"{text[:4]}-{text[4:6]}-{text[6:]}", "D")
    except ValueError as error:
        raise _bad(place, "must begin with a day YYYYMMDD", text) from error


def _bad(place: str, rule: str, got: str) -> Exception:
    return bad_data(place, rule, got=got, hint="Fetch the file again from LEAN's repository", code="FACTORS")
