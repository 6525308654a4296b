"""What decisions earn day by day: each is held for its horizon, so on any day the last few decisions are held in equal
parts, and every change of shares is paid for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.evaluation.edge import Track
from components.workloads.trading.pnl import account

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Accounts:
    """Daily accounts of candidates and fixed mixes over the same days.

    Attributes:
        rows: [T] row of each day in the panel: the close at which its return is known.
        net: name -> [T] return after costs; candidates first.
        turnover: name -> [T] sum of the absolute changes in shares.
        tracks: candidate -> its returns and those of its own average mix held still.
        cash: [T] return of the cash symbol, zeros without one.
    """

    rows: NDArray[np.int64]
    net: dict[str, Floats]
    turnover: dict[str, Floats]
    tracks: dict[str, Track]
    cash: Floats


def open_accounts(
    close: Floats,
    days: NDArray[np.integer],
    choices: Mapping[str, NDArray[np.integer]],
    weights: Floats,
    mixes: Mapping[str, Floats],
    horizon: int,
    cost: float,
    cash: int | None,
) -> Accounts:
    """Runs all accounts from the first decision's close to the close after the last one.

    Args:
        close: [D, N] of the whole panel.
        days: [S] rows of the decisions, rising.
        choices: candidate -> [S] index of the strategy chosen.
        weights: [K, N] shares of the strategies.
        mixes: name -> [N] shares held throughout.
        horizon: days a decision is held.
        cost: basis points a unit of turnover.
        cash: column of the cash symbol.
    """
    first, last = int(days[0]), int(days[-1])
    span = close[first : last + 2]
    targets = {name: held_shares(days, weights[chosen], horizon) for name, chosen in choices.items()}
    # At the last close nothing is decided any more: the shares stay as they are.
    targets = {name: np.concatenate([shares, shares[-1:]]) for name, shares in targets.items()}
    fixed = {f"{name}, held still": shares[:-1].mean(axis=0) for name, shares in targets.items()}
    constant = {name: np.broadcast_to(shares, (len(span), len(shares))) for name, shares in {**fixed, **mixes}.items()}
    every = {**targets, **constant}
    found = account(span, np.stack(list(every.values())), cost)
    net, turnover = (dict(zip(every, values, strict=True)) for values in (found.net, found.turnover))
    kept = [*choices, *mixes]
    return Accounts(
        rows=np.arange(first + 1, last + 2),
        net={name: net[name] for name in kept},
        turnover={name: turnover[name] for name in kept},
        tracks={name: Track(net[name], net[f"{name}, held still"]) for name in choices},
        cash=np.zeros(len(span) - 1) if cash is None else span[1:, cash] / span[:-1, cash] - 1.0,
    )


def join_accounts(parts: Sequence[Accounts]) -> Accounts:
    """The accounts of stretches of days that follow one another, at least one, as one account each."""

    def joined(values: Callable[[Accounts], Mapping[str, Floats]]) -> dict[str, Floats]:
        return {name: np.concatenate([values(part)[name] for part in parts]) for name in values(parts[0])}

    returns = joined(lambda part: {name: track.returns for name, track in part.tracks.items()})
    still = joined(lambda part: {name: track.still for name, track in part.tracks.items()})
    return Accounts(
        rows=np.concatenate([part.rows for part in parts]),
        net=joined(lambda part: part.net),
        turnover=joined(lambda part: part.turnover),
        tracks={name: Track(returns[name], still[name]) for name in returns},
        cash=np.concatenate([part.cash for part in parts]),
    )


def held_shares(days: NDArray[np.integer], chosen: Floats, horizon: int) -> Floats:
    """Shares held from each close on: the mean of the decisions of the last `horizon` days.

    Args:
        days: [S] rising.
        chosen: [S, N] shares decided on.

    Returns:
        [last - first + 1, N]. Where no decision is that young, the last shares are kept.
    """
    offset = np.asarray(days, np.int64) - int(days[0])
    length = int(offset[-1]) + 1
    sums, counts = np.zeros((length, chosen.shape[1])), np.zeros(length)
    for age in range(horizon):
        alive = offset + age < length
        np.add.at(sums, offset[alive] + age, chosen[alive])
        np.add.at(counts, offset[alive] + age, 1.0)
    latest = np.maximum.accumulate(np.where(counts > 0, np.arange(length), 0))
    return sums[latest] / counts[latest][:, None]
