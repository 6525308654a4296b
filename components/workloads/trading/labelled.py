"""Labelled days that came in since a training: bars, read without preparing anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from components.config_trading import TradingConfig
from components.workloads.trading.bars import read_panel
from components.workloads.trading.features import LOOKBACK
from components.workloads.trading.records import Labels, Sample, rows
from components.workloads.trading.requests import sample_of
from components.workloads.trading.strategies import best, horizon_returns, weight_matrix


def labelled(section: TradingConfig, source: Path) -> Iterator[Sample]:
    """The days of a folder or table of bars that have both their look-back and their horizon, in order of time.

    Their regime is "": what volatility is usual only the training days say. Their pnl is the best strategy's.

    Raises:
        EquipoiseError: E_MISSING (66) without bars, the readers' codes (65) for what is wrong in them.
    """
    data = section.data.model_copy(update={"source": str(source)})
    back = LOOKBACK + data.window
    panel = read_panel(data, back)
    returns = horizon_returns(panel.close, weight_matrix(data.strategies, panel.symbols), data.horizon, data.cost)
    choices = best(returns, data.dead_band)
    since = 0 if data.label_from is None else int(np.searchsorted(panel.dates, np.datetime64(data.label_from)))
    for day in range(max(back - 1, since), len(panel) - data.horizon):
        labels = Labels(int(choices[day]), float(returns[day, choices[day]]), tuple(returns[day].tolist()), "")
        yield replace(sample_of(rows(panel, day - back + 1, day + 1)), labels=labels)
