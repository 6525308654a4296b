"""Bad market data, one a row: each is answered by one line with place, rule, value and hint, the right code and exit
status, and nothing half-written."""

from __future__ import annotations

import datetime
import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from components.config import parse_config, read_yaml
from components.errors import EquipoiseError
from components.files import sha256_tree
from components.workloads.trading.data import prepare
from tests.workloads.trading.small_bars import section, walk, write_panel

ROOT = Path(__file__).parents[2]
PANEL = walk(500)
DAYS = [str(day) for day in PANEL.dates]
BASE = {"holdout_from": DAYS[400]}
Change = Callable[[Path], object]
VOLUME = {"volume": True}
YIELDS = {"exogenous": {"DGS20": 1}}


def spy(change: Callable[[list[str]], list[str]]) -> Change:
    """Changes the lines of SPY.csv; line 0 is the header, line 100 a bar in the middle."""

    def apply(folder: Path) -> None:
        path = folder / "SPY.csv"
        path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")

    return apply


def bar(text: Any, row: int = 100) -> Change:
    """Puts another close (or, where it has a comma, another line) in the place of a bar's."""

    def change(lines: list[str]) -> list[str]:
        new = text if isinstance(text, str) and "," in text else f"{lines[row].split(',')[0]},{text}"
        return [*lines[:row], new, *lines[row + 1 :]]

    return spy(change)


def days(form: Callable[[str], str]) -> Change:
    """Writes all days of SPY.csv in another form."""
    return spy(lambda lines: [lines[0], *(f"{form(row.split(',')[0])},{row.split(',')[1]}" for row in lines[1:])])


def raw(content: bytes, name: str = "SPY.csv") -> Change:
    return lambda folder: (folder / name).write_bytes(content)


def volumes(values: Callable[[int], object]) -> Change:
    def apply(folder: Path) -> None:
        for name in ("SPY", "TLT"):
            path = folder / f"{name}.csv"
            lines = path.read_text().splitlines()
            rows = [f"{line},{values(i) if name == 'TLT' else 1000}" for i, line in enumerate(lines[1:])]
            path.write_text("\n".join([f"{lines[0]},Volume", *rows]))

    return apply


