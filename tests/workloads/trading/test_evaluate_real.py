"""Evaluation on SPY, TLT and BIL 2002-2022 against the figures published with the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.config import load_config
from components.config_trading import TradingConfig
from components.evaluation.performance import figures
from components.workloads.trading import baseline as b
from components.workloads.trading import evaluate as e
from components.workloads.trading.accounts import open_accounts
from components.workloads.trading.data import prepare
from components.workloads.trading.strategies import weight_matrix
from components.workloads.trading.walk import walk

from .prepared_market import PARAMS, first_champion, held_out

SOURCE = PARAMS.parent.parent / "shared" / "data" / "trading"
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not SOURCE.is_dir(), reason="the market data lie in ../shared/data/trading"),
]
# mix -> compound growth a year, volatility, maximum drawdown in percent, Sharpe ratio over BIL; rebalanced daily, free
PUBLISHED = {
    "20/50/30": (6.19, 6.45, -12.5, 0.801),
    "40/30/30": (7.16, 7.07, -19.6, 0.865),
    "60/20/20": (8.50, 10.64, -32.8, 0.721),
    "70/20/10": (9.44, 12.51, -38.3, 0.700),
    "80/15/5": (9.99, 14.57, -44.2, 0.654),
    "90/10/0": (10.48, 16.68, -49.6, 0.618),
    "85/15/0": (10.43, 15.52, -46.6, 0.649),
    "75/25/0": (10.25, 13.32, -40.2, 0.720),
}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[TradingConfig, Path]:
    shipped = load_config(PARAMS).trading
    section = shipped.model_copy(update={"data": shipped.data.model_copy(update={"source": str(SOURCE)})})
    prepared = tmp_path_factory.mktemp("real") / "prepared"
    prepare(section, prepared)
    return section, prepared


def test_accounts_of_the_mixes_are_the_published_ones(real: tuple[TradingConfig, Path]) -> None:
    section, prepared = real
    dates = np.load(prepared / "dates.npy").astype("datetime64[D]")
    days = np.flatnonzero((dates >= np.datetime64("2002-07-30")) & (dates <= np.datetime64("2022-02-10")))
    weights = weight_matrix(section.data.strategies, section.data.symbols)
    mixes = dict(zip(section.data.strategies, weights, strict=True))
    found = open_accounts(np.load(prepared / "close.npy"), days, {}, weights, mixes, 5, 0.0, cash=2)
    for name, (annual, volatility, drawdown, sharpe) in PUBLISHED.items():
        own = figures(found.net[name], found.cash, found.turnover[name])
        assert own["annual"] * 100 == pytest.approx(annual, abs=0.005)
        assert own["volatility"] * 100 == pytest.approx(volatility, abs=0.01)
        assert own["drawdown"] * 100 == pytest.approx(drawdown, abs=0.11)
        assert own["sharpe"] == pytest.approx(sharpe, abs=0.007)


def test_softmax_regression_shows_no_edge(real: tuple[TradingConfig, Path], tmp_path: Path) -> None:
    """Hold-out from 2016: majority .53, and what softmax regression reaches is no more than that."""
    section, prepared = real
    rules = e.models(section, prepared, b.fit_softmax(section, prepared))
    frames = e.score_all(rules, held_out(prepared))
    found = e.find(section, prepared, frames, walk(section, prepared, tmp_path, b.load))
    assert not found.walk.softmax_earns_more and found.walk.evidence is None
    accuracy = {name: of["test/strategy/accuracy"].value for name, of in found.metrics.items()}
    assert accuracy["majority"] == pytest.approx(0.530, abs=0.001)
    assert 0.40 < accuracy["softmax"] <= accuracy["majority"] + 0.01
    assert found.metrics["static"]["test/return/net"].value * 100 == pytest.approx(0.307, abs=0.001)
    assert found.metrics["static"]["test/regret/static"].value == pytest.approx(0.0, abs=1e-9)
    assert found.evidence.benchmark == "90/10/0" and found.evidence.verdict != "edge"
    assert found.never_best == ["70/20/10", "80/15/5", "85/15/0"]
    assert not found.leakage.alarm


def test_the_first_champion_is_a_static_mix(real: tuple[TradingConfig, Path]) -> None:
    champion = first_champion(*real)
    assert isinstance(champion, b.Always)
    assert champion.names[champion.strategy] == "90/10/0"
