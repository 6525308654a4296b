"""Small bars for tests: a section of parameters, a panel of random walks, and files of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from components.config_trading import TradingConfig, TradingData
from components.workloads.trading.records import Panel

PARAMS: dict[str, Any] = {
    "data": {
        "source": "bars",
        "format": "auto",
        "symbols": ["SPY", "TLT"],
        "exogenous": {},
        "volume": False,
        "longest_gap": 10,
        "largest_move": 0.4,
        "strategies": {"stocks": {"SPY": 1.0}, "half": {"SPY": 0.5, "TLT": 0.5}, "bonds": {"TLT": 1.0}},
        "trade_log": None,
        "horizon": 5,
        "cost": 0.0,
        "dead_band": 0.0,
        "window": 10,
        "folds": 3,
        "purge": 5,
        "embargo": 5,
        "label_from": None,
        "holdout_from": "2021-12-01",
        "seed": 7,
        "embedded": "planted",
        "embedded_days": 800,
        "embedded_edge": 0.15,
    }
}


def data_section(**changes: Any) -> TradingData:
    """The data section for the panels and files below."""
    return TradingData.model_validate({**PARAMS["data"], **changes})


def section(**changes: Any) -> TradingConfig:
    """A section of which only `data` is there: what generate and prepare read."""
    return TradingConfig.model_construct(data=data_section(**changes))


def walk(days: int = 600, symbols: tuple[str, ...] = ("SPY", "TLT"), seed: int = 1, exogenous: bool = False) -> Panel:
    """Random walks on weekdays from 2020-01-01 on."""
    chance = np.random.default_rng(seed)
    dates = np.arange(np.datetime64("2020-01-01"), np.datetime64("2020-01-01") + 2 * days)
    dates = dates[np.is_busday(dates)][:days]
    close = 100 * np.exp(np.cumsum(0.01 * chance.standard_normal((days, len(symbols))), axis=0))
    beside = {"VIX": 15 + chance.standard_normal(days)} if exogenous else {}
    return Panel(dates, symbols, close, None, beside)


def write_panel(panel: Panel, folder: Path) -> Path:
    """One CSV file a symbol and a value, as the generator writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = {symbol: panel.close[:, i] for i, symbol in enumerate(panel.symbols)} | dict(panel.exogenous)
    for name, values in columns.items():
        lines = [f"{day},{value!r}" for day, value in zip(panel.dates, values.tolist(), strict=True)]
        (folder / f"{name}.csv").write_text("\n".join(["Date,Close", *lines, ""]), encoding="utf-8")
    return folder
