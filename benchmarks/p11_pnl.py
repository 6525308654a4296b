"""P11: daily PnL after costs of 8 strategies over 500 symbols and 2,500 days, against vectorbt and against pandas.

Each strategy names its shares of the wealth in every symbol at every close; the shares drift until the next close and
are then brought back, which costs. All sides give the daily net returns of the 8 accounts from the same closes and
shares. vectorbt simulates the orders (target percent, cash shared, sales before purchases) in Numba, compiled
before; pandas is our formula, written plainly on data frames. At no cost all three agree to 1e-9. With a cost pandas
still does; vectorbt sizes an order by the wealth before the fees of the orders after it, so that its shares are larger
by the cost (2e-4 of them where all is turned over) and its returns apart by that part of a day's move: within 1e-5.

`ratio` is against vectorbt where that is installed (extra `bench`), else against pandas.

    python -m benchmarks.p11_pnl [--fast]
"""

from __future__ import annotations

import argparse
import importlib.util

import numpy as np
import pandas as pd

from benchmarks.harness import Result, alternate, report
from components.workloads.trading.pnl import account

STRATEGIES, SYMBOLS, DAYS = 8, 500, 2500
COST = 1.0  # basis points a unit of turnover
VECTORBT_GOAL, PANDAS_GOAL = 5.0, 1.5


def market(symbols: int, days: int) -> tuple[np.ndarray, np.ndarray]:
    """[D, N] closes and [K, D, N] shares: equal weight, and momentum or reversal over four spans, best tenth held."""
    chance = np.random.default_rng(11)
    common = 0.008 * chance.standard_normal((days, 1))
    close = 100 * np.exp(np.cumsum(common + 0.015 * chance.standard_normal((days, symbols)), axis=0))
    held = max(1, symbols // 10)
    targets = np.zeros((STRATEGIES, days, symbols))
    targets[0] = 0.98 / symbols
    for k, (span, side) in enumerate([(5, -1), (20, 1), (20, -1), (60, 1), (60, -1), (120, 1), (120, -1)], start=1):
        past = np.ones_like(close)
        past[span:] = close[span:] / close[:-span]
        picked = np.argpartition(-side * past, held, axis=1)[:, :held]
        np.put_along_axis(targets[k], picked, 0.98 / held, axis=1)
    return close, targets


def by_pandas(closes: pd.DataFrame, targets: list[pd.DataFrame], cost: float) -> np.ndarray:
    """[K, D - 1]: the formula on data frames."""
    rate = cost * 1e-4
    returns = closes.pct_change().iloc[1:]
    accounts = []
    for shares in targets:
        held = shares.shift(1).iloc[1:]
        gross = (held * returns).sum(axis=1)
        drifted = (held * (1 + returns)).div(1 + gross, axis=0)
        turnover = (shares.iloc[1:] - drifted).abs().sum(axis=1)
        net = (1 + gross) * (1 - rate * turnover) - 1
        net.iloc[0] = (1 + net.iloc[0]) * (1 - rate * shares.iloc[0].abs().sum()) - 1
        accounts.append(net.to_numpy())
    return np.array(accounts)


def by_vectorbt(closes: pd.DataFrame, targets: pd.DataFrame, cost: float) -> np.ndarray:
    """[K, D - 1]: orders simulated one by one, a group of columns a strategy."""
    import vectorbt as vbt

    wide = pd.concat([closes] * STRATEGIES, axis=1, keys=range(STRATEGIES))
    portfolio = vbt.Portfolio.from_orders(
        wide, size=targets, size_type="targetpercent", group_by=wide.columns.get_level_values(0), cash_sharing=True,
        call_seq="auto", fees=cost * 1e-4, init_cash=1e6, freq="1D",
    )  # fmt: skip
    value = portfolio.value().to_numpy().T
    before = np.concatenate([np.full((STRATEGIES, 1), 1e6), value[:, 1:-1]], axis=1)  # the first purchase paid at once
    return value[:, 1:] / before - 1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fast", action="store_true", help="a fifth of the symbols and of the days")
    fast = parser.parse_args().fast
    symbols, days = (SYMBOLS // 5, DAYS // 5) if fast else (SYMBOLS, DAYS)
    close, targets = market(symbols, days)
    index = pd.date_range("2015-01-01", periods=days, freq="D")
    closes, frames = pd.DataFrame(close, index), [pd.DataFrame(each, index) for each in targets]
    peer = importlib.util.find_spec("vectorbt") is not None
    sides = [lambda: account(close, targets, COST), lambda: by_pandas(closes, frames, COST)]
    for cost in (0.0, COST):
        net = account(close, targets, cost).net
        assert np.allclose(net, by_pandas(closes, frames, cost), atol=1e-12), "pandas disagrees"
    if peer:
        wide = pd.concat(frames, axis=1, keys=range(STRATEGIES))
        for cost, tolerance in ((0.0, 1e-9), (COST, 1e-5)):
            apart = np.abs(account(close, targets, cost).net - by_vectorbt(closes, wide, cost)).max()
            assert apart < tolerance, f"vectorbt is {apart} away at {cost} basis points"
        sides.append(lambda: by_vectorbt(closes, wide, COST))
    ours, pandas, *others = alternate(*sides, rounds=5)
    against_pandas = pandas.median / ours.median
    against_vectorbt = others[0].median / ours.median if peer else None
    goals = against_pandas >= PANDAS_GOAL and (against_vectorbt is None or against_vectorbt >= VECTORBT_GOAL)
    compared = "vectorbt" if peer else "pandas; vectorbt is not installed"
    report(
        Result(
            name="P11 PnL",
            ratio=against_pandas if against_vectorbt is None else against_vectorbt,
            goal=f">= {VECTORBT_GOAL:g}x vectorbt, >= {PANDAS_GOAL:g}x pandas",
            passed=goals,
            ours=ours.median,
            theirs=others[0].median if peer else pandas.median,
            unit="s CPU",
            note=f"{STRATEGIES} strategies x {symbols} symbols x {days} days, all equal; ratio against {compared}",
            extra={"pandas_ratio": against_pandas, "vectorbt_ratio": against_vectorbt},
        )
    )


if __name__ == "__main__":
    main()
