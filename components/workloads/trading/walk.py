"""The walk-forward table: every cheap baseline, trained anew before each block and judged on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.config_trading import TradingConfig
from components.data.arrays import open_array
from components.evaluation.performance import BASIS_POINTS
from components.workloads.trading.baseline import momentum, read_training, regress
from components.workloads.trading.folds import walk_forward
from components.workloads.trading.strategies import weight_matrix

Whole = NDArray[np.int64]


def walk_table(section: TradingConfig, prepared: Path) -> list[dict[str, Any]]:
    """One row per fold and rule, in order: fold, first and last day of its block (ISO), trained (samples), n, rule,
    accuracy, net (mean net return of the choices in basis points a day).

    Rules: majority and static (most frequent and best-earning strategy of the fold's training part), momentum, softmax,
    and `oracle`, which always chose right.
    """
    data, known = section.data, read_training(prepared)
    dates = np.asarray(open_array(prepared / "dates.npy")).astype("datetime64[D]")
    close = np.asarray(open_array(prepared / "close.npy", 2), np.float64)
    weights = weight_matrix(data.strategies, data.symbols)
    rows = []
    for fold in walk_forward(prepared, data.purge, data.embargo):
        block, past = fold.validation, fold.train
        n, width = len(block), len(weights)
        regression = regress(known.features[past], known.labels[past], section.evaluation.baseline.strength)
        choices: dict[str, Whole] = {
            "majority": np.full(n, np.bincount(known.labels[past], minlength=width).argmax()),
            "static": np.full(n, known.returns[past].mean(axis=0).argmax()),
            "momentum": momentum(close, known.days[block], weights, section.evaluation.momentum_days),
            "softmax": regression.probabilities(known.features[block], width).argmax(axis=1),
            "oracle": known.returns[block].argmax(axis=1),
        }
        for rule, chosen in choices.items():
            earned = known.returns[block, chosen].mean() / data.horizon * BASIS_POINTS
            rows.append(
                {
                    "fold": fold.number,
                    "first": str(dates[known.days[block[0]]]),
                    "last": str(dates[known.days[block[-1]]]),
                    "trained": len(past),
                    "n": n,
                    "rule": rule,
                    "accuracy": float((chosen == known.labels[block]).mean()),
                    "net": float(earned),
                }
            )
    return rows
