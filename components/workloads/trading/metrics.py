"""What is right and wrong in each decision, what it earned, and the metrics of a whole split with their intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import polars as pl

from components.config_parts import EvaluationConfig
from components.errors import bad_data
from components.evaluation import calibration
from components.evaluation import metrics as measures
from components.evaluation.performance import BASIS_POINTS
from components.evaluation.statistics import Interval, Statistic, calibration_error, macro_f1, ratios
from components.workloads.trading.records import Prediction, Sample

HEADS = ("strategy/accuracy", "return/net", "return/captured", "regret/oracle", "halt/precision")
SURE = 0.5  # the halt head says "stop" above it
SCHEMA: dict[str, Any] = {
    "id": pl.String,
    "conversation": pl.String,
    "month": pl.String,
    "regime": pl.String,
    "strategy_label": pl.Int64,
    "strategy_prediction": pl.Int64,
    "confidence": pl.Float64,
    "halt_confidence": pl.Float64,
    "steps": pl.Int64,
    "returns": pl.List(pl.Float64),
    **{f"{head}/{part}": pl.Float64 for head in HEADS for part in ("hit", "of")},
}


def score(samples: Sequence[Sample], predictions: Sequence[Prediction]) -> pl.DataFrame:
    """One row per decision: slices, prediction, confidence, and `<head>/<metric>/hit` and `.../of` for each head.

    Heads: strategy/accuracy; return/net, the chosen strategy's net return over the horizon; return/captured, the part
    of what lay between the worst and the best strategy; regret/oracle, the best strategy's return less the chosen
    one's; halt/precision over the decisions the halt head was sure of. `conversation` is the running index of the
    month, `returns` the net return of every strategy.

    Raises:
        EquipoiseError: E_LABELS (65) for a sample without labels.
    """
    rows = [_row(sample, said) for sample, said in zip(samples, predictions, strict=True)]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def metrics(
    frame: pl.DataFrame, settings: EvaluationConfig, horizon: int, names: Sequence[str], split: str = "test"
) -> dict[str, Interval]:
    """`split/head/metric` -> (value, low, high) over a table of `score`; undefined metrics are left out.

    Intervals come from a bootstrap over months, all metrics on the same draws.

    Args:
        horizon: days over which the returns run.
        names: of the strategies.
    """
    if frame.is_empty():
        return {}
    months = frame["month"].rank("dense").to_numpy()
    found = {
        name: measures.interval_of(parts, months, statistic, settings)
        for name, parts, statistic in _sums(frame, settings.calibration_bins, horizon, names)
    }
    return {f"{split}/{name}": found[name] for name in sorted(found) if np.isfinite(found[name].value)}


def differences(
    frame: pl.DataFrame,
    other: pl.DataFrame,
    settings: EvaluationConfig,
    horizon: int,
    names: Sequence[str],
    split: str = "test",
) -> dict[str, Interval]:
    """`split/head/metric` -> (value, low, high) of frame minus other on the same decisions, drawn together."""
    if frame["id"].to_list() != other["id"].to_list():
        raise ValueError("differences need the same samples in the same order")
    if frame.is_empty():
        return {}
    months = frame["month"].rank("dense").to_numpy()
    pairs = (_sums(each, settings.calibration_bins, horizon, names) for each in (frame, other))
    found = {}
    for (name, left, statistic), (same, right, _) in zip(*pairs, strict=True):
        assert name == same, "both tables have the same metrics"
        both = np.concatenate([left, right], axis=1)
        found[name] = measures.interval_of(both, months, measures.minus(statistic, left.shape[1]), settings)
    return {f"{split}/{name}": found[name] for name in sorted(found) if np.isfinite(found[name].value)}


def values(frame: pl.DataFrame, bins: int, horizon: int, names: Sequence[str]) -> dict[str, float]:
    """`head/metric` -> value over a table of `score`, without intervals; undefined metrics are left out."""
    found = {name: measures.value_of(parts, statistic) for name, parts, statistic in _sums(frame, bins, horizon, names)}
    return {name: value for name, value in sorted(found.items()) if np.isfinite(value)}


def validation_metrics(frame: pl.DataFrame) -> dict[str, float]:
    """What early stopping and tuning look at: no loss weight enters any of it.

    `objective` is return/captured: the share of what lay between the worst and the best strategy of each day; 0 for
    an empty table.
    """
    sums = {name: (float(frame[f"{name}/hit"].sum()), float(frame[f"{name}/of"].sum())) for name in HEADS[:3]}
    chosen = {name: hit / of for name, (hit, of) in sums.items() if of > 0}
    return {**chosen, "objective": chosen.get("return/captured", 0.0)}


def strategy_returns(frame: pl.DataFrame) -> np.ndarray:
    """[S, K] net return of every strategy over the horizon."""
    return np.array(frame["returns"].to_list(), np.float64).reshape(frame.height, -1)


def slices(names: Sequence[str]) -> dict[str, pl.Expr]:
    """Slice name -> value per row: regime, year, labelled strategy."""
    return {
        "regime": pl.col("regime"),
        "year": pl.col("month").str.slice(0, 4),
        "strategy": pl.col("strategy_label").replace_strict(dict(enumerate(names)), return_dtype=pl.String),
    }


def _sums(
    frame: pl.DataFrame, bins: int, horizon: int, names: Sequence[str]
) -> Iterable[tuple[str, np.ndarray, Statistic]]:
    """(name, per-sample parts [S, K], statistic of their sums) of every metric that is a function of sums."""
    label, said = (frame[c].to_list() for c in ("strategy_label", "strategy_prediction"))
    classes = measures.class_parts(label, said, range(len(names)))
    right = np.equal(label, said).astype(np.float64)
    confidence = frame["confidence"].to_numpy()
    yield "strategy/balanced_accuracy", classes, balanced_accuracy
    yield "strategy/macro_f1", classes, macro_f1
    yield "strategy/ece", calibration.bin_parts(confidence, right, bins), calibration_error
    yield "steps/mean", measures.with_count(frame["steps"].to_numpy().astype(np.float64)), measures.mean
    for head in ("strategy/accuracy", "return/captured", "halt/precision"):
        yield head, frame.select(f"{head}/hit", f"{head}/of").to_numpy(), ratios
    a_day = BASIS_POINTS / horizon
    earned, best = (frame[f"{head}/hit"].to_numpy() for head in ("return/net", "regret/oracle"))
    yield "return/net", measures.with_count(earned), measures.mean
    yield "regret/oracle", measures.with_count(best * a_day), measures.mean
    every = strategy_returns(frame)
    static = every[:, int(np.argmax(every.mean(axis=0)))]
    yield "regret/static", measures.with_count((static - earned) * a_day), measures.mean


def balanced_accuracy(totals: np.ndarray) -> np.ndarray:
    """[draws, 3 * C] sums of `class_parts` -> mean recall over the classes that occur; nan where none does."""
    right, _, labelled = np.split(totals, 3, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = np.where(labelled > 0, right / labelled, 0.0)
        return recall.sum(axis=1, keepdims=True) / (labelled > 0).sum(axis=1, keepdims=True)


def _row(sample: Sample, said: Prediction) -> tuple[Any, ...]:
    labels = sample.labels
    if labels is None:
        raise bad_data(
            f"sample {sample.id}",
            "needs labels to be judged",
            got="none",
            hint="Evaluate on a labelled split",
            code="LABELS",
        )
    right, sure = said.strategy == labels.best, said.halt_confidence > SURE
    low, high, earned = min(labels.returns), max(labels.returns), labels.returns[said.strategy]
    pairs = {
        "strategy/accuracy": (float(right), 1.0),
        "return/net": (earned, 1.0),
        "return/captured": (earned - low, high - low),
        "regret/oracle": (high - earned, 1.0),
        "halt/precision": (float(right and sure), float(sure)),
    }
    return (
        sample.id,
        str(sample.block),
        str(sample.date)[:7],
        labels.regime,
        labels.best,
        said.strategy,
        said.confidence,
        said.halt_confidence,
        said.steps,
        list(labels.returns),
        *(number for head in HEADS for number in pairs[head]),
    )


def never_seen(labels: np.ndarray, names: Sequence[str]) -> list[str]:
    """Names of the strategies that are the label of no sample [S]."""
    counts = np.bincount(np.asarray(labels, np.int64), minlength=len(names))
    return [name for name, count in zip(names, counts, strict=True) if not count]
