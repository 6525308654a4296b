"""The judged model and the cheap rules on the same days: their decisions, their accounts, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from components.config_trading import TradingConfig
from components.data.arrays import open_array
from components.evaluation.edge import Evidence, Settings, judge_edge
from components.evaluation.judged_series import Account
from components.evaluation.performance import daily_sharpe
from components.workload import Predictor
from components.workloads.trading import baseline as baselines
from components.workloads.trading.accounts import Accounts, open_accounts
from components.workloads.trading.metrics import score
from components.workloads.trading.records import Sample
from components.workloads.trading.strategies import weight_matrix
from components.workloads.trading.windows import read_reading

SPLIT = "test"
CANDIDATES = ("model", "softmax", "momentum")  # whose decisions move; all others stand still


def models(section: TradingConfig, prepared: Path, model: Predictor) -> dict[str, Predictor]:
    """The judged model and every rule that gives a decision a day, trained on the training split."""
    return {
        "model": model,
        "static": baselines.fit_static(prepared),
        "majority": baselines.fit_majority(prepared),
        "momentum": baselines.fit_momentum(section, prepared),
        "softmax": baselines.fit_softmax(section, prepared),
    }


def score_all(models_: Mapping[str, Predictor], samples: Sequence[Sample]) -> dict[str, pl.DataFrame]:
    """A table of `score` per model, all on the same samples in order."""
    return {name: score(samples, model.predict(samples)) for name, model in models_.items()}


def run_accounts(
    section: TradingConfig, prepared: Path, frames: Mapping[str, pl.DataFrame], split: str = SPLIT
) -> Accounts:
    """Daily accounts over a split of every model, every strategy held throughout, and the configured mixes.

    Args:
        frames: candidate -> its decisions on every day of the split.
    """
    data, settings = section.data, section.evaluation
    symbols = read_reading(prepared).symbols
    weights = weight_matrix(data.strategies, symbols)
    mixes = dict(zip(data.strategies, weights, strict=True))
    named = zip(settings.benchmarks, weight_matrix(settings.benchmarks, symbols), strict=True)
    equal = {"equal_weight": np.full(len(symbols), 1 / len(symbols))}
    moving = [name for name in CANDIDATES if name in frames]
    return open_accounts(
        close=np.asarray(open_array(prepared / "close.npy", 2), np.float64),
        days=np.asarray(open_array(prepared / split / "day.npy")),
        choices={name: frames[name]["strategy_prediction"].to_numpy() for name in moving},
        weights=weights,
        mixes={**mixes, **dict(named), **equal},
        horizon=data.horizon,
        cost=data.cost,
        cash=symbols.index(settings.cash) if settings.cash else None,
    )


def daily_account(section: TradingConfig, prepared: Path, frame: pl.DataFrame) -> Account:
    """What the decisions of a table of `score` of the hold-out earned day by day: the gate compares two of them."""
    found = run_accounts(section, prepared, {"model": frame})
    return Account(found.rows, found.net["model"], found.cash, section.data.horizon)


def evidence_of(section: TradingConfig, accounts: Accounts, names: Sequence[str]) -> Evidence:
    """The verdict on the model against standing still, over all candidates and static mixes."""
    settings, ratios = section.evaluation, section.evaluation.trial_ratios
    strictness = Settings(
        resamples=settings.resamples,
        confidence=settings.confidence,
        seed=settings.seed,
        trials=settings.trials,
        trial_variance=float(np.var(ratios, ddof=1)) if len(ratios) > 1 else None,
        overlap=section.data.horizon,
        parts=settings.parts,
    )
    statics = {name: accounts.net[name] for name in names}
    return judge_edge("model", accounts.tracks, statics, accounts.cash, strictness)


def trial_ratio(section: TradingConfig, prepared: Path, frame: pl.DataFrame) -> float:
    """Daily Sharpe ratio of the timing of decisions on the validation split, which the evidence deflates when they are
    those of one of many trials: 0 where the choice never changes.

    Args:
        frame: table of `score` of the validation split.
    """
    ratio = float(daily_sharpe(run_accounts(section, prepared, {"model": frame}, "validation").tracks["model"].timing))
    return ratio if math.isfinite(ratio) else 0.0
