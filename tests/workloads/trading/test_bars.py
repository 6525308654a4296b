"""Bars from whatever table they stand in are the same bars, on shared days, with values that were known by then."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from components.errors import EquipoiseError
from components.workloads.trading.bars import read_panel, source_format
from tests.workloads.trading.small_bars import data_section, walk, write_panel

REAL = Path("../shared/data/trading")


def read(source: Path, look_back: int = 70, **changes):
    return read_panel(data_section(source=str(source), **changes), look_back)


def test_csv_gives_back_what_was_written(tmp_path):
    panel = walk(100, exogenous=True)
    assert read(write_panel(panel, tmp_path / "bars"), exogenous={"VIX": 0}) == panel


@pytest.mark.parametrize("form", ["gzip", "parquet", "long", "long parquet", "wide", "capitals", "adjusted", "typed"])
def test_other_forms_hold_the_same(tmp_path, form):
    panel = walk(90)
    whole = write_panel(panel, tmp_path / "bars")
    source = tmp_path / "other"
    source.mkdir()
    tables = {s: pl.read_csv(whole / f"{s}.csv", infer_schema=form in ("typed", "parquet")) for s in panel.symbols}
    for symbol, table in tables.items():
        if form == "gzip":
            (source / f"{symbol}.csv.gz").write_bytes(gzip.compress((whole / f"{symbol}.csv").read_bytes()))
        elif form == "parquet":
            table.write_parquet(source / f"{symbol}.parquet")
        elif form == "typed":
            table.with_columns(pl.col("Date").str.to_date()).write_parquet(source / f"{symbol.lower()}.parquet")
        elif form == "capitals":
            days = table["Date"].str.to_date().dt.strftime("%m/%d/%Y")
            table.select(days.alias("DATE"), table["Close"].alias(" CLOSE")).write_csv(source / f"{symbol}.csv")
        elif form == "adjusted":
            raw = table.with_columns(pl.col("Close").alias("Adj Close"), pl.lit("7").alias("Close"))
            raw.write_csv(source / f"{symbol}.csv")
    if form in ("long", "long parquet"):
        rows = pl.concat([t.with_columns(symbol=pl.lit(s)) for s, t in tables.items()])
        source = tmp_path / ("all.parquet" if "parquet" in form else "all.csv")
        rows.write_parquet(source) if "parquet" in form else rows.write_csv(source)
    elif form == "wide":
        columns = [t.select("Date", pl.col("Close").alias(s)) for s, t in tables.items()]
        source = tmp_path / "all.csv"
        columns[0].join(columns[1], on="Date").write_csv(source)
    assert read(source) == panel


def test_days_and_times_of_midnight_are_the_same_days(tmp_path):
    panel = walk(80)
    folder = write_panel(panel, tmp_path / "bars")
    for symbol, form in (("SPY", "%Y%m%d"), ("TLT", "%Y-%m-%dT00:00:00")):
        table = pl.read_csv(folder / f"{symbol}.csv", infer_schema=False)
        table.with_columns(pl.col("Date").str.to_date().dt.strftime(form)).write_csv(folder / f"{symbol}.csv")
    assert read(folder) == panel


def test_only_shared_days_stay(tmp_path):
    panel = walk(300)
    folder = write_panel(panel, tmp_path / "bars")
    text = (folder / "TLT.csv").read_text().splitlines()
    (folder / "TLT.csv").write_text("\n".join(text[:100] + text[102:]))
    found = read(folder)
    assert len(found) == 298
    assert set(panel.dates) - set(found.dates) == {panel.dates[99], panel.dates[100]}
    kept = np.isin(panel.dates, found.dates)
    assert np.array_equal(found.close, panel.close[kept])


def test_a_value_counts_when_it_is_published_and_no_earlier(tmp_path):
    panel = walk(80)
    folder = write_panel(panel, tmp_path / "bars")
    days = [str(day) for day in panel.dates]
    lines = [f"{day},{i}" if i % 3 else f"{day},." for i, day in enumerate(days)]
    (folder / "DGS20.csv").write_text("\n".join(["DATE,DGS20", *lines]))
    found = read(folder, exogenous={"DGS20": 1})
    assert found.dates[0] == panel.dates[2]  # the first value is of day 1, known on day 2
    assert found.exogenous["DGS20"][:5].tolist() == [1.0, 2.0, 2.0, 4.0, 5.0]
    today = read(folder, exogenous={"DGS20": 0})
    assert today.exogenous["DGS20"][:4].tolist() == [1.0, 2.0, 2.0, 4.0]
    assert today.dates[0] == panel.dates[1]


def test_what_lies_before_the_look_back_is_not_judged(tmp_path):
    panel = walk(300)
    wild = panel.close.copy()
    wild[:100] *= 20
    broken = write_panel(type(panel)(panel.dates, panel.symbols, wild), tmp_path / "bars")
    with pytest.raises(EquipoiseError, match=r"E_SPLIT .*within 40% either way, got -9\d\.\d% of SPY"):
        read(broken)
    found = read(broken, look_back=20, label_from=str(panel.dates[200]))
    assert found.dates[0] == panel.dates[181]
    assert np.array_equal(found.close, panel.close[181:])


def test_auto_knows_the_formats(tmp_path):
    for name in ("a/etf", "b/lean/equity/usa/daily", "c", "d"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "d" / "SPY.parquet").touch()
    found = {name: source_format(tmp_path / name, "auto") for name in "abcd"}
    assert found == {"a": "etf", "b": "lean", "c": "csv", "d": "parquet"}
    assert source_format(tmp_path / "a", "lean") == "lean"
    assert source_format(tmp_path / "bars.parquet", "auto") == "parquet"


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.is_dir(), reason="the public price files are not beside the project")
def test_the_published_total_returns():
    data = {"symbols": ["SPY", "TLT", "BIL"], "exogenous": {"VIX": 0, "DGS20": 1}, "label_from": "2002-07-30"}
    found = read(REAL, 80, **data)
    year = found.dates.astype("datetime64[Y]").astype(int) + 1970

    def earned(symbol: str, of: int) -> float:
        last = found.close[[np.flatnonzero(year == of - 1)[-1], np.flatnonzero(year == of)[-1]]]
        return last[1, found.symbols.index(symbol)] / last[0, found.symbols.index(symbol)] - 1

    for of, percent in ((2008, 33.9), (2009, -21.8), (2011, 34.0), (2013, -13.4), (2014, 27.3), (2021, -4.6)):
        assert earned("TLT", of) * 100 == pytest.approx(percent, abs=0.1)
    for of, percent in ((2008, -37.0), (2013, 32.4), (2019, 31.5), (2021, 28.7)):
        assert earned("SPY", of) * 100 == pytest.approx(percent, abs=0.36)
    day = int(np.flatnonzero(found.dates == np.datetime64("2020-03-16"))[0])
    assert found.exogenous["VIX"][day] == 82.69
    daily = np.diff(np.log(found.close[80:, :2]), axis=0)
    assert np.corrcoef(daily.T)[0, 1] == pytest.approx(-0.40, abs=0.005)


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.is_dir(), reason="the public price files are not beside the project")
def test_the_published_table_of_twenty_stocks():
    found = read(REAL / "skfolio" / "sp500_dataset.csv.gz", symbols=["AAPL", "BAC"], strategies={
        "apple": {"AAPL": 1.0}, "bank": {"BAC": 1.0}}, largest_move=0.6)  # fmt: skip
    assert len(found) == 8313
    assert found.close[0, 0] == pytest.approx(0.264, abs=0.001)


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.is_dir(), reason="the public price files are not beside the project")
def test_yields_that_were_not_published_are_missed():
    data = {"symbols": ["SPY", "TLT", "BIL"], "exogenous": {"DGS20": 1}}
    with pytest.raises(EquipoiseError, match=r"E_EXOGENOUS .*DGS20 must have a value at most 10 days old"):
        read(REAL, 80, label_from="1988-01-04", **data)
