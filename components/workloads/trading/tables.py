"""CSV and Parquet tables of daily values: days and numbers are checked column by column, and the first wrong cell is
named with its line."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import NoReturn

import numpy as np
import polars as pl
from numpy.typing import NDArray

from components.data.archives import file_bytes
from components.errors import EquipoiseError, bad_data

DAY_FORMATS = ("%Y-%m-%d", "%m/%d/%Y", "%Y%m%d")
_MIDNIGHT = re.compile(r"[T ]00:00(:00(\.0+)?)?$")
_ZONE = re.compile(r"\d\d:\d\d.*(Z|UTC|GMT|[+-]\d\d:?\d\d)$")
EARLIEST, LATEST = np.datetime64("1800-01-01"), np.datetime64("2200-01-01")


def refuse(place: str, rule: str, got: object, hint: str, code: str = "BARS") -> EquipoiseError:
    """A broken rule of market data: E_<code> (65)."""
    return bad_data(place, rule, got=got, hint=hint, code=code)


def read_table(path: Path) -> pl.DataFrame:
    """A .csv, .csv.gz or .parquet file as columns; a CSV's are all text, names are lower case without outer blanks.

    Raises:
        EquipoiseError: E_MISSING (66) when it cannot be opened, E_ARCHIVE (65) for a damaged gzip file, E_BARS (65)
            when it is no such table.
    """
    raw = file_bytes(path)
    hint = "Write the file again: one header line, one row a day"
    if not raw.strip():
        raise refuse(str(path), "must hold a table", "an empty file", hint)
    try:
        if raw[:4] == b"PAR1":
            table = pl.read_parquet(io.BytesIO(raw))
        else:
            table = pl.read_csv(io.BytesIO(raw), infer_schema=False, encoding="utf8")
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise refuse(str(path), "must be a CSV or Parquet table", str(error).split("\n")[0], hint) from error
    names = [name.strip().strip("\ufeff").lower() for name in table.columns]
    twice = next((name for name in names if names.count(name) > 1 or "_duplicated_" in name), None)
    if twice is not None:
        raise refuse(f"{path}:1", "every column must stand once", twice.split("_duplicated_")[0], hint)
    filled = pl.Series(table.select(pl.any_horizontal(pl.all().is_not_null())).to_series()).arg_true()
    if len(filled) == 0:
        raise refuse(str(path), "must hold at least one row", "a header only", hint)
    table = table[: int(filled[-1]) + 1]  # empty lines at the end
    return table.rename(dict(zip(table.columns, names, strict=True)))


def line_of(path: Path, row: int) -> str:
    """Where a row stands, as an editor shows it: the header is line 1."""
    return f"{path}:{row + 2}"


def days(table: pl.DataFrame, column: str, path: Path) -> NDArray[np.datetime64]:
    """A column of days: ISO, M/D/YYYY or YYYYMMDD, one form throughout; midnight may stand behind.

    Returns:
        [rows] datetime64[D].

    Raises:
        EquipoiseError: E_BARS (65) for another form, a time of day or a time zone: which day a bar belongs to must not
            depend on where the file is read.
    """
    values = table[column]
    if values.dtype == pl.Date:
        found = values
    elif isinstance(values.dtype, pl.Datetime):
        found = _plain_days(values, values.dtype, path)
    else:
        found = _parse_days(values.cast(pl.String, strict=False), path)
    if found.null_count():
        _no_day(table[column], found, path)
    result = found.to_numpy().astype("datetime64[D]")
    outside = (result < EARLIEST) | (result > LATEST)
    if outside.any():
        row = int(outside.argmax())
        raise refuse(
            line_of(path, row), "days must lie in 1800..2200", str(result[row]), "Write years with four digits"
        )
    return result


def _plain_days(values: pl.Series, kind: pl.Datetime, path: Path) -> pl.Series:
    if kind.time_zone is not None:
        _zoned(line_of(path, 0), kind.time_zone)
    cut = values.dt.truncate("1d")
    if not (cut == values).all():
        row = int((cut != values).arg_true()[0])
        _timed(line_of(path, row), str(values[row]))
    return values.dt.date()


def _parse_days(text: pl.Series, path: Path) -> pl.Series:
    first = (text[0] or "").strip()
    if _ZONE.search(first):
        _zoned(line_of(path, 0), first)
    plain = text.str.strip_chars().str.replace(_MIDNIGHT.pattern, "")
    for form in DAY_FORMATS:
        head = plain[:1].str.to_date(form, strict=False)
        if head[0] is not None:
            return plain.str.to_date(form, strict=False)
    return pl.Series(values=[None] * len(text), dtype=pl.Date)


def _no_day(values: pl.Series, found: pl.Series, path: Path) -> NoReturn:
    row = int(found.is_null().arg_true()[0])
    text = "" if values[row] is None else str(values[row]).strip()
    place = line_of(path, row)
    if _ZONE.search(text):
        _zoned(place, text)
    if re.search(r"\d[T ]\d\d:\d\d", text):
        _timed(place, text)
    hint = "Write all days alike: YYYY-MM-DD, MM/DD/YYYY or YYYYMMDD"
    raise refuse(place, "must be a day", text or "an empty cell", hint)


def _zoned(place: str, got: str) -> NoReturn:
    hint = "Convert to the exchange's own days first: bars cut in another zone hold hours of the next day"
    raise refuse(place, "days must have no time zone", got, hint)


def _timed(place: str, got: str) -> NoReturn:
    raise refuse(place, "bars must be daily", got, "Give one bar a day, without a time of day")


def numbers(table: pl.DataFrame, column: str, path: Path, absent: bool = False) -> NDArray[np.float64]:
    """A column of finite numbers. `absent`: empty cells and "." mean no value and become NaN.

    Raises:
        EquipoiseError: E_BARS (65) for anything else.
    """
    values = table[column]
    if values.dtype == pl.String:
        text = values.str.strip_chars()
        blank = text.is_null() | text.is_in(["", "."]) if absent else pl.Series([False] * len(text))
        found = text.cast(pl.Float64, strict=False)
    elif values.dtype.is_numeric():
        blank = values.is_null() if absent else pl.Series([False] * len(values))
        found = values.cast(pl.Float64, strict=False)
    else:
        raise refuse(str(path), f"{column} must hold numbers", str(values.dtype), "Write the column as numbers")
    result = found.fill_null(np.nan).to_numpy().astype(np.float64)
    wrong = ~np.isfinite(result) & ~blank.to_numpy().astype(bool)
    if wrong.any():
        row = int(wrong.argmax())
        got = values[row] if values[row] not in (None, "") else "an empty cell"
        hint = "Give a plain decimal number, without thousands separators or signs of currency"
        raise refuse(line_of(path, row), f"{column} must be a finite number", got, hint)
    result[blank.to_numpy().astype(bool)] = np.nan
    return result


def pick(table: pl.DataFrame, names: tuple[str, ...], path: Path, what: str) -> str:
    """The first of `names` that is a column.

    Raises:
        EquipoiseError: E_BARS (65) when none is.
    """
    for name in names:
        if name in table.columns:
            return name
    hint = f"Name the column {names[0]}"
    raise refuse(f"{path}:1", f"must have a column with the {what}", ", ".join(table.columns), hint)
