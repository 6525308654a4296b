"""What `predict` and the served model are asked and answer: the bars known at a day's close, and a strategy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.errors import EquipoiseError, bad_data
from components.workloads.trading.records import Panel, Prediction, Sample

FIELDS = ("dates", "close", "volume", "exogenous")
LARGEST = 1e15  # also refuses NaN and infinity
OPTIONAL = ("volume",)  # not in every request
HINT = 'Send {"dates": ["2022-02-10", ...], "close": {"SPY": [...], ...}, "exogenous": {"VIX": [...], ...}}'


def read_request(row: Mapping[str, Any], place: str) -> Sample:
    """A sample without labels: its last day is the day of the decision.

    Args:
        row: {"dates": [D ISO days, rising], "close": {symbol: [D closes, adjusted]}, "volume": {symbol: [D shares]},
            "exogenous": {name: [D values]}}; volume and exogenous may be left out. Which symbols, which series and how
            many days a model needs, it says itself when it predicts.

    Raises:
        EquipoiseError: E_DATA (65) naming the field that is wrong.
    """
    if not isinstance(row, Mapping):
        raise _wrong(place, "a request must be an object", type(row).__name__)
    for name in row:
        if name not in FIELDS:
            raise _wrong(place, f"fields must be among {', '.join(FIELDS)}", str(name))
    dates = _dates(row.get("dates"), place)
    close = _columns(row.get("close"), "close", len(dates), place)
    if not close:
        raise _wrong(f"{place}: close", "must hold the closes of at least one symbol", "nothing")
    for symbol, values in close.items():
        if values.min() <= 0:
            raise _wrong(f"{place}: close.{symbol}", "closes must be above 0", float(values.min()))
    exogenous = _columns(row.get("exogenous", {}), "exogenous", len(dates), place)
    closes = np.column_stack(list(close.values()))
    return sample_of(Panel(dates, tuple(close), closes, _volume(row, tuple(close), len(dates), place), exogenous))


def sample_of(panel: Panel) -> Sample:
    """The decision at the close of a panel's last day."""
    day = panel.dates[-1]
    return Sample(id=str(day), date=day, block=int(day.astype("datetime64[M]").astype(int)), panel=panel)


def request_of(sample: Sample) -> dict[str, Any]:
    """The raw request behind a sample: what was known at that day's close."""
    panel = sample.panel
    asked: dict[str, Any] = {
        "dates": [str(day) for day in panel.dates],
        "close": {symbol: panel.close[:, i].tolist() for i, symbol in enumerate(panel.symbols)},
        "exogenous": {name: values.tolist() for name, values in panel.exogenous.items()},
    }
    if panel.volume is not None:
        asked["volume"] = {symbol: panel.volume[:, i].tolist() for i, symbol in enumerate(panel.symbols)}
    return asked


def render(prediction: Prediction) -> dict[str, Any]:
    """The answer as JSON: strategy, its confidence, how many steps the model thought, all probabilities."""
    return {
        "strategy": prediction.name,
        "index": prediction.strategy,
        "confidence": prediction.confidence,
        "steps": prediction.steps,
        "halt_confidence": prediction.halt_confidence,
        "probabilities": list(prediction.probabilities),
    }


def _volume(row: Mapping[str, Any], symbols: tuple[str, ...], length: int, place: str) -> NDArray[np.float64] | None:
    if row.get("volume") is None:
        return None
    found = _columns(row["volume"], "volume", length, place)
    if sorted(found) != sorted(symbols):
        raise _wrong(f"{place}: volume", f"must hold {', '.join(symbols)} as close does", ", ".join(found))
    return np.column_stack([found[symbol] for symbol in symbols])


def _dates(values: Any, place: str) -> NDArray[np.datetime64]:
    where = f"{place}: dates"
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise _wrong(where, "must be a list of ISO days", values)
    found = []
    for text in values:
        try:
            found.append(date.fromisoformat(text))
        except (TypeError, ValueError) as error:
            raise _wrong(where, "must be ISO days such as 2022-02-10", text) from error
    dates = np.array(found, dtype="datetime64[D]")
    steps = np.flatnonzero(np.diff(dates) <= np.timedelta64(0))
    if len(steps):
        raise _wrong(where, "must rise, each day once", f"{dates[steps[0] + 1]} after {dates[steps[0]]}")
    return dates


def _columns(values: Any, name: str, length: int, place: str) -> dict[str, NDArray[np.float64]]:
    if not isinstance(values, Mapping):
        raise _wrong(f"{place}: {name}", "must be an object of lists", values)
    return {str(key): _numbers(column, f"{place}: {name}.{key}", length) for key, column in values.items()}


def _numbers(column: Any, where: str, length: int) -> NDArray[np.float64]:
    if not isinstance(column, Sequence) or isinstance(column, str) or len(column) != length:
        size = len(column) if isinstance(column, Sequence) else type(column).__name__
        raise _wrong(where, f"must be a list of {length} numbers, one a date", size)
    for value in column:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < LARGEST:
            raise _wrong(where, f"must be numbers below {LARGEST:g}", value)
    return np.array(column, dtype=np.float64)


def _wrong(place: str, rule: str, got: Any) -> EquipoiseError:
    return bad_data(place, rule, got=got, hint=HINT)
