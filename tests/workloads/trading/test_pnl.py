"""The columnar account is the one that a loop over days and symbols keeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.workloads.trading import pnl
from components.workloads.trading.pnl import account


def plain(close, targets, cost):
    """One strategy, day by day and symbol by symbol: the reference."""
    net, turnover = [], []
    shares = list(targets[0])
    paid = sum(abs(share) for share in shares)
    for day in range(1, len(close)):
        moves = [now / before - 1 for now, before in zip(close[day], close[day - 1], strict=True)]
        wealth = 1 + sum(share * move for share, move in zip(shares, moves, strict=True))
        drifted = [share * (1 + move) / wealth for share, move in zip(shares, moves, strict=True)]
        turned = sum(abs(a - b) for a, b in zip(targets[day], drifted, strict=True))
        first = 1 - cost / 1e4 * paid if day == 1 else 1.0
        net.append(wealth * (1 - cost / 1e4 * turned) * first - 1)
        turnover.append(turned)
        shares = list(targets[day])
    return net, turnover


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000), days=st.integers(2, 40), symbols=st.integers(1, 6), strategies=st.integers(1, 4),
    cost=st.sampled_from([0.0, 1.0, 100.0]), block=st.sampled_from([1, 7, 1 << 15]),
)  # fmt: skip
def test_equals_the_loop(seed, days, symbols, strategies, cost, block):
    chance = np.random.default_rng(seed)
    close = np.exp(np.cumsum(0.02 * chance.standard_normal((days, symbols)), axis=0))
    targets = chance.dirichlet(np.ones(symbols + 1), (strategies, days))[:, :, :symbols]
    before, pnl.BLOCK = pnl.BLOCK, block
    try:
        found = account(close, targets, cost)
    finally:
        pnl.BLOCK = before
    for k in range(strategies):
        net, turnover = plain(close, targets[k], cost)
        assert found.net[k] == pytest.approx(np.array(net), abs=1e-12)
        assert found.turnover[k] == pytest.approx(np.array(turnover), abs=1e-12)


def test_buy_and_hold_of_one_symbol_earns_what_it_earns():
    close = np.array([[100.0], [110.0], [99.0]])
    found = account(close, np.ones((3, 1)), 10.0)
    assert found.net[0] == pytest.approx([1.1 * 0.999 - 1, -0.1])
    assert found.turnover[0] == pytest.approx([0.0, 0.0], abs=1e-15)


def test_changing_sides_pays_twice():
    close = np.full((3, 2), 50.0)
    targets = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    found = account(close, targets, 100.0)
    assert found.turnover[0].tolist() == [2.0, 0.0]
    assert found.net[0] == pytest.approx([0.98 * 0.99 - 1, 0.0])


def test_cash_earns_and_costs_nothing():
    close = np.array([[1.0], [2.0], [0.5]])
    found = account(close, np.zeros((3, 1)), 100.0)
    assert not found.net.any()
    assert not found.turnover.any()


def test_inputs_stay_as_they_are():
    close, targets = np.array([[1.0, 2.0], [2.0, 1.0]]), np.full((1, 2, 2), 0.5)
    account(close, targets, 5.0)
    assert close.tolist() == [[1.0, 2.0], [2.0, 1.0]]
    assert (targets == 0.5).all()
