"""Prepared data of generated markets, with the parameters that ship but for what a test changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from components.config import load_config
from components.config_trading import TradingConfig
from components.data.arrays import open_array
from components.data.manifest import read_manifest, write_manifest
from components.workloads.trading import baseline
from components.workloads.trading.data import generate, prepare, samples
from components.workloads.trading.records import Prediction, Sample

PARAMS = Path(__file__).parents[3] / "params.yaml"


def trading(source: Path, **data: Any) -> TradingConfig:
    """The shipped section over planted bars at `source`; fewer resamples."""
    shipped = load_config(PARAMS).trading
    changed = {"embedded": "planted", "source": str(source), **data}
    return shipped.model_copy(
        update={
            "data": shipped.data.model_copy(update=changed),
            "evaluation": shipped.evaluation.model_copy(update={"resamples": 300, "parts": 8}),
        }
    )


def market(folder: Path, seed: int, edge: float, days: int = 5000) -> tuple[TradingConfig, Path]:
    """Generates and prepares a market with a known edge; returns its section and the prepared folder."""
    section = trading(folder / "raw", seed=seed, embedded_edge=edge, embedded_days=days)
    generate(section, folder / "raw")
    prepare(section, folder / "prepared")
    return section, folder / "prepared"


def first_champion(section: TradingConfig, prepared: Path) -> baseline.Always | baseline.Softmax:
    """What evaluate leaves as baseline: the softmax regression only where the walk-forward shows that it earns more."""
    known = baseline.read_training(prepared)
    better = baseline.softmax_earns_more(section, known, baseline.walk_softmax(section, prepared, known))
    return baseline.fit_softmax(section, prepared) if better else baseline.fit_static(prepared)


def replace_array(prepared: Path, name: str, values: np.ndarray) -> None:
    """Puts another array in the place of a prepared one; the manifest follows."""
    facts = {key: value for key, value in read_manifest(prepared).items() if key != "files"}
    np.save(prepared / name, values.astype(open_array(prepared / name, values.ndim).dtype))
    write_manifest(prepared, facts)


def held_out(prepared: Path) -> list[Sample]:
    return list(samples(prepared, "test"))


def chosen(strategies: list[int], names: tuple[str, ...], sure: float = 1.0) -> list[Prediction]:
    """Predictions of these strategies with probability .9."""
    rest = 0.1 / (len(names) - 1)
    return [
        Prediction(k, names[k], 0.9, tuple(0.9 if j == k else rest for j in range(len(names))), 2, sure)
        for k in strategies
    ]