def parquet(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Change:
    def apply(folder: Path) -> None:
        path = folder / "SPY.csv"
        table = pl.read_csv(path, try_parse_dates=True)
        path.unlink()
        change(table).write_parquet(folder / "SPY.parquet")

    return apply


def yields(lines: list[str]) -> Change:
    return raw("\n".join(["DATE,DGS20", *lines]).encode(), "DGS20.csv")


def split(factor: float) -> Change:
    def change(lines: list[str]) -> list[str]:
        cells = [line.split(",") for line in lines[250:]]
        return [*lines[:250], *(f"{day},{float(close) / factor}" for day, close in cells)]

    return spy(change)


def keep(first: int, last: int, name: str = "SPY") -> Change:
    def apply(folder: Path) -> None:
        path = folder / f"{name}.csv"
        lines = path.read_text().splitlines()
        path.write_text("\n".join([lines[0], *lines[first:last]]))

    return apply


def both(first: Change, second: Change) -> Change:
    return lambda folder: (first(folder), second(folder))


def table(change: Callable[[list[str]], list[str]]) -> Change:
    """Log of trades beside the bars."""
    return lambda folder: (folder / "log.csv").write_text("\n".join(change(["date,strategy,pnl"])))


NOTHING: Change = lambda folder: None  # noqa: E731 (a change like the others)
HALF = gzip.compress(b"Date,Close\n" + b"2020-01-01,100\n" * 4000)[:-20]

# name, what is done to the bars, what to the parameters, code, exit status, words of the rule
ROWS: list[tuple[str, Change, dict[str, Any], str, int, str]] = [
    ("days not in order", spy(lambda x: [*x[:99], x[100], x[99], *x[101:]]), {}, "E_ORDER", 65, "days must rise"),
    ("newest first", spy(lambda x: [x[0], *x[:0:-1]]), {}, "E_ORDER", 65, "days must rise"),
    ("a day twice", spy(lambda x: [*x[:100], x[99], *x[100:]]), {}, "E_ORDER", 65, "a day must stand once"),
    ("days in UTC", days(lambda d: f"{d}T00:00:00Z"), {}, "E_BARS", 65, "no time zone"),
    ("days with an offset", days(lambda d: f"{d} 00:00:00-05:00"), {}, "E_BARS", 65, "no time zone"),
    ("one zoned day", bar(f"{DAYS[99]} 00:00:00+00:00,101"), {}, "E_BARS", 65, "no time zone"),
    ("a zoned Parquet column", parquet(lambda t: t.with_columns(
        pl.col("Date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))), {}, "E_BARS", 65, "no time zone"),
    ("hourly bars", days(lambda d: f"{d} 09:30:00"), {}, "E_BARS", 65, "must be daily"),
    ("an hour in Parquet", parquet(lambda t: t.with_columns(
        pl.col("Date").cast(pl.Datetime("us")) + pl.duration(hours=16))), {}, "E_BARS", 65, "must be daily"),
    ("days before months", days(lambda d: f"{d[8:]}/{d[5:7]}/{d[:4]}"), {}, "E_BARS", 65, "must be a day"),
    ("years of two digits", days(lambda d: f"{d[5:7]}/{d[8:]}/{d[2:4]}"), {}, "E_BARS", 65, "1800..2200"),
    ("the 30th of February", bar("2020-02-30,101"), {}, "E_BARS", 65, "must be a day"),
    ("two forms of days", bar("05/20/2020,101"), {}, "E_BARS", 65, "must be a day"),
    ("seconds since 1970", days(lambda d: str(np.datetime64(d, "s").astype(int))), {}, "E_BARS", 65, "must be a day"),
    ("an empty day", bar(",101"), {}, "E_BARS", 65, "must be a day"),
    ("a negative close", bar(-37.63), {}, "E_BARS", 65, "a close must be above 0"),
    ("a close of 0", bar(0), {}, "E_BARS", 65, "a close must be above 0"),
    ("an empty close", bar(""), {}, "E_BARS", 65, "close must be a finite number"),
    ("a close that is no number", bar("NaN"), {}, "E_BARS", 65, "close must be a finite number"),
    ("an infinite close", bar("1e999"), {}, "E_BARS", 65, "close must be a finite number"),
    ("a close in dollars", bar("$101"), {}, "E_BARS", 65, "close must be a finite number"),
    ("a close in words", bar("n/a"), {}, "E_BARS", 65, "close must be a finite number"),
    ("thousands separated", bar('2020-05-20,"1,101.5"'), {}, "E_BARS", 65, "close must be a finite number"),
    ("an empty line in the middle", spy(lambda x: [*x[:100], "", *x[100:]]), {}, "E_BARS", 65, "must be a day"),
    ("a line of three cells", bar("2020-05-20,101,7"), {}, "E_BARS", 65, "must be a CSV or Parquet table"),
    ("a split that was not adjusted", split(4), {}, "E_SPLIT", 65, "within 40% either way"),
    ("a reverse split", split(0.1), {}, "E_SPLIT", 65, "within 40% either way"),
    ("a slip of the point", bar(1012.0), {}, "E_SPLIT", 65, "within 40% either way"),
    ("a hole of months", both(keep(1, 200), spy(lambda x: [*x, *(f"{d},100" for d in DAYS[300:])])), {}, "E_CALENDAR",
     65, "quoted on the same days"),
    ("a hole in all symbols", lambda f: [write_panel(type(PANEL)(np.delete(PANEL.dates, range(200, 230)), (
        "SPY", "TLT"), np.delete(PANEL.close, range(200, 230), axis=0)), f)], {}, "E_GAP", 65, "10 calendar days"),
    ("other years", days(lambda d: f"{int(d[:4]) - 15}{d[4:]}" if d[5:] != "02-29" else f"{int(d[:4]) - 16}{d[4:]}"),
     {}, "E_CALENDAR", 65, "must share days"),
    ("no day in common", both(keep(1, 240), keep(260, 500, "TLT")), {}, "E_CALENDAR", 65, "must share days"),
    ("no bars", raw(b""), {}, "E_BARS", 65, "must hold a table"),
    ("a header only", raw(b"Date,Close\n"), {}, "E_BARS", 65, "at least one row"),
    ("no close", raw(b"Date,Price\n2020-01-01,5\n"), {}, "E_BARS", 65, "closing price"),
    ("no day", raw(b"Session,Close\n2020-01-01,5\n"), {}, "E_BARS", 65, "column with the day"),
    ("two closes", raw(b"Date,Close,close\n2020-01-01,5,6\n"), {}, "E_BARS", 65, "stand once"),
    ("semicolons", raw(b"Date;Close\n2020-01-01;5\n"), {}, "E_BARS", 65, "column with the day"),
    ("not UTF-8", raw(b"Date,Close\n2020-01-01,\xff\n"), {}, "E_BARS", 65, "CSV or Parquet"),
    ("half a gzip file", raw(HALF), {}, "E_ARCHIVE", 65, "whole gzip file"),
    ("half a Parquet file", raw(b"PAR1" + b"\0" * 40), {}, "E_BARS", 65, "CSV or Parquet"),
    ("a close outside its range", raw(b"Date,High,Low,Close\n2020-01-01,9,8,10\n"), {}, "E_BARS", 65, "low and high"),
    ("one symbol only", lambda f: (f / "TLT.csv").unlink(), {}, "E_MISSING", 66, "must hold bars of TLT"),
    ("no folder", NOTHING, {"source": "nowhere"}, "E_MISSING", 66, "file or folder"),
    ("a table without the symbol", raw(b"date,symbol,close\n2020-01-01,SPY,5\n", "all.csv"), {"source": "all.csv"},
     "E_MISSING", 66, "must hold TLT"),
    ("no volume", NOTHING, VOLUME, "E_VOLUME", 65, "asks for traded volume"),
    ("volume 0 throughout", volumes(lambda i: 0), VOLUME, "E_VOLUME", 65, "asks for traded volume"),
    ("volume 0 on a day", volumes(lambda i: 0 if i == 50 else 9), VOLUME, "E_VOLUME", 65, "above 0"),
    ("a negative volume", volumes(lambda i: -3 if i == 50 else 9), VOLUME, "E_VOLUME", 65, "above 0"),
    ("no yields", NOTHING, YIELDS, "E_MISSING", 66, "exogenous series DGS20"),
    ("yields that end early", yields([f"{d},2.5" for d in DAYS[:300]]), YIELDS, "E_EXOGENOUS", 65, "10 days old"),
    ("yields with a hole", yields([f"{d},{'.' if 200 < i < 260 else 2}" for i, d in enumerate(DAYS)]), YIELDS,
     "E_EXOGENOUS", 65, "10 days old"),
    ("yields of later years", yields(["2031-01-02,2.5"]), YIELDS, "E_EXOGENOUS", 65, "10 days old"),
    ("yields without a value", yields([f"{d},." for d in DAYS]), YIELDS, "E_BARS", 65, "at least one value"),
    ("yields out of order", yields([f"{d},2" for d in DAYS[::-1]]), YIELDS, "E_ORDER", 65, "days must rise"),
    ("a horizon longer than the bars", NOTHING, {"horizon": 480, "purge": 480, "embargo": 480}, "E_HORIZON", 65,
     "look-back and 480 of horizon"),
    ("a window longer than the bars", NOTHING, {"window": 480}, "E_HORIZON", 65, "days of look-back"),
    ("a hold-out after the bars", NOTHING, {"holdout_from": "2040-01-01"}, "E_SHORT", 65, "hold-out must have"),
    ("a hold-out before the bars", NOTHING, {"holdout_from": "2001-01-01"}, "E_SHORT", 65, "3 folds need blocks"),
    ("more folds than months", NOTHING, {"folds": 50}, "E_SHORT", 65, "50 folds need blocks"),
    ("labels from beyond the bars", NOTHING, {"label_from": "2039-01-01", "holdout_from": "2040-01-01"}, "E_CALENDAR",
     65, "label_from 2039-01-01"),
    ("no log of trades", NOTHING, {"trade_log": "log.csv"}, "E_MISSING", 66, "readable file"),
    ("a log of other strategies", table(lambda x: [*x, f"{DAYS[90]},gold,0.1"]), {"trade_log": "log.csv"},
     "E_TRADE_LOG", 65, "trading.data.strategies"),
    ("a log in percent", table(lambda x: [*x, f"{DAYS[90]},stocks,1.5"]), {"trade_log": "log.csv"}, "E_TRADE_LOG", 65,
     "fraction of the wealth"),
]  # fmt: skip


def refusal(tmp_path: Path, folder: Path, **changes: Any) -> EquipoiseError:
    """What prepare says; whatever stood in the output's place still stands there."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "earlier").write_text("kept")
    before = sha256_tree(out)
    with pytest.raises(EquipoiseError) as caught:
        prepare(section(**{**BASE, "source": str(folder), **changes}), out)
    assert sha256_tree(out) == before
    assert not list(tmp_path.glob(".*"))
    return caught.value


@pytest.mark.parametrize(
    ("change", "settings", "code", "status", "rule"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS]
)
def test_bad_bars(tmp_path, monkeypatch, change, settings, code, status, rule):
    folder = write_panel(PANEL, tmp_path / "bars")
    change(folder)
    monkeypatch.chdir(folder)
    error = refusal(tmp_path, folder, **settings)
    assert (error.code, int(error.exit_code)) == (code, status), error
    assert rule in error.rule, error
    assert "\n" not in str(error) and str(error).startswith(f"{code} ") and error.hint


def test_good_bars_pass(tmp_path):
    report = prepare(section(**{**BASE, "source": str(write_panel(PANEL, tmp_path / "bars"))}), tmp_path / "out")
    assert report["splits"]["test"]["days"] == 95


def test_the_line_is_named(tmp_path):
    folder = write_panel(PANEL, tmp_path / "bars")
    bar("x")(folder)
    assert refusal(tmp_path, folder).place == f"{folder}/SPY.csv:101"


def test_the_line_in_a_table_of_many_symbols_is_named(tmp_path):
    rows = [f"{day},{symbol},{100 if i != 8 else -1}" for i, day in enumerate(DAYS) for symbol in ("SPY", "TLT")]
    (tmp_path / "all.csv").write_text("\n".join(["date,symbol,close", *rows]))
    assert refusal(tmp_path, tmp_path / "all.csv").place.endswith("all.csv:18")


# --- LEAN's files -----------------------------------------------------------------------------------------------------

GOOD = "\n".join(f"{day.replace('-', '')} 00:00,1000000,1000000,1000000,1000000,10" for day in DAYS)


def zipped(content: str, *names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names or ("spy.csv",):
            archive.writestr(name, content)
    return stream.getvalue()


def at(row: int, line: str) -> bytes:
    lines = GOOD.splitlines()
    return zipped("\n".join([*lines[:row], line, *lines[row + 1 :]]))


LEAN: list[tuple[str, dict[str, bytes | None], str, int, str]] = [
    ("no factor file", {"factor_files/spy.csv": None}, "E_MISSING", 66, "splits and dividends"),
    ("no map file", {"map_files/spy.csv": None}, "E_MISSING", 66, "which tickers"),
    ("no bars of an earlier ticker", {"map_files/spy.csv": b"20190101,old,N\n20200601,old,N\n20501231,spy,N"},
     "E_MISSING", 66, "needs this file"),
    ("no zip", {"daily/spy.zip": b"20200101 00:00,1,1,1,1,1"}, "E_ARCHIVE", 65, "archive"),
    ("half a zip", {"daily/spy.zip": zipped(GOOD)[:-30]}, "E_ARCHIVE", 65, "archive"),
    ("two members", {"daily/spy.zip": zipped(GOOD, "spy.csv", "tlt.csv")}, "E_BARS", 65, "one CSV file"),
    ("a member that climbs", {"daily/spy.zip": zipped(GOOD, "../spy.csv")}, "E_ARCHIVE", 65, "inside the archive"),
    ("an empty member", {"daily/spy.zip": zipped("")}, "E_BARS", 65, "one CSV file"),
    ("quote bars of forex", {"daily/spy.zip": zipped("20200101 00:00" + ",1" * 10)}, "E_BARS", 65, "6 fields"),
    ("minute bars", {"daily/spy.zip": at(3, "20200106 09:31,1,1,1,1,1")}, "E_BARS", 65, "YYYYMMDD 00:00"),
    ("a raw close of 0", {"daily/spy.zip": at(3, "20200106 00:00,1,1,1,0,1")}, "E_BARS", 65, "close must be a number"),
    ("an empty volume", {"daily/spy.zip": at(3, "20200106 00:00,1,1,1,1,")}, "E_BARS", 65, "volume must be a number"),
    ("a day twice", {"daily/spy.zip": at(3, GOOD.splitlines()[2])}, "E_ORDER", 65, "stand once"),
    ("factors that end early", {"factor_files/spy.csv": b"20200601,1,1,0"}, "E_FACTORS", 65, "reach every bar"),
    ("a split factor of 0", {"factor_files/spy.csv": b"20501231,1,0,0"}, "E_FACTORS", 65, "above 0"),
    ("factors out of order", {"factor_files/spy.csv": b"20501231,1,1,0\n20200601,1,1,1"}, "E_FACTORS", 65, "rise"),
    ("a factor file in words", {"factor_files/spy.csv": b"soon,1,1,0"}, "E_FACTORS", 65, "YYYYMMDD"),
    ("a map out of order", {"map_files/spy.csv": b"20501231,spy,N\n20200101,spy,N"}, "E_FACTORS", 65, "in time"),
    ("a company listed later", {"map_files/spy.csv": b"20400101,spy,N"}, "E_BARS", 65, "must have bars"),
    ("splits not in the factors", {"daily/spy.zip": at(200, f"{DAYS[200].replace('-', '')} 00:00,1,1,1,500000,1")},
     "E_SPLIT", 65, "within 40%"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "code", "status", "rule"), [row[1:] for row in LEAN], ids=[row[0] for row in LEAN])
def test_bad_lean_files(tmp_path, files, code, status, rule):
    home = tmp_path / "lean" / "equity" / "usa"
    whole = {"factor_files/spy.csv": b"20501231,1,1,0", "map_files/spy.csv": b"20190101,spy,N\n20501231,spy,N"}
    for name, content in {"daily/spy.zip": zipped(GOOD), **whole, **files}.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            (home / name).write_bytes(content)
    mixes = {"all": {"SPY": 1.0}, "half": {"SPY": 0.5}}
    error = refusal(tmp_path, tmp_path / "lean", symbols=["SPY"], strategies=mixes, format="lean")
    assert (error.code, int(error.exit_code)) == (code, status), error
    assert rule in error.rule, error
    assert "\n" not in str(error)


# --- the section in params.yaml ---------------------------------------------------------------------------------------

SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "a strategy of an unknown symbol": ({"strategies": {"a": {"GLD": 1.0}, "b": {}}}, "GLD must be one of symbols"),
    "more than all the wealth": ({"strategies": {"a": {"SPY": 0.9, "TLT": 0.2}, "b": {}}}, "not sum to more than 1"),
    "a short sale": ({"strategies": {"a": {"SPY": -0.5}, "b": {}}}, "greater than or equal to 0"),
    "one strategy": ({"strategies": {"a": {"SPY": 1.0}}}, "at least 2"),
    "a symbol twice": ({"symbols": ["SPY", "SPY", "TLT", "BIL"]}, "stand once"),
    "a symbol that climbs": ({"symbols": ["../SPY", "SPY", "TLT", "BIL"]}, "match pattern"),
    "a symbol as exogenous": ({"exogenous": {"SPY": 0}}, "not stand among symbols and exogenous"),
    "a value known before its day": ({"exogenous": {"VIX": -1}}, "greater than or equal to 0"),
    "a purge below the horizon": ({"purge": 4}, "at least the horizon"),
    "an embargo below the horizon": ({"embargo": 0}, "at least the horizon"),
    "a horizon of 0": ({"horizon": 0}, "greater than or equal to 1"),
    "two folds": ({"folds": 2}, "greater than or equal to 3"),
    "a hold-out that is no day": ({"holdout_from": "2016-13-01"}, "month must be in 1..12"),
    "a hold-out in words": ({"holdout_from": "after the crisis"}, "isoformat"),
    "a hold-out that is a number": ({"holdout_from": 2016}, "must be a day"),
    "labels from after the hold-out": ({"label_from": "2017-01-01"}, "before holdout_from"),
    "a negative cost": ({"cost": -1.0}, "greater than or equal to 0"),
    "an unknown format": ({"format": "hdf5"}, "input should be"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_bad_settings(name):
    changes, rule = SETTINGS[name]
    values = read_yaml(ROOT / "params.yaml")
    values["trading"]["data"] |= {"horizon": 5, "purge": 5, "embargo": 5, "holdout_from": "2016-01-01", **changes}
    with pytest.raises(EquipoiseError) as caught:
        parse_config(values)
    assert int(caught.value.exit_code) == 78
    assert rule.lower() in str(caught.value).lower()
    assert "\n" not in str(caught.value)


def test_a_day_without_quotes_is_the_same_day():
    values = read_yaml(ROOT / "params.yaml")
    typed = {**values["trading"]["data"], "holdout_from": datetime.date(2016, 3, 1)}
    values["trading"]["data"] = typed
    assert parse_config(values).trading.data.holdout_from == "2016-03-01"
