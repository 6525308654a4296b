"""The walk-forward before the hold-out: model and cheap rules trained anew before each block and judged on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from components.config_trading import TradingConfig
from components.data.arrays import open_array
from components.evaluation.edge import Evidence
from components.evaluation.performance import BASIS_POINTS
from components.workload import Predictor
from components.workloads.trading.accounts import join_accounts
from components.workloads.trading.baseline import Training, momentum, read_training, softmax_earns_more, walk_softmax
from components.workloads.trading.data import samples
from components.workloads.trading.folds import Fold
from components.workloads.trading.judging import CANDIDATES, SPLIT, evidence_of, models, run_accounts, score_all
from components.workloads.trading.rehearsals import FOLDER, blocks
from components.workloads.trading.strategies import weight_matrix

Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Walk:
    """What the walk-forward found.

    Attributes:
        rows: of `rule_rows`, and one of rule `model` for each block that a model was trained for.
        evidence: the verdict on those models over all their blocks together; None without one.
        softmax_earns_more: whether softmax regression beat the best static mix of the past beyond chance.
    """

    rows: list[dict[str, Any]]
    evidence: Evidence | None
    softmax_earns_more: bool


def walk(section: TradingConfig, prepared: Path, checkpoint: Path, load: Callable[[Path], Predictor]) -> Walk:
    """Judges the rules, and the models in the checkpoint's folder `rehearsals`, on the blocks before the hold-out.

    Args:
        checkpoint: the folder of the judged model; a baseline's holds no rehearsals, and there are rules only.
        load: how a model folder is read.
    """
    known = read_training(prepared)
    walked = walk_softmax(section, prepared, known)
    rows, accounts = rule_rows(section, prepared, known, walked), []
    for name, (earlier, past) in blocks(section, prepared):
        folder = checkpoint / FOLDER / name
        if folder.is_dir():
            every = models(earlier, past, load(folder))
            frames = score_all({rule: every[rule] for rule in CANDIDATES}, list(samples(past, SPLIT)))
            rows.append(model_row(earlier, past, int(name), frames["model"]))
            accounts.append(run_accounts(earlier, past, frames))
    names = tuple(section.data.strategies)
    evidence = evidence_of(section, join_accounts(accounts), names) if accounts else None
    return Walk(sorted(rows, key=lambda row: row["fold"]), evidence, softmax_earns_more(section, known, walked))


def model_row(section: TradingConfig, past: Path, number: int, frame: pl.DataFrame) -> dict[str, Any]:
    """What `rule_rows` says of a rule, of the model that was trained on `past`.

    Args:
        frame: table of `score` of its decisions on the block.
    """
    return {
        "fold": number,
        "first": frame["id"][0],
        "last": frame["id"][-1],
        "trained": len(open_array(past / "train" / "day.npy")),
        "n": frame.height,
        "rule": "model",
        "accuracy": float(frame["strategy/accuracy/hit"].to_numpy().mean()),
        "net": float(frame["return/net/hit"].to_numpy().mean() / section.data.horizon * BASIS_POINTS),
    }


def rule_rows(
    section: TradingConfig, prepared: Path, known: Training, walked: Sequence[tuple[Fold, Whole]]
) -> list[dict[str, Any]]:
    """One row per fold and rule, in order: fold, first and last day of its block (ISO), trained (samples), n, rule,
    accuracy, net (mean net return of the choices in basis points a day).

    Rules: majority and static (most frequent and best-earning strategy of the fold's training part), momentum, softmax,
    and `oracle`, which always chose right.

    Args:
        walked: from `walk_softmax`.
    """
    data = section.data
    dates = np.asarray(open_array(prepared / "dates.npy")).astype("datetime64[D]")
    close = np.asarray(open_array(prepared / "close.npy", 2), np.float64)
    weights = weight_matrix(data.strategies, data.symbols)
    rows = []
    for fold, softmax in walked:
        block, past = fold.validation, fold.train
        n, width = len(block), len(weights)
        choices: dict[str, Whole] = {
            "majority": np.full(n, np.bincount(known.labels[past], minlength=width).argmax()),
            "static": np.full(n, known.returns[past].mean(axis=0).argmax()),
            "momentum": momentum(close, known.days[block], weights, section.evaluation.momentum_days),
            "softmax": softmax,
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
