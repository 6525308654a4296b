"""Metrics of decisions against numbers worked by hand, and what must hold for any decisions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.config_parts import EvaluationConfig
from components.errors import EquipoiseError
from components.workloads.trading import metrics as m
from components.workloads.trading.records import Labels, Panel, Sample

from .prepared_market import chosen

NAMES = ("stocks", "half", "bonds")
SETTINGS = EvaluationConfig(resamples=200, confidence=0.9, seed=1, calibration_bins=5, minimum_slice=1)


def sample(day: int, returns: tuple[float, ...], labelled: bool = True) -> Sample:
    date = np.datetime64("2020-01-01") + day
    panel = Panel(np.array([date]), ("SPY",), np.ones((1, 1)))
    labels = Labels(int(np.argmax(returns)), max(returns), returns, "up/calm") if labelled else None
    return Sample(str(date), date, 600 + day // 31, panel, labels)


FOUR = [
    sample(0, (0.03, 0.01, -0.01)),
    sample(1, (-0.02, 0.0, 0.02)),
    sample(40, (0.01, 0.0, -0.01)),
    sample(41, (0.02, 0.03, 0.04)),
]


def test_a_hand_worked_table() -> None:
    """Chosen: stocks (right), half (of -.02..+.02 the middle), stocks (right), stocks (the worst)."""
    frame = m.score(FOUR, chosen([0, 1, 0, 0], NAMES))
    found = m.values(frame, 5, horizon=5, names=NAMES)
    assert found["strategy/accuracy"] == 0.5
    assert found["strategy/balanced_accuracy"] == 0.5  # stocks 2 of 2, bonds 0 of 2, half never the label
    assert found["strategy/macro_f1"] == pytest.approx((2 * 2 / (3 + 2) + 0 + 0) / 3)
    assert found["return/net"] == pytest.approx((0.03 + 0.0 + 0.01 + 0.02) / 4)
    assert found["return/captured"] == pytest.approx((0.04 + 0.02 + 0.02 + 0.0) / (0.04 + 0.04 + 0.02 + 0.02))
    assert found["regret/oracle"] == pytest.approx((0.0 + 0.02 + 0.0 + 0.02) / 4 * 1e4 / 5)
    # always stocks, half or bonds: .04, .04 and .04 in all; the first of equals
    assert found["regret/static"] == pytest.approx((0.04 - 0.06) / 4 * 1e4 / 5)
    assert found["steps/mean"] == 2.0
    assert found["strategy/ece"] == pytest.approx(0.4)  # said .9, right half of the time


def test_halt_precision_looks_at_sure_decisions_only() -> None:
    said = [*chosen([0, 0], NAMES, sure=0.9), *chosen([0, 0], NAMES, sure=0.5)]
    frame = m.score(FOUR, said)
    assert m.values(frame, 5, 5, NAMES)["halt/precision"] == 0.5
    never = m.score(FOUR, chosen([0, 0, 0, 0], NAMES, sure=0.1))
    assert "halt/precision" not in m.values(never, 5, 5, NAMES)


def test_rows_name_their_day_month_and_slices() -> None:
    frame = m.score(FOUR, chosen([0, 1, 0, 0], NAMES))
    assert frame["id"].to_list() == ["2020-01-01", "2020-01-02", "2020-02-10", "2020-02-11"]
    assert frame["month"].to_list() == ["2020-01", "2020-01", "2020-02", "2020-02"]
    assert frame["conversation"].to_list() == ["600", "600", "601", "601"]
    named = frame.select(**m.slices(NAMES))
    assert named["strategy"].to_list() == ["stocks", "bonds", "stocks", "bonds"]
    assert named["year"].unique().to_list() == ["2020"]
    np.testing.assert_allclose(m.strategy_returns(frame)[1], (-0.02, 0.0, 0.02))


def test_intervals_hold_their_values_and_undefined_metrics_are_left_out() -> None:
    frame = m.score(FOUR, chosen([0, 1, 0, 0], NAMES, sure=0.1))
    found = m.metrics(frame, SETTINGS, 5, NAMES)
    assert found["test/strategy/accuracy"].value == 0.5
    assert all(name.startswith("test/") for name in found) and "test/halt/precision" not in found
    assert all(each.low <= each.value <= each.high for each in found.values() if each.low == each.low)
    assert m.metrics(frame.clear(), SETTINGS, 5, NAMES) == {}


def test_a_table_less_itself_is_zero() -> None:
    frame = m.score(FOUR, chosen([0, 1, 0, 0], NAMES))
    assert all(each == (0.0, 0.0, 0.0) for each in m.differences(frame, frame, SETTINGS, 5, NAMES).values())
    with pytest.raises(ValueError, match="same samples"):
        m.differences(frame, frame.reverse(), SETTINGS, 5, NAMES)


def test_the_objective_is_the_captured_share() -> None:
    best = [int(np.argmax(s.labels.returns)) for s in FOUR if s.labels]
    worst = [int(np.argmin(s.labels.returns)) for s in FOUR if s.labels]
    assert m.validation_metrics(m.score(FOUR, chosen(best, NAMES)))["objective"] == pytest.approx(1.0)
    assert m.validation_metrics(m.score(FOUR, chosen(worst, NAMES)))["objective"] == pytest.approx(0.0)
    assert m.validation_metrics(m.score([], []))["objective"] == 0.0


def test_a_day_without_labels_cannot_be_judged() -> None:
    with pytest.raises(EquipoiseError, match=r"E_LABELS sample 2020-01-01"):
        m.score([sample(0, (0.0, 0.0, 0.0), labelled=False)], chosen([0], NAMES))


def test_strategies_that_are_never_the_best_are_named() -> None:
    assert m.never_seen(np.array([0, 2, 2]), NAMES) == ["half"]
    assert m.never_seen(np.array([], np.int64), NAMES) == list(NAMES)


RETURNS = st.tuples(*[st.floats(-0.3, 0.3)] * 3)


@given(st.lists(st.tuples(RETURNS, st.integers(0, 2)), min_size=1, max_size=20))
def test_what_holds_for_any_decisions(days: list[tuple[tuple[float, ...], int]]) -> None:
    frame = m.score([sample(i, r) for i, (r, _) in enumerate(days)], chosen([k for _, k in days], NAMES))
    hit, of = frame["return/captured/hit"].to_numpy(), frame["return/captured/of"].to_numpy()
    assert (hit >= 0).all() and (hit <= of).all()
    assert (frame["regret/oracle/hit"].to_numpy() >= 0).all()
    right = frame["strategy/accuracy/hit"].to_numpy() == 1
    assert not frame["regret/oracle/hit"].to_numpy()[right].any()
    found = m.values(frame, 5, 5, NAMES)
    assert found["regret/oracle"] >= found["regret/static"] - 1e-9
