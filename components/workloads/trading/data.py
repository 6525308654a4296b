"""Raw bars to prepared arrays: features of every day, labels of the days that have their horizon, published when
whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.config_trading import TradingConfig, TradingData
from components.data.arrays import open_array, write_array
from components.data.manifest import published, read_manifest, verify_once, write_manifest
from components.data.splits import SPLITS
from components.data.watched import watched
from components.errors import bad_data
from components.files import write_json, write_text
from components.workloads.trading import generator
from components.workloads.trading.bars import read_panel
from components.workloads.trading.features import LOOKBACK, feature_names, features_of
from components.workloads.trading.folds import Cut, cut_time, pasts
from components.workloads.trading.records import Labels, Panel, Sample, rows
from components.workloads.trading.rehearsals import FOLDER as REHEARSALS
from components.workloads.trading.report import build_report, render_report
from components.workloads.trading.strategies import best, horizon_returns, weight_matrix
from components.workloads.trading.trade_log import read_trade_log

VERSION = 2
REGIMES = ("up/calm", "up/wild", "down/calm", "down/wild")
TREND_DAYS, VOLATILITY_DAYS = 60, 20  # of the first symbol's returns, by which a day's regime is named
Array = NDArray[np.float64]


def generate(section: TradingConfig, folder: Path) -> None:
    """Writes the embedded data set, as CSV files, into `folder`."""
    generator.generate(section, folder)


def prepare(section: TradingConfig, folder: Path) -> Mapping[str, Any]:
    """Reads the bars that the data section names and puts the prepared data at `folder`, whole or not at all.

    The same bars and data section give the same bytes. `rehearsals/` holds, for every block of the walk-forward with
    enough past, what preparing would have given at its time: a prepared folder whose hold-out is the block.

    Returns:
        the report, also written as report.json and report.md.

    Raises:
        EquipoiseError: E_MISSING (66) without a source, the readers' codes (65) for anything wrong in it, E_HORIZON or
            E_SHORT (65) when there are too few days, E_CONFIG (78) for a log of trades elsewhere, E_WRITE (73) or E_IO
            (74) when `folder` cannot be written.
    """
    data = section.data
    panel = read_panel(data, LOOKBACK + data.window)
    cut = cut_time(panel.dates, data)
    log = np.full(len(panel), np.nan)
    if data.trade_log is not None:
        path = watched(Path(data.trade_log), Path(data.source), "trading.data.trade_log")
        log = read_trade_log(path, panel.dates, list(data.strategies))
    with published(folder) as part:
        for past in pasts(panel.dates, cut, data):
            earlier = data.model_copy(update={"holdout_from": past.first})
            known = rows(panel, 0, past.bars)
            place = part / REHEARSALS / str(past.number)
            place.mkdir(parents=True)
            _fill(place, earlier, known, log[: past.bars], cut_time(known.dates, earlier))
        return _fill(part, data, panel, log, cut)


def _fill(part: Path, data: TradingData, panel: Panel, log: Array, cut: Cut) -> Mapping[str, Any]:
    """Writes prepared data of these bars; returns the report.

    Args:
        log: [D] PnL of the days that a trade log names, else NaN.
    """
    weights = weight_matrix(data.strategies, panel.symbols)
    returns = horizon_returns(panel.close, weights, data.horizon, data.cost)
    labels = best(returns, data.dead_band)
    pnl = returns[np.arange(len(labels)), labels]
    there = np.isfinite(log[: len(pnl)])
    pnl = np.where(there, log[: len(pnl)], pnl)
    logged = {split: int(there[cut.days[split]].sum()) for split in SPLITS}
    scaler, scaled = _scale(panel, data, cut)
    _write_panel(part, panel)
    write_array(part / "features.npy", scaled)
    regime = _regimes(panel, cut)
    for split in SPLITS:
        days = cut.days[split]
        (part / split).mkdir()
        for name, values in (
            ("day", days),
            ("fold", cut.folds[split]),
            ("label", labels[days].astype(np.int64)),
            ("pnl", pnl[days].astype(np.float32)),
            ("returns", returns[days].astype(np.float32)),
            ("regime", regime[days]),
        ):
            write_array(part / split / f"{name}.npy", values)
    write_json(part / "scaler.json", scaler)
    write_json(part / "strategies.json", _strategies(data))
    report = build_report(data, panel, cut, returns, labels, logged)
    write_json(part / "report.json", report)
    write_text(part / "report.md", render_report(report))
    write_manifest(
        part,
        {
            "workload": "trading",
            "version": VERSION,
            "settings": data.model_dump(mode="json"),
            "symbols": panel.symbols,
            "exogenous": list(panel.exogenous),
            "labels": {"strategy": list(data.strategies), "regime": REGIMES},
            "class_shares": report["class_shares"],
            "splits": {split: {"samples": len(cut.days[split])} for split in SPLITS},
        },
    )
    return report


def _scale(panel: Panel, data: TradingData, cut: Cut) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """What scaler.json holds, and [D, F] features scaled by it; days without a look-back are 0 and never sampled.

    Means and deviations are those of the days that the training samples' windows show; a feature that never changes
    there is only shifted.
    """
    raw = features_of(panel)
    seen = raw[LOOKBACK : int(cut.days["train"][-1]) + 1]
    means, deviations = seen.mean(axis=0), seen.std(axis=0)
    deviations = np.where(deviations > 1e-12 * np.maximum(1.0, np.abs(means)), deviations, 1.0)
    scaled = ((raw - means) / deviations).astype(np.float32)
    scaled[:LOOKBACK] = 0.0
    facts = {
        "features": feature_names(panel.symbols, tuple(panel.exogenous), panel.volume is not None),
        "means": means.tolist(),
        "deviations": deviations.tolist(),
        "symbols": panel.symbols,
        "exogenous": list(panel.exogenous),
        "volume": panel.volume is not None,
        "window": data.window,
        "lookback": LOOKBACK,
    }
    return facts, scaled


def _strategies(data: TradingData) -> dict[str, Any]:
    """What strategies.json holds: names and shares in the order of the labels, and how they are judged."""
    return {
        "strategies": [{"name": name, "weights": shares} for name, shares in data.strategies.items()],
        "horizon": data.horizon,
        "cost": data.cost,
    }


def _regimes(panel: Panel, cut: Cut) -> NDArray[np.uint8]:
    """[D] index in REGIMES: the first symbol's trend over 60 days, and whether it moves more than its usual, the median
    of the training days."""
    prices = np.log(panel.close[:, 0])
    trend = np.zeros(len(panel))
    trend[TREND_DAYS:] = prices[TREND_DAYS:] - prices[:-TREND_DAYS]
    names = feature_names(panel.symbols, tuple(panel.exogenous), panel.volume is not None)
    moves = features_of(panel)[:, names.index(f"{panel.symbols[0]} volatility {VOLATILITY_DAYS}")]
    usual = np.median(moves[cut.days["train"]])
    return (2 * (trend < 0) + (np.nan_to_num(moves) > usual)).astype(np.uint8)


def _write_panel(part: Path, panel: Panel) -> None:
    write_array(part / "dates.npy", panel.dates.astype("datetime64[D]").astype(np.int32))
    write_array(part / "close.npy", panel.close)
    if panel.volume is not None:
        write_array(part / "volume.npy", panel.volume)
    if panel.exogenous:
        write_array(part / "exogenous.npy", np.column_stack(list(panel.exogenous.values())))


def prepared_panel(prepared: Path) -> Panel:
    """The bars of a prepared folder, memory-mapped; the caller has verified the manifest.

    Raises:
        EquipoiseError: E_MISSING (66) without prepared data.
    """
    facts = read_manifest(prepared)
    beside = facts["exogenous"]
    values = open_array(prepared / "exogenous.npy", 2) if beside else np.empty((0, 0))
    volume = prepared / "volume.npy"
    return Panel(
        dates=open_array(prepared / "dates.npy").astype("datetime64[D]"),
        symbols=tuple(facts["symbols"]),
        close=open_array(prepared / "close.npy", 2),
        volume=open_array(volume, 2) if "volume.npy" in facts["files"] else None,
        exogenous={name: values[:, i] for i, name in enumerate(beside)},
    )


def samples(prepared: Path, split: str) -> Iterator[Sample]:
    """The labelled samples of a prepared split in order of time: sample i is `sample_id` i of the batches.

    Raises:
        EquipoiseError: E_MISSING (66) without prepared data, E_MANIFEST (65) when it was changed.
    """
    facts = verify_once(prepared)
    if split not in SPLITS:
        raise bad_data(
            str(prepared), f"the split must be one of {', '.join(SPLITS)}", got=split, hint="Name one of them"
        )
    return _samples(prepared, split, facts["settings"]["window"])


def _samples(prepared: Path, split: str, window: int) -> Iterator[Sample]:
    panel = prepared_panel(prepared)
    label, pnl, regime, days = (open_array(prepared / split / f"{n}.npy") for n in ("label", "pnl", "regime", "day"))
    returns = open_array(prepared / split / "returns.npy", 2)
    for row, day in enumerate(days.tolist()):
        date = panel.dates[day : day + 1].astype("datetime64[D]")[0]
        labels = Labels(int(label[row]), float(pnl[row]), tuple(returns[row].tolist()), REGIMES[regime[row]])
        block = int(date.astype("datetime64[M]").astype(np.int64))
        yield Sample(str(date), date, block, rows(panel, day - window - LOOKBACK + 1, day + 1), labels)
