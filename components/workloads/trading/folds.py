"""How time is cut: a hold-out at the end, before it a walk-forward of growing training parts, each followed by its
validation block, with days left out between so that no label looks across."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.config_trading import TradingData
from components.data.arrays import open_array
from components.errors import EquipoiseError, bad_data
from components.workloads.trading.features import LOOKBACK

FIRST_TRAINING = 0.4  # of the days before the hold-out: what the first fold trains on
FEWEST = 20  # samples that a part must have for anything to be said of it
Days = NDArray[np.int32]


@dataclass(frozen=True)
class Cut:
    """Sample days as row numbers of the panel, and the walk-forward block of each.

    Attributes:
        days: split -> [S] rising.
        folds: split -> [S]: 0 before the first validation block, 1..folds in it, folds + 1 in the hold-out.
        labelled: every day that has a label, also those left out between the splits.
    """

    days: dict[str, Days]
    folds: dict[str, Days]
    labelled: Days


class Fold(NamedTuple):
    """One step of the walk-forward: its number and the rows, in train and validation stacked, of its two parts."""

    number: int
    train: NDArray[np.int64]
    validation: NDArray[np.int64]


class Past(NamedTuple):
    """What a retraining before a block of the walk-forward would have seen.

    Attributes:
        number: of the validation block that is judged.
        first: the block's first day (ISO): the hold-out of that time.
        bars: how many bars there were when the last label of the block was known.
    """

    number: int
    first: str
    bars: int


def cut_time(dates: NDArray[np.datetime64], data: TradingData) -> Cut:
    """The three splits. `train` is all before the last validation block, `validation` that block, `test` the hold-out;
    purge + embargo trading days are left out between them.

    Raises:
        EquipoiseError: E_HORIZON (65) when no day has both its look-back and its horizon, E_SHORT (65) when a part has
            too few days.
    """
    first, last = LOOKBACK + data.window - 1, len(dates) - 1 - data.horizon
    if last < first:
        raise _too_few(
            data,
            f"must have more than {LOOKBACK + data.window - 1} days of look-back and {data.horizon} of horizon",
            f"{len(dates)} days",
            "HORIZON",
        )
    usable = np.arange(first, last + 1, dtype=np.int32)
    if data.label_from is not None:
        usable = usable[dates[usable] >= np.datetime64(data.label_from)]
    held_out = int(np.searchsorted(dates, np.datetime64(data.holdout_from)))
    test = usable[usable >= held_out]
    gap = data.purge + data.embargo
    before = usable[usable < held_out - gap]
    edges = _edges(len(before), data.folds)
    number = np.searchsorted(edges[1:], np.arange(len(before)), side="right").astype(np.int32)
    begin = before[edges[-2]] if len(before) > edges[-2] else 0
    train = before < begin - gap
    validation = before >= begin
    days = {"train": before[train], "validation": before[validation], "test": test}
    if len(test) < FEWEST:
        rule = f"the hold-out must have at least {FEWEST} days"
        raise _too_few(data, rule, f"{len(test)} of {len(usable)} labelled days", "SHORT")
    smallest = _smallest(len(before), data.folds)
    if smallest < FEWEST + gap:
        rule = f"{data.folds} folds need blocks of at least {FEWEST + gap} days before the hold-out"
        raise _too_few(data, rule, f"{smallest} of {len(before)} days", "SHORT")
    folds = {"train": number[train], "validation": number[validation], "test": np.full_like(test, data.folds + 1)}
    return Cut(days, folds, usable)


def _edges(count: int, folds: int) -> NDArray[np.int64]:
    """[folds + 2]: 0, the beginnings of the validation blocks, the end."""
    blocks = np.linspace(count * FIRST_TRAINING, count, folds + 1).astype(np.int64)
    return np.concatenate([[0], blocks])


def _smallest(count: int, folds: int) -> int:
    """Days of the smallest part of so many days."""
    return int(np.diff(_edges(count, folds)).min())


def pasts(dates: NDArray[np.datetime64], cut: Cut, data: TradingData) -> list[Past]:
    """One for each validation block that has enough days before it to be cut as the whole is, first to last."""
    gap = data.purge + data.embargo
    days = np.concatenate([cut.days["train"], cut.days["validation"]])
    block = np.concatenate([cut.folds["train"], cut.folds["validation"]])
    found = []
    for number in range(1, data.folds + 1):
        judged = days[block == number]
        past = int((cut.labelled < judged[0] - gap).sum())
        if _smallest(past, data.folds) >= FEWEST + gap:
            first = str(dates[judged[0]].astype("datetime64[D]"))
            found.append(Past(number, first, int(judged[-1]) + 1 + data.horizon))
    return found


def walk_forward(prepared: Path, purge: int, embargo: int) -> list[Fold]:
    """The folds of prepared data, first to last; rows count through train and then validation.

    A fold's training part ends purge + embargo trading days before its validation block, which `train` as a whole does
    for the last fold. The caller has verified the manifest.

    Raises:
        EquipoiseError: E_MISSING (66) without prepared data.
    """
    parts = ("train", "validation")
    days = np.concatenate([open_array(prepared / split / "day.npy") for split in parts])
    block = np.concatenate([open_array(prepared / split / "fold.npy") for split in parts])
    folds = []
    for number in range(1, int(block.max()) + 1):
        validation = np.flatnonzero(block == number)
        train = np.flatnonzero(days < days[validation[0]] - purge - embargo)
        folds.append(Fold(number, train, validation))
    return folds


def _too_few(data: TradingData, rule: str, got: str, code: str) -> EquipoiseError:
    hint = "Give more bars, or change trading.data.horizon, window, folds, label_from or holdout_from"
    return bad_data(data.source, rule, got=got, hint=hint, code=code)
