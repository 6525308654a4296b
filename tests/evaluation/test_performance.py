"""Figures of return series against numbers worked by hand and properties that hold for any series."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from components.errors import EquipoiseError
from components.evaluation import performance as p

# to a ten-thousandth of a basis point: the square of 1e-162 is 0, and no account ever moved by that
RETURNS = hnp.arrays(np.float64, st.integers(2, 40), elements=st.floats(-0.2, 0.2)).map(
    lambda returns: returns.round(8)
)


def test_hand_worked_account() -> None:
    """+10%, -50%, +20%: 1.1, .55, .66; mean -.0667; losses only on the second day."""
    found = p.figures([0.1, -0.5, 0.2], [0.0, 0.0, 0.0], [1.0, 0.5, 0.0])
    assert found["total"] == pytest.approx(-0.34)
    assert found["drawdown"] == pytest.approx(-0.5)
    assert found["annual"] == pytest.approx(0.66 ** (252 / 3) - 1)
    spread = math.sqrt(((0.1 + 0.2 / 3) ** 2 + (-0.5 + 0.2 / 3) ** 2 + (0.2 + 0.2 / 3) ** 2) / 2)
    assert found["sharpe"] == pytest.approx(-0.2 / 3 / spread * math.sqrt(252))
    assert found["sortino"] == pytest.approx(-0.2 / 3 / math.sqrt(0.25 / 3) * math.sqrt(252))
    assert found["turnover"] == pytest.approx(0.5 * 252)


def test_cash_is_taken_off_the_ratios_alone() -> None:
    returns, cash = np.array([0.01, 0.03, -0.01]), np.array([0.01, 0.01, 0.01])
    found = p.figures(returns, cash, np.zeros(3))
    assert found["sharpe"] == pytest.approx(0.0, abs=1e-12)
    assert found["total"] == pytest.approx(1.01 * 1.03 * 0.99 - 1)


def test_a_first_loss_is_a_drawdown() -> None:
    """The starting value counts as a height."""
    assert p.drawdown([-0.25, 0.1]) == pytest.approx(-0.25)


def test_what_does_not_vary_has_no_ratio() -> None:
    assert math.isnan(p.sharpe([0.01, 0.01, 0.01]))
    assert math.isnan(p.sortino([0.01, 0.02]))
    assert math.isnan(p.daily_sharpe([0.01]))


def test_an_empty_series_has_no_figures() -> None:
    assert all(math.isnan(v) for name, v in p.figures([], [], []).items() if name != "drawdown")


@given(hnp.arrays(np.float64, st.integers(20, 60), elements=st.floats(-0.02, 0.02)))
def test_the_curve_ends_where_the_annual_return_says(returns: np.ndarray) -> None:
    years = len(returns) / 252
    assert (1 + float(p.annual_return(returns))) ** years == pytest.approx(float(p.growth(returns)[-1]), rel=1e-9)
    assert -1 <= p.drawdown(returns) <= 0


@given(RETURNS, st.floats(0.1, 3))
def test_ratios_do_not_depend_on_leverage(returns: np.ndarray, factor: float) -> None:
    for ratio in (p.sharpe, p.sortino):
        a, b = float(ratio(returns)), float(ratio(returns * factor))
        assert math.isnan(a) == math.isnan(b)
        if not math.isnan(a):
            assert b == pytest.approx(a, rel=1e-6, abs=1e-9)


@given(hnp.arrays(np.float64, (12, 3), elements=st.floats(-0.2, 0.2)))
def test_columns_are_judged_each_alone(returns: np.ndarray) -> None:
    for ratio in (p.sharpe, p.sortino, p.drawdown, p.annual_return, p.volatility):
        together = np.asarray(ratio(returns))
        alone = np.array([float(ratio(column)) for column in returns.T])
        np.testing.assert_allclose(together, alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.5])
def test_impossible_returns_name_their_day(bad: float) -> None:
    with pytest.raises(EquipoiseError, match=r"E_RETURNS mix: .* on day 1"):
        p.checked([0.0, bad], "mix")
