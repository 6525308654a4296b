"""The embedded data: the same bytes for the same seed, the S&P 500 as it was, and an edge of the planted size."""

from __future__ import annotations

import numpy as np
import pytest

from components.files import sha256_tree
from components.workloads.trading.bars import read_panel
from components.workloads.trading.generator import market, planted, write_market, write_planted
from tests.workloads.trading.small_bars import data_section

SYMBOLS = {"symbols": ["SPY", "TLT", "BIL"], "exogenous": {"VIX": 0, "DGS3MO": 1, "DGS20": 1}}
MIXES = np.array([[0.9, 0.1, 0.0], [0.2, 0.5, 0.3]])


def information_ratio(seed: int, days: int, edge: float) -> float:
    """Of following the regime in five overlapping books, over the mix that was better in hindsight."""
    bars, regime = planted(seed, days, edge)
    returns = np.column_stack([np.diff(x) / x[:-1] for x in (bars.stocks, bars.bonds, bars.cash)])
    chosen = MIXES[(regime < 0).astype(int)]
    books = [np.concatenate([np.repeat(chosen[:1], late, axis=0), chosen])[:days] for late in range(5)]
    follower = (np.mean(books, axis=0)[:-1] * returns).sum(axis=1)
    fixed = returns @ MIXES.T
    ahead = follower - fixed[:, fixed.mean(axis=0).argmax()]
    return float(ahead.mean() / ahead.std())


def test_the_edge_is_the_one_that_was_asked_for():
    found = [information_ratio(seed, 784, 0.15) for seed in range(40)]
    assert np.mean(found) == pytest.approx(0.15, abs=0.015)
    assert min(found) > 0.05
    assert np.mean([information_ratio(seed, 784, 0.05) for seed in range(40)]) < 0.08


def test_without_an_edge_nobody_has_one():
    assert abs(information_ratio(3, 200_000, 0.0)) < 0.01
    assert np.mean([information_ratio(seed, 784, 0.0) for seed in range(40)]) < 0.0  # hindsight alone is ahead


def test_the_regime_can_be_seen_but_not_the_next_one():
    bars, regime = planted(5, 5000, 0.15)
    assert np.mean((bars.vix < 21) == (regime > 0)) > 0.99
    changes = np.flatnonzero(np.diff(regime))
    assert np.diff(changes).min() >= 20 and np.diff(changes).max() <= 60
    assert np.std(np.diff(np.log(bars.stocks))) == pytest.approx(0.01, abs=0.001)


def test_bonds_and_stocks_move_against_each_other():
    bars, _ = planted(5, 20_000, 0.0)
    moves = np.diff(np.log(np.column_stack([bars.stocks, bars.bonds])), axis=0)
    assert np.corrcoef(moves.T)[0, 1] == pytest.approx(-0.4, abs=0.02)


def test_the_index_is_the_real_one():
    bars = market(7)
    assert (str(bars.days[0]), str(bars.days[-1]), len(bars.days)) == ("1999-01-04", "2018-12-31", 5031)
    assert (bars.stocks[0], bars.stocks[-1]) == (1228.099976, 2506.850098)
    assert bars.bill_yield[0] == pytest.approx(12 * 0.35)
    deviation = np.std(np.diff(np.log(bars.bonds))) * np.sqrt(252)
    assert 0.06 < deviation < 0.25
    assert -0.5 < np.corrcoef(np.diff(np.log(bars.stocks)), np.diff(np.log(bars.bonds)))[0, 1] < -0.1
    assert np.array_equal(market(8).stocks, bars.stocks)
    assert not np.array_equal(market(8).bonds, bars.bonds)


def test_a_par_bond_at_a_steady_yield_earns_its_yield():
    from components.workloads.trading.generator import _par_bond

    index = _par_bond(np.full(253, 5.0))
    assert index[-1] / index[0] == pytest.approx((1 + 0.05 / 252) ** 252)
    fallen = _par_bond(np.array([5.0, 4.0]))[1] / 100 - 1  # by a point: 20 years of half-yearly coupons at 4 percent
    assert fallen == pytest.approx(sum(0.025 / 1.02**n for n in range(1, 41)) + 1 / 1.02**40 - 1 + 0.05 / 252)


@pytest.mark.parametrize("kind", ["market", "planted"])
def test_the_same_seed_gives_the_same_bytes_and_the_reader_takes_them(tmp_path, kind):
    def write(seed: int, name: str) -> str:
        if kind == "market":
            write_market(seed, tmp_path / name)
        else:
            write_planted(seed, 800, 0.15, tmp_path / name)
        return sha256_tree(tmp_path / name)

    assert write(3, "a") == write(3, "b") != write(4, "c")
    found = read_panel(data_section(source=str(tmp_path / "a"), **SYMBOLS), 70)
    assert len(found) == {"market": 5030, "planted": 799}[kind]
    assert str(found.dates[-1]) == "2018-12-31"
