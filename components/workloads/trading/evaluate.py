"""Judges a checkpoint on the hold-out: accuracy, profit after costs, evidence, leakage, beside every cheap rule."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from components.config_trading import TradingConfig
from components.data.arrays import open_array
from components.data.manifest import published
from components.errors import bad_data
from components.evaluation.calibration import draw_reliability, reliability
from components.evaluation.edge import Evidence
from components.evaluation.performance import annual_return, drawdown, figures, sharpe, sortino
from components.evaluation.predictions import check_rows, write_predictions
from components.evaluation.slices import slice_rows
from components.evaluation.statistics import Interval, bca_interval, documents
from components.evaluation.time_bootstrap import block_length, stationary_bootstrap
from components.files import write_json, write_text
from components.workload import Predictor
from components.workloads.trading import baseline as baselines
from components.workloads.trading.accounts import Accounts
from components.workloads.trading.evaluation_report import Findings, render
from components.workloads.trading.judging import SPLIT, evidence_of, models, run_accounts, score_all
from components.workloads.trading.leakage import Leakage, look_for_leakage
from components.workloads.trading.metrics import differences, metrics, never_seen, slices, values
from components.workloads.trading.pictures import draw_equity
from components.workloads.trading.strategies import weight_matrix
from components.workloads.trading.walk import Walk, walk
from components.workloads.trading.windows import SCALER, read_strategies

LEARNED = ("model", "softmax")  # whose accuracy is searched for leakage
ENDS = {
    "annual": (-1.0, math.inf),
    "sharpe": (-math.inf, math.inf),
    "sortino": (-math.inf, math.inf),
    "drawdown": (-1.0, 0.0),
}
NO_CLAIM = " No edge is claimed before it is explained."


def evaluate(
    section: TradingConfig,
    prepared: Path,
    checkpoint: Path,
    out: Path,
    load: Callable[[Path], Predictor] | None = None,
) -> dict[str, Any]:
    """Predicts the hold-out with the checkpoint and the baselines; `out` appears whole or not at all.

    Args:
        section: the workload's part of params.yaml.
        prepared: prepared data.
        checkpoint: a folder that `load` reads.
        out: receives predictions.parquet, metrics.json, report.json, report.md, slices.json, equity.png,
            reliability.png and baseline/, the first champion as a servable folder.
        load: how a model folder is read; None: as its kind says.

    Returns:
        What stands in metrics.json: {"workload", "split", "n", "metrics": {split/head/metric: value}, "baselines":
        {rule: the same}, "verdict": edge | no edge | worse, "sentence", "evidence", "leakage",
        "walk_forward_evidence": that of the blocks before the hold-out, or None}. Metrics that are not defined are
        left out.

    Raises:
        EquipoiseError: E_EVALUATION (65) when the hold-out has no samples; those of reading data and models.
    """
    from components.workloads.trading.data import samples

    if load is None:
        from components.workloads.trading.workload import load
    model = load(checkpoint)
    labelled = list(samples(prepared, SPLIT))
    if not labelled:
        raise bad_data(
            str(prepared),
            f"the {SPLIT} split needs samples",
            got="none",
            hint="Give more days after trading.data.holdout_from and prepare again",
            code="EVALUATION",
        )
    rules = models(section, prepared, model)
    frames = score_all(rules, labelled)
    check_rows(frames["model"], str(prepared))
    walked = walk(section, prepared, checkpoint, load)
    found = find(section, prepared, frames, walked)
    first = rules["softmax" if walked.softmax_earns_more else "static"]
    assert isinstance(first, baselines.Always | baselines.Softmax)
    with published(out) as part:
        baselines.write(first, prepared, part / "baseline")
        return _write(found, frames, section, part)


def find(section: TradingConfig, prepared: Path, frames: Mapping[str, pl.DataFrame], walked: Walk) -> Findings:
    """Everything that is found out, before anything is written.

    Args:
        frames: tables of `score` of `models` on the hold-out.
        walked: the walk-forward before it.
    """
    settings, horizon, names = section.evaluation, section.data.horizon, read_strategies(prepared)
    accounts = run_accounts(section, prepared, frames)
    evidence = evidence_of(section, accounts, names)
    leakage = leakage_of(section, prepared, frames)
    dates = np.asarray(open_array(prepared / "dates.npy")).astype("datetime64[D]")
    judged = {name: metrics(frame, settings, horizon, names, SPLIT) for name, frame in frames.items()}
    return Findings(
        names=names,
        frames=dict(frames),
        metrics=judged,
        against=differences(frames["model"], frames["static"], settings, horizon, names, SPLIT),
        accounts=accounts,
        dates=dates[accounts.rows],
        figures={name: account_figures(accounts, name) for name in accounts.net},
        intervals=account_intervals(accounts, section),
        evidence=evidence,
        leakage=leakage,
        walk=walked,
        never_best=never_seen(_labels(prepared), names),
        slices=_slices(frames, section, names),
    )


def leakage_of(section: TradingConfig, prepared: Path, frames: Mapping[str, pl.DataFrame]) -> Leakage:
    """The alarm over the learned models and every feature of the hold-out.

    What is to be guessed is the difference between the two strategies that lie furthest apart.
    """
    settings, data = section.evaluation, section.data
    facts = json.loads((prepared / SCALER).read_text("utf-8"))
    days = np.asarray(open_array(prepared / SPLIT / "day.npy"))
    features = np.asarray(open_array(prepared / "features.npy", 2)[days])
    close = np.asarray(open_array(prepared / "close.npy", 2), np.float64)
    weights = weight_matrix(data.strategies, facts["symbols"])
    growth = np.stack([close[days + h] / close[days] - 1.0 for h in range(1, data.horizon + 1)], axis=1)
    learned = {name: frames[name] for name in LEARNED if name in frames}
    return look_for_leakage(
        learned,
        frames["majority"],
        features,
        facts["features"],
        growth @ widest(weights, growth[:, -1]),
        settings.leakage_margin,
        settings,
    )


def widest(weights: np.ndarray, growth: np.ndarray) -> np.ndarray:
    """[N] shares of one strategy less those of another: the pair [K, N] whose returns over [S, N] differ most."""
    pairs = [weights[i] - weights[j] for i in range(len(weights)) for j in range(i)]
    return max(pairs, key=lambda pair: float(np.std(growth @ pair)))


def account_figures(accounts: Accounts, name: str) -> dict[str, float]:
    """`performance.figures` of one account, undefined ones left out."""
    found = figures(accounts.net[name], accounts.cash, accounts.turnover[name])
    return {key: value for key, value in found.items() if math.isfinite(value)}


def account_intervals(accounts: Accounts, section: TradingConfig) -> dict[str, Interval]:
    """annual, sharpe, sortino, drawdown of the model's account with stationary-bootstrap intervals."""
    settings, net = section.evaluation, accounts.net["model"]
    rows = np.column_stack([net, net - accounts.cash])

    def statistic(drawn: np.ndarray) -> np.ndarray:
        own, excess = drawn[:, 0], drawn[:, 1]
        return np.array([annual_return(own), sharpe(excess), sortino(excess), drawdown(own)])

    block = block_length(net, section.data.horizon)
    draws = stationary_bootstrap(rows, statistic, block, settings.resamples, settings.seed)
    return {
        name: Interval(each.value, *bca_interval(each, settings.confidence)).within(*ENDS[name])
        for name, each in zip(ENDS, draws, strict=True)
        if math.isfinite(each.value)
    }


