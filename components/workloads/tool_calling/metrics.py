"""What is right and wrong in each sample, and the metrics of a whole split with their intervals."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from components.config import EvaluationConfig
from components.errors import bad_data
from components.evaluation import calibration
from components.evaluation import metrics as measures
from components.evaluation.slices import length_bucket
from components.evaluation.statistics import Interval, Statistic, calibration_error, macro_f1, ratios
from components.workloads.tool_calling.decode import trim
from components.workloads.tool_calling.dialogues import DECISIONS, FoundSpan, Labels, Message, Prediction, Sample, Span

SPAN_METRICS = ("exact_match", "start", "end", "token_f1")
HEADS = (
    "decision/accuracy",
    "tool/accuracy",
    "intent/accuracy",
    *(f"slots/{metric}" for metric in SPAN_METRICS),
    *(f"arguments/{metric}" for metric in SPAN_METRICS),
    "arguments/text",
    "call/accuracy",
)
BY_SEEN = ("decision/accuracy", "tool/accuracy", "slots/exact_match", "arguments/exact_match", "call/accuracy")
LENGTH_EDGES = (2, 6, 12, 20)
SCHEMA: dict[str, Any] = {
    "id": pl.String,
    "conversation": pl.String,
    "service": pl.String,
    "seen": pl.Boolean,
    "messages": pl.Int64,
    "decision_label": pl.Int64,
    "decision_probability": pl.Float64,
    "decision_prediction": pl.Int64,
    "tool_label": pl.String,
    "tool_prediction": pl.String,
    "tool_confidence": pl.Float64,
    "intent_label": pl.String,
    "intent_prediction": pl.String,
    "intent_confidence": pl.Float64,
    "steps": pl.Int64,
    **{f"{head}/{part}": pl.Float64 for head in HEADS for part in ("hit", "of")},
}
SLICES: dict[str, pl.Expr] = {
    "service": pl.when(pl.col("service") != "").then(pl.col("service")),
    "seen": pl.when(pl.col("seen")).then(pl.lit("seen")).when(~pl.col("seen")).then(pl.lit("unseen")),
    "messages": length_bucket("messages", LENGTH_EDGES),
    "decision": pl.when(pl.col("decision_label") == 1).then(pl.lit(DECISIONS[1])).otherwise(pl.lit(DECISIONS[0])),
}


def score(
    samples: Sequence[Sample], predictions: Sequence[Prediction], known: Collection[str] | None = None
) -> pl.DataFrame:
    """One row per sample: slices, prediction, confidence, and `<head>/<metric>/hit` and `.../of` for each head.

    Args:
        samples: labelled.
        predictions: one each, with `given_arguments` for the labelled tool.
        known: tools the training split offers; None leaves the column `seen` null.

    Raises:
        EquipoiseError: E_LABELS (65) for a sample without labels.
    """
    rows = [_row(sample, said, known) for sample, said in zip(samples, predictions, strict=True)]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def metrics(frame: pl.DataFrame, settings: EvaluationConfig, split: str = "test") -> dict[str, Interval]:
    """`split/head/metric` -> (value, low, high) over a table of `score`; undefined metrics are left out.

    Intervals come from a bootstrap over conversations, all metrics on the same draws.
    """
    if frame.is_empty():
        return {}
    clusters = frame["conversation"].rank("dense").to_numpy()
    found = {
        name: measures.interval_of(parts, clusters, statistic, settings)
        for name, parts, statistic in _sums(frame, settings.calibration_bins)
    }
    label, probability = (frame[c].to_numpy() for c in ("decision_label", "decision_probability"))
    found["decision/auroc"] = measures.interval_of_auroc(label, probability, clusters, settings)
    return {f"{split}/{name}": found[name] for name in sorted(found) if np.isfinite(found[name].value)}


def differences(
    frame: pl.DataFrame, other: pl.DataFrame, settings: EvaluationConfig, split: str = "test"
) -> dict[str, Interval]:
    """`split/head/metric` -> (value, low, high) of frame minus other on the same samples, AUROC excepted.

    Both are drawn together, so what makes a conversation hard for both cancels out.
    """
    if frame["id"].to_list() != other["id"].to_list():
        raise ValueError("differences need the same samples in the same order")
    if frame.is_empty():
        return {}
    clusters, bins = frame["conversation"].rank("dense").to_numpy(), settings.calibration_bins
    found = {}
    for (name, left, statistic), (same, right, _) in zip(_sums(frame, bins), _sums(other, bins), strict=True):
        assert name == same, "both tables have the same metrics"
        both = np.concatenate([left, right], axis=1)
        found[name] = measures.interval_of(both, clusters, measures.minus(statistic, left.shape[1]), settings)
    return {f"{split}/{name}": found[name] for name in sorted(found) if np.isfinite(found[name].value)}


def values(frame: pl.DataFrame, bins: int) -> dict[str, float]:
    """`head/metric` -> value over a table of `score`, without intervals; undefined metrics are left out."""
    found = {name: measures.value_of(parts, statistic) for name, parts, statistic in _sums(frame, bins)}
    if not frame.is_empty():
        label, probability = (frame[c].to_numpy() for c in ("decision_label", "decision_probability"))
        found["decision/auroc"] = measures.auroc(label, probability)
    return {name: value for name, value in sorted(found.items()) if np.isfinite(value)}


def validation_metrics(frame: pl.DataFrame) -> dict[str, float]:
    """What early stopping and tuning look at: no loss weight enters any of it.

    `objective` is the plain mean of decision accuracy, tool accuracy, slot and argument exact match, of those that the
    split defines; 0 for an empty table.
    """
    judged = ("decision/accuracy", "tool/accuracy", "slots/exact_match", "arguments/exact_match")
    sums = {name: (float(frame[f"{name}/hit"].sum()), float(frame[f"{name}/of"].sum())) for name in judged}
    chosen = {name: hit / of for name, (hit, of) in sums.items() if of > 0}
    return {**chosen, "objective": sum(chosen.values()) / len(chosen) if chosen else 0.0}


def _sums(frame: pl.DataFrame, bins: int) -> Iterable[tuple[str, np.ndarray, Statistic]]:
    """(name, per-sample parts [S, K], statistic of their sums) of every metric that is a function of sums."""
    label, said = (frame[c].to_numpy() for c in ("decision_label", "decision_prediction"))
    probability = frame["decision_probability"].to_numpy()
    call = measures.class_parts(label.tolist(), said.tolist(), [1])
    yield "decision/f1", call, measures.f1
    yield "decision/precision", call, measures.precision
    yield "decision/recall", call, measures.recall
    yield "decision/macro_f1", measures.class_parts(label.tolist(), said.tolist(), [0, 1]), macro_f1
    yield "decision/ece", calibration.bin_parts(probability, label, bins), calibration_error
    yield "decision/brier", measures.with_count((probability - label) ** 2), ratios
    yield "steps/mean", measures.with_count(frame["steps"].to_numpy().astype(np.float64)), measures.mean
    intents = frame["intent_label"].drop_nulls().unique().sort().to_list()
    if intents:
        known = frame["intent_label"].is_not_null()
        spoken = frame.select(pl.when(known).then("intent_prediction").alias("said"))["said"].to_list()
        every = sorted({*intents, *(s for s in spoken if s is not None)})
        yield "intent/macro_f1", measures.class_parts(frame["intent_label"].to_list(), spoken, every), macro_f1
    for head in HEADS:
        parts = frame.select(f"{head}/hit", f"{head}/of").to_numpy()
        yield head, parts, ratios
        if head in BY_SEEN:
            for name, mask in (("seen", pl.col("seen")), ("unseen", ~pl.col("seen"))):
                inside = frame.select(mask.fill_null(value=False).cast(pl.Float64).alias("inside"))["inside"]
                yield f"{head}_{name}", parts * inside.to_numpy()[:, None], ratios


def _row(sample: Sample, said: Prediction, known: Collection[str] | None) -> tuple[Any, ...]:
    labels = sample.labels
    if labels is None:
        raise bad_data(
            f"sample {sample.id}",
            "needs labels to be judged",
            got="none",
            hint="Evaluate on a labelled split",
            code="LABELS",
        )
    decision = int(said.decision_probability >= 0.5)
    calls = labels.decision == 1
    tool_right = calls and said.tool == labels.tool
    whole = tool_right and decision == 1 and _arguments_right(said.arguments, labels)
    pairs = [
        (float(decision == labels.decision), 1.0),
        (float(tool_right), float(calls)),
        (float(said.intent == labels.intent), float(labels.intent is not None)),
        *_span_scores(said.slots, labels.slot_spans, sample.history),
        *_span_scores(said.given_arguments, labels.argument_spans, sample.history),
        _text_score(said.given_arguments, labels, sample.history),
        (float(whole), float(calls)),
    ]
    return (
        sample.id,
        sample.conversation,
        sample.service,
        _seen(sample, labels, known),
        len(sample.history),
        labels.decision,
        said.decision_probability,
        decision,
        labels.tool,
        said.tool,
        said.tool_confidence,
        labels.intent,
        said.intent,
        said.intent_confidence,
        said.steps,
        *(number if of else 0.0 for hit, of in pairs for number in (hit, of)),
    )


def _seen(sample: Sample, labels: Labels, known: Collection[str] | None) -> bool | None:
    """Calls: the labelled tool is known from training; direct answers: every offered tool is."""
    if known is None:
        return None
    names = [labels.tool] if labels.decision == 1 else [tool.name for tool in sample.tools]
    return all(name in known for name in names)


def _span_scores(
    found: Mapping[str, FoundSpan], labelled: Mapping[str, Span], history: Sequence[Message]
) -> list[tuple[float, float]]:
    """(hit, of) of exact match, start, end and token F1 over the labelled spans, in the order of SPAN_METRICS."""
    hits = [0.0, 0.0, 0.0, 0.0]
    for name, span in labelled.items():
        said = found.get(name)
        if said is None or said.turn != span.turn:
            hits[3] += token_f1(said.text, _text(span, history)) if said else 0.0
            continue
        text = history[span.turn].content
        start, end = trim(text, span.start, span.end)
        said_start, said_end = trim(text, said.start, said.end)
        hits[0] += (said_start, said_end) == (start, end)
        hits[1] += said_start == start
        hits[2] += said_end == end
        hits[3] += token_f1(said.text, text[start:end])
    return [(float(hit), float(len(labelled))) for hit in hits]


def _text_score(found: Mapping[str, FoundSpan], labels: Labels, history: Sequence[Message]) -> tuple[float, float]:
    """(hit, of): labelled spans whose predicted text says the same value, wherever it stands."""
    hits = 0
    for name, span in labels.argument_spans.items():
        if name in found:
            hits += normal(found[name].text) in {normal(_text(span, history)), *_accepted(name, labels)}
    return float(hits), float(len(labels.argument_spans))


def _arguments_right(found: Mapping[str, FoundSpan], labels: Labels) -> bool:
    """Every labelled argument has an accepted text and no other argument is given."""
    if set(found) != set(labels.arguments):
        return False
    return all(normal(span.text) in _accepted(name, labels) for name, span in found.items())


def _accepted(name: str, labels: Labels) -> set[str]:
    return {normal(text) for text in (labels.arguments.get(name, ""), *labels.spellings.get(name, ()))} - {""}


def _text(span: Span, history: Sequence[Message]) -> str:
    return history[span.turn].content[span.start : span.end]


def normal(text: str) -> str:
    """Case and white space do not tell values apart."""
    return " ".join(text.casefold().split())


def token_f1(said: str, true: str) -> float:
    """F1 of the words (punctuation marks being words) that two texts share, as multisets (Rajpurkar et al. 2016)."""
    left, right = (Counter(re.findall(r"\w+|[^\w\s]", text.casefold())) for text in (said, true))
    shared = (left & right).total()
    return 2 * shared / (left.total() + right.total()) if shared else 0.0
