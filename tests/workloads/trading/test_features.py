"""Features know the past alone, the same from many bars or from few, and are what their names say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.workloads.trading.features import LOOKBACK, feature_names, features_of
from components.workloads.trading.records import Panel, rows
from tests.workloads.trading.small_bars import walk


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), day=st.integers(LOOKBACK, 148), cut=st.sampled_from(["permuted", "replaced"]))
def test_no_feature_sees_the_future(seed, day, cut):
    panel = walk(150, seed=seed, exogenous=True)
    volume = np.random.default_rng(seed).uniform(1, 9, panel.close.shape)
    panel = replace(panel, volume=volume)
    chance = np.random.default_rng(seed + 1)
    order = np.arange(150)
    order[day + 1 :] = chance.permutation(order[day + 1 :])
    factor = np.ones(150) if cut == "permuted" else np.where(np.arange(150) > day, chance.uniform(0.1, 9, 150), 1.0)
    other = Panel(
        panel.dates,
        panel.symbols,
        panel.close[order] * factor[:, None],
        volume[order] * factor[:, None],
        {"VIX": panel.exogenous["VIX"][order] * factor},
    )
    assert np.array_equal(features_of(panel)[: day + 1], features_of(other)[: day + 1], equal_nan=True)
    later = features_of(panel)[day + 1 :], features_of(other)[day + 1 :]
    assert cut == "permuted" or not np.array_equal(*later)


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), day=st.integers(LOOKBACK, 149), more=st.integers(0, 30))
def test_few_bars_give_the_features_of_many(seed, day, more):
    panel = walk(150, seed=seed, exogenous=True)
    start = max(0, day - LOOKBACK - more)
    few = features_of(rows(panel, start, day + 1))
    assert np.array_equal(few[-1], features_of(panel)[day])


def test_they_exist_exactly_from_the_look_back_on():
    found = features_of(walk(LOOKBACK + 5))
    assert np.isnan(found[:LOOKBACK]).all()
    assert np.isfinite(found[LOOKBACK:]).all()


def test_too_few_bars_give_no_features():
    assert np.isnan(features_of(walk(LOOKBACK))).all()
    assert np.isnan(features_of(walk(3))).all()


def test_worked_by_hand():
    days = LOOKBACK + 1
    close = np.full((days, 2), 100.0)
    close[-1] = [110.0, 90.0]
    close[-6, 0] = 80.0
    panel = Panel(np.arange(days).astype("datetime64[D]"), ("A", "B"), close, None, {"Y": np.arange(days) * 0.5})
    found = dict(zip(feature_names(("A", "B"), ("Y",), False), features_of(panel)[-1], strict=True))
    assert found["A return 1"] == pytest.approx(np.log(1.1))
    assert found["A return 5"] == pytest.approx(np.log(110 / 80))
    assert found["B return 60"] == pytest.approx(np.log(0.9))
    assert found["A below its 60-day high"] == 0.0
    assert found["B below its 60-day high"] == pytest.approx(np.log(0.9))
    assert found["B volatility 20"] == pytest.approx(abs(np.log(0.9)) * np.sqrt(19) / 20)  # one move among 20
    assert found["Y"] == 30.0
    assert (found["Y change 5"], found["Y change 20"]) == (2.5, 10.0)
    assert -1 <= found["A B correlation 60"] < 0


def test_what_never_moves_has_no_correlation():
    panel = walk(80)
    still = Panel(panel.dates, panel.symbols, np.column_stack([panel.close[:, 0], np.full(80, 7.0)]))
    names = feature_names(panel.symbols, (), False)
    assert np.all(features_of(still)[LOOKBACK:, names.index("SPY TLT correlation 60")] == 0.0)


def test_names_fit_columns():
    panel = replace(walk(70, exogenous=True), volume=np.ones((70, 2)))
    names = feature_names(panel.symbols, ("VIX",), True)
    assert len(set(names)) == len(names) == features_of(panel).shape[1] == 2 * 7 + 1 + 2 + 3
