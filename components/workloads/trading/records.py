"""What a trading sample is, whichever file its bars came from: readers, features, model, metrics and the served model
speak in these records. NumPy only: prepare and the readers never import torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Panel:
    """Daily closes of some symbols on the days on which all of them were quoted.

    Attributes:
        dates: [D] datetime64[D], strictly rising: the bar of a day is known after that day's close.
        symbols: N names, in the order of the columns.
        close: [D, N] float64 above 0, adjusted for splits and dividends: ratios are total returns, levels no prices.
        volume: [D, N] float64 shares, or None where the source has none.
        exogenous: name -> [D] float64: the last value known at that day's close (yields in percent, VIX in points).
    """

    dates: NDArray[np.datetime64]
    symbols: tuple[str, ...]
    close: NDArray[np.float64]
    volume: NDArray[np.float64] | None = None
    exogenous: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.dates)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Panel):
            return NotImplemented
        volumes = (self.volume is None) == (other.volume is None) and (
            self.volume is None or np.array_equal(self.volume, np.asarray(other.volume))
        )
        return (
            volumes
            and self.symbols == other.symbols
            and np.array_equal(self.dates, other.dates)
            and np.array_equal(self.close, other.close)
            and sorted(self.exogenous) == sorted(other.exogenous)
            and all(np.array_equal(values, other.exogenous[name]) for name, values in self.exogenous.items())
        )


def rows(panel: Panel, start: int, stop: int) -> Panel:
    """The days [start, stop) of a panel, as views of the same memory."""
    return Panel(
        dates=panel.dates[start:stop],
        symbols=panel.symbols,
        close=panel.close[start:stop],
        volume=None if panel.volume is None else panel.volume[start:stop],
        exogenous={name: values[start:stop] for name, values in panel.exogenous.items()},
    )


@dataclass(frozen=True)
class Labels:
    """What the days after the sample's date brought.

    Attributes:
        best: index of the strategy with the highest net return over the horizon.
        pnl: what the loss weighs the sample with: the trade log's PnL of that day, else the best strategy's net return.
        returns: net return of each strategy over the horizon, as fractions, in the order of the configuration.
        regime: slice of the reports, "<trend>/<volatility>", for example "up/calm"; known at the sample's date.
    """

    best: int
    pnl: float
    returns: tuple[float, ...]
    regime: str


@dataclass(frozen=True)
class Sample:
    """One decision at the close of a day: the bars known by then and (outside serving) what came after.

    Attributes:
        id: the date in ISO form, unique within a split.
        date: [D] day of the decision.
        block: running index of the calendar month since 1970-01, the unit in which the gate resamples.
        panel: the look-back that the features of the sample's window need; its last day is `date`.
        labels: None when serving.
    """

    id: str
    date: np.datetime64
    block: int
    panel: Panel
    labels: Labels | None = None


@dataclass(frozen=True)
class Prediction:
    """What a model says of one sample.

    Attributes:
        strategy: index of the chosen strategy.
        name: its name in the configuration.
        confidence: its probability.
        probabilities: of every strategy, in the order of the configuration.
        steps: supervision steps used before halting.
        halt_confidence: sigmoid of the halt logit at the last step; 1 for models without one.
    """

    strategy: int
    name: str
    confidence: float
    probabilities: tuple[float, ...]
    steps: int
    halt_confidence: float