def _labels(prepared: Path) -> np.ndarray:
    splits = ("train", "validation", SPLIT)
    return np.concatenate([open_array(prepared / split / "label.npy") for split in splits])


def _slices(frames: Mapping[str, pl.DataFrame], section: TradingConfig, names: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of `slice_rows` for the model, with the static mix's metrics of the same days beside them."""
    settings, horizon = section.evaluation, section.data.horizon

    def judge(group: pl.DataFrame) -> dict[str, float]:
        return values(group, settings.calibration_bins, horizon, names)

    own, static = (
        slice_rows(frames[name], slices(names), settings.minimum_slice, judge) for name in ("model", "static")
    )
    return [{**row, "static": other["metrics"]} for row, other in zip(own, static, strict=True)]


def document(found: Findings) -> dict[str, Any]:
    """What stands in metrics.json."""
    flat = {name: {key: each.value for key, each in of.items()} for name, of in found.metrics.items()}
    for name, numbers in found.figures.items():
        flat.setdefault(name, {}).update({f"{SPLIT}/pnl/{key}": value for key, value in numbers.items()})
    # A rule that always takes one strategy has that strategy's account.
    for rule in ("static", "majority"):
        held = found.names[int(found.frames[rule]["strategy_prediction"][0])]
        flat[rule] |= {key: value for key, value in flat[held].items() if "/pnl/" in key}
    own = flat.pop("model")
    if found.evidence.deflated is not None:
        own[f"{SPLIT}/evidence/deflated_sharpe"] = found.evidence.deflated
    if found.evidence.spa is not None:
        own[f"{SPLIT}/evidence/spa"] = found.evidence.spa
    return {
        "workload": "trading",
        "split": SPLIT,
        "n": found.frames["model"].height,
        "metrics": dict(sorted(own.items())),
        "baselines": flat,
        **verdict(found.evidence, found.leakage),
        "walk_forward_evidence": found.walk.evidence and found.walk.evidence.document(),
    }


def verdict(evidence: Evidence, leakage: Leakage) -> dict[str, Any]:
    """verdict, sentence, evidence and leakage: what a leak found is no edge, whatever it earned."""
    claimed = "no edge" if leakage.alarm and evidence.verdict == "edge" else evidence.verdict
    sentence = f"{leakage.sentence}{NO_CLAIM}" if leakage.alarm else evidence.sentence
    return {
        "verdict": claimed,
        "sentence": sentence,
        "evidence": evidence.document(),
        "leakage": leakage.document(),
    }


def _write(found: Findings, frames: Mapping[str, pl.DataFrame], section: TradingConfig, folder: Path) -> dict[str, Any]:
    settings, result = section.evaluation, document(found)
    write_predictions(folder / "predictions.parquet", frames["model"])
    write_json(folder / "metrics.json", result)
    write_json(
        folder / "report.json",
        {
            **{key: result[key] for key in ("workload", "split", "n", "verdict", "sentence", "evidence", "leakage")},
            "first": str(found.dates[0]),
            "last": str(found.dates[-1]),
            "confidence": settings.confidence,
            "resamples": settings.resamples,
            "metrics": documents(found.metrics["model"]),
            "baselines": {name: documents(of) for name, of in found.metrics.items() if name != "model"},
            "model_minus_static": documents(found.against),
            "accounts": found.figures,
            "account_intervals": documents(found.intervals),
            "walk_forward": found.walk.rows,
            "walk_forward_evidence": result["walk_forward_evidence"],
            "never_best": found.never_best,
        },
    )
    write_json(folder / "slices.json", found.slices)
    write_text(folder / "report.md", render(found, settings, result["verdict"], result["sentence"]))
    draw_equity(
        folder / "equity.png",
        found.dates,
        found.accounts.net,
        found.names,
        "model",
        "hold-out, after costs",
    )
    tables = {
        name: reliability(
            frames[name]["confidence"].to_numpy(),
            frames[name]["strategy/accuracy/hit"].to_numpy(),
            settings.calibration_bins,
        )
        for name in LEARNED
    }
    draw_reliability(folder / "reliability.png", tables, "probability of the chosen strategy")
    return result
