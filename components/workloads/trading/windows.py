"""Raw samples as the model sees them: the one path from bars to scaled windows, for the network and the baselines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.errors import bad_data, missing
from components.workloads.trading.features import features_of
from components.workloads.trading.records import Panel, Sample

SCALER, STRATEGIES = "scaler.json", "strategies.json"


@dataclass(frozen=True)
class Reading:
    """How a model reads bars, as scaler.json beside it says.

    Attributes:
        symbols, exogenous: what a sample's panel must hold, in the order of training.
        volume: whether it must hold traded volume too.
        features: [F] names; means, deviations: [F] of the features on the training part.
        window: bars the model sees.
        lookback: bars that the features of the first of them need before it.
    """

    symbols: tuple[str, ...]
    exogenous: tuple[str, ...]
    volume: bool
    features: tuple[str, ...]
    means: NDArray[np.float64]
    deviations: NDArray[np.float64]
    window: int
    lookback: int


def read_reading(folder: Path) -> Reading:
    """The scaler.json of a prepared or a model folder.

    Raises:
        EquipoiseError: E_MISSING (66) without the file, E_DATA (65) when it is not one.
    """
    facts = _object(folder / SCALER)
    try:
        return Reading(
            symbols=tuple(map(str, facts["symbols"])),
            exogenous=tuple(map(str, facts["exogenous"])),
            volume=bool(facts["volume"]),
            features=tuple(map(str, facts["features"])),
            means=np.array(facts["means"], dtype=np.float64),
            deviations=np.array(facts["deviations"], dtype=np.float64),
            window=int(facts["window"]),
            lookback=int(facts["lookback"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(folder / SCALER, error) from error


def read_strategies(folder: Path) -> tuple[str, ...]:
    """The names of the strategies in the order of the labels, from strategies.json.

    Raises:
        EquipoiseError: E_MISSING (66) without the file, E_DATA (65) when it is not one.
    """
    facts = _object(folder / STRATEGIES)
    try:
        return tuple(str(each["name"]) for each in facts["strategies"])
    except (KeyError, TypeError) as error:
        raise _damaged(folder / STRATEGIES, error) from error


def windows_of(samples: Sequence[Sample], reading: Reading, window: int | None = None) -> NDArray[np.float32]:
    """[S, W, F] scaled features of the last W (default: the model's window) bars of each sample.

    Raises:
        EquipoiseError: E_DATA (65) for a sample without a symbol, a series or enough bars, or with a volume of 0.
    """
    wanted = reading.window if window is None else window
    found = np.empty((len(samples), wanted, len(reading.means)), dtype=np.float32)
    for row, sample in enumerate(samples):
        raw = features_of(_ordered(sample, reading, wanted))[-wanted:]
        found[row] = (raw - reading.means) / reading.deviations
    return found


def _ordered(sample: Sample, reading: Reading, window: int) -> Panel:
    """The sample's last bars with symbols and series as in training; whatever else it holds is left out."""
    panel, rows = sample.panel, window + reading.lookback
    if len(panel) < rows:
        raise _lacking(sample, f"the model needs the last {rows} daily bars", len(panel))
    for symbol in reading.symbols:
        if symbol not in panel.symbols:
            raise _lacking(sample, f"the closes of {symbol} are needed", ", ".join(panel.symbols))
    for name in reading.exogenous:
        if name not in panel.exogenous:
            raise _lacking(sample, f"the series {name} is needed", ", ".join(panel.exogenous) or "none")
    if reading.volume and panel.volume is None:
        raise _lacking(sample, "the traded volume is needed", "none")
    columns = [panel.symbols.index(symbol) for symbol in reading.symbols]
    volume = panel.volume[-rows:, columns] if reading.volume and panel.volume is not None else None
    if volume is not None and volume.min() <= 0:  # its logarithm is a feature
        raise _lacking(sample, "the traded volume must be above 0", float(volume.min()))
    return Panel(
        dates=panel.dates[-rows:],
        symbols=reading.symbols,
        close=panel.close[-rows:, columns],
        volume=volume,
        exogenous={name: panel.exogenous[name][-rows:] for name in reading.exogenous},
    )


def _lacking(sample: Sample, rule: str, got: object) -> Exception:
    return bad_data(
        f"sample {sample.id}", rule, got=got, hint="Send what the model was trained on: see docs/trading.md"
    )


def _object(path: Path) -> dict:
    if not path.is_file():
        raise missing(str(path), "the folder must hold it", got="no file", hint="Run prepare and train for trading")
    try:
        facts = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise _damaged(path, error) from error
    if not isinstance(facts, dict):
        raise _damaged(path, TypeError(type(facts).__name__))
    return facts


def _damaged(path: Path, error: Exception) -> Exception:
    return bad_data(str(path), "must be what prepare wrote", got=str(error), hint="Run prepare again")
