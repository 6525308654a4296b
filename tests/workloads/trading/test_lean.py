"""LEAN's files: prices scaled by 10,000, splits and dividends undone, companies followed through their tickers."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from components.errors import EquipoiseError
from components.workloads.trading import lean
from components.workloads.trading.bars import read_panel
from tests.workloads.trading.small_bars import data_section

REAL = Path("../shared/data/trading")
real = pytest.mark.skipif(not REAL.is_dir(), reason="the public price files are not beside the project")

FILES = {
    "daily/old.zip": ("old.csv", "20200102 00:00,1000000,1000000,1000000,1000000,10\n"
                                 "20200103 00:00,1200000,1200000,1200000,1200000,10\n"
                                 "20200106 00:00,9990000,9990000,9990000,9990000,10"),
    "daily/new.zip": ("new.csv", "20200103 00:00,7000000,7000000,7000000,7000000,10\n"
                                 "20200106 00:00,600000,610000,590000,600000,40\n"
                                 "20200107 00:00,660000,660000,660000,660000,40"),
    "map_files/new.csv": "20200102,old,N\n20200103,old,N\n20501231,new,N",
    "factor_files/new.csv": "20200102,0.9,0.5,100\n20200103,1,0.5,120\n20501231,1,1,0",
}  # fmt: skip


def folder(tmp_path: Path, **changed: object) -> Path:
    """A LEAN folder of one company that traded as OLD, split 2:1 on its change to NEW, and paid a dividend before."""
    home = tmp_path / "equity" / "usa"
    for name, content in {**FILES, **changed}.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, tuple):
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr(*content)
        elif content is not None:
            path.write_text(str(content))
    return tmp_path


def test_worked_by_hand(tmp_path):
    found = lean.read(folder(tmp_path), "NEW")
    assert [str(day) for day in found.days] == ["2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07"]
    assert found.close.tolist() == [45.0, 60.0, 60.0, 66.0]
    assert found.volume.tolist() == [20.0, 20.0, 40.0, 40.0]


def test_a_ticker_before_its_company_came_is_another_company(tmp_path):
    found = lean.read(folder(tmp_path, **{"map_files/new.csv": "20200106,new,N\n20501231,new,N"}), "new")
    assert found.close.tolist() == [60.0, 66.0]


def test_files_of_days_that_nobody_asks_for_need_not_be_there(tmp_path):
    home = folder(tmp_path)
    (home / "equity/usa/daily/old.zip").unlink()
    with pytest.raises(EquipoiseError, match=r"E_MISSING .*old\.zip"):
        lean.read(home, "NEW")
    assert lean.read(home, "NEW", np.datetime64("2020-01-06")).close.tolist() == [60.0, 66.0]


@pytest.mark.real_data
@real
def test_the_two_sources_of_spy_earn_the_same():
    ours = lean.read(REAL, "SPY")
    assert len(ours.days) == 5849
    assert ours.close[-1] / ours.close[0] == pytest.approx(6.199, abs=0.0005)
    data = {"symbols": ["SPY"], "strategies": {"all": {"SPY": 1.0}, "half": {"SPY": 0.5}}}
    other = read_panel(data_section(source=str(REAL), label_from="1998-01-02", **data), 1)
    shared = np.isin(other.dates, ours.days)
    assert shared.sum() == 5849
    assert other.close[shared][-1, 0] / other.close[shared][0, 0] == pytest.approx(6.203, abs=0.0005)


@pytest.mark.real_data
@real
@pytest.mark.parametrize(
    ("symbol", "days", "first", "worst", "on"),
    [
        ("AAPL", 5849, "1998-01-02", -0.516, "2000-09-29"),  # its four splits are gone, its one true fall stays
        ("WM", 5849, "1998-01-02", -0.367, "1999-07-07"),  # Waste Management through UW and WMI, no bank
        ("FB", 2231, "2012-05-18", 0.296, "2013-07-25"),
        ("USO", 3770, "2006-04-10", -0.253, "2020-03-09"),
        ("GOOGL", 4183, "2004-08-19", 0.399, "2008-10-01"),  # through goog.zip, at half its price
        ("GOOG", 1766, "2014-03-27", 0.161, "2015-07-17"),
    ],
)
def test_companies_are_followed(symbol, days, first, worst, on):
    found = lean.read(REAL, symbol)
    moves = found.close[1:] / found.close[:-1] - 1
    largest = int(np.abs(moves).argmax())
    assert (len(found.days), str(found.days[0])) == (days, first)
    assert (round(float(moves[largest]), 3), str(found.days[largest + 1])) == (worst, on)


@pytest.mark.real_data
@real
def test_a_hole_in_the_history_is_named():
    with pytest.raises(EquipoiseError, match=r"qqqq\.zip: QQQ needs this file \(2004-11-30\.\.2011-03-22\)"):
        lean.read(REAL, "QQQ")
    assert len(lean.read(REAL, "QQQ", np.datetime64("2011-03-23")).days) == 3964 - 1441


@pytest.mark.real_data
@real
def test_forex_is_refused():
    with pytest.raises(EquipoiseError, match="an equity bar has 6 fields, got 11 fields"):
        lean.read_zip(REAL / "lean/forex/oanda/daily/gbpusd.zip", "gbpusd")
