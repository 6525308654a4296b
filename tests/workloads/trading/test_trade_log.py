"""A log of real trades says what a day earned; days without one stay open."""

from __future__ import annotations

import numpy as np
import pytest

from components.errors import EquipoiseError
from components.workloads.trading.trade_log import read_trade_log
from tests.workloads.trading.small_bars import walk

DATES = walk(30).dates
NAMES = ("stocks", "bonds")


def log(tmp_path, *rows: str):
    path = tmp_path / "trades.csv"
    path.write_text("\n".join(["Date,Strategy,PnL", *rows]))
    return read_trade_log(path, DATES, NAMES)


def test_days_get_what_they_earned(tmp_path):
    found = log(tmp_path, "2019-12-31,bonds,0.5", f"{DATES[2]},stocks,0.012", f"{DATES[7]}, bonds ,-0.03")
    assert np.flatnonzero(~np.isnan(found)).tolist() == [2, 7]
    assert found[[2, 7]].tolist() == [0.012, -0.03]


@pytest.mark.parametrize(
    ("rows", "code", "rule"),
    [
        (["2020-01-03,gold,0.1"], "E_TRADE_LOG", "one of trading.data.strategies"),
        (["2020-01-03,,0.1"], "E_TRADE_LOG", "one of trading.data.strategies"),
        (["2020-01-03,stocks,1.2"], "E_TRADE_LOG", "a fraction of the wealth"),
        (["2020-01-04,stocks,0.1"], "E_TRADE_LOG", "the day must have a bar"),  # a Saturday
        (["2019-01-04,stocks,0.1"], "E_TRADE_LOG", "must have trades within"),
        (["2020-01-03,stocks,0.1", "2020-01-03,bonds,0.1"], "E_ORDER", "a day must stand once"),
        (["2020-01-06,stocks,0.1", "2020-01-03,bonds,0.1"], "E_ORDER", "days must rise"),
        (["2020-01-03,stocks,NaN"], "E_BARS", "pnl must be a finite number"),
        (["2020-01-03,stocks,"], "E_BARS", "pnl must be a finite number"),
        (["03.01.2020,stocks,0.1"], "E_BARS", "must be a day"),
        ([], "E_BARS", "at least one row"),
    ],
)
def test_bad_logs_are_refused(tmp_path, rows, code, rule):
    with pytest.raises(EquipoiseError, match=rule) as caught:
        log(tmp_path, *rows)
    assert (caught.value.code, caught.value.exit_code) == (code, 65)
    assert "\n" not in str(caught.value)
