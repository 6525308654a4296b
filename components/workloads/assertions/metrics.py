"""How right each written assertion is, and the metrics of a whole split with their intervals.

Both sides are compared in one canonical spacing. Few held-out assertions can be written at all from what the input
holds, so exact match stands beside its share of the rows that can be copied, and beside likeness.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from components.config_parts import EvaluationConfig
from components.errors import bad_data
from components.evaluation import shares as judged
from components.evaluation.statistics import Interval
from components.losses.similarity import pans
from components.workloads.assertions.answers import Prediction
from components.workloads.assertions.compare import same, token_similarity
from components.workloads.assertions.java_syntax import is_statement
from components.workloads.assertions.java_tokens import canonical, tokens
from components.workloads.assertions.pairs import Pair, assert_type, copyable

Alike = Callable[[Sequence[str], Sequence[str]], Sequence[float]]  # of two texts each: from 0 to 1
HEADS = (
    "exact_match/all",
    "exact_match/copyable",
    "exact_match/unseen",
    "exact_match/with_prior",
    "exact_match/without_prior",
    "type/accuracy",
    "similarity/tokens",
    "similarity/token_f1",
    "similarity/pans",
    "similarity/edit",
    "similarity/semantic",
    "syntax/valid",
)
MEANING = "similarity/semantic"  # the one head that `score` leaves open
SCHEMA: dict[str, Any] = {
    "id": pl.String,
    "conversation": pl.String,
    "test": pl.String,
    "project": pl.String,
    "prior": pl.Int64,
    "copyable": pl.Boolean,
    "type_label": pl.String,
    "type_prediction": pl.String,
    "label": pl.String,
    "prediction": pl.String,
    "confidence": pl.Float64,
    "pieces": pl.Int64,
    **{f"{head}/{part}": pl.Float64 for head in HEADS for part in ("hit", "of")},
}


def score(
    samples: Sequence[Pair], predictions: Sequence[Prediction], known: frozenset[str] | None = None
) -> pl.DataFrame:
    """One row per assertion: slices, prediction, confidence, and `<head>/<metric>/hit` and `.../of` of each head.

    Heads: exact_match over all rows, those that can be copied from the input, those whose assertion stands nowhere in
    the training split, those with and without an earlier assertion; type, the method called; similarity to the
    label (difflib ratio, F1 of the bag, and PANS over Java tokens, edit distance of characters; likeness in meaning is
    left open for `with_meaning`); syntax, whether it parses. `conversation` is the file of the test, whose assertions
    stand or fall together.

    Args:
        known: canonical assertions of the training split; None: no row counts as unseen.

    Raises:
        EquipoiseError: E_LABELS (65) for a sample without assertion.
    """
    rows = [_row(sample, said, known) for sample, said in zip(samples, predictions, strict=True)]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def with_meaning(frame: pl.DataFrame, alike: Alike) -> pl.DataFrame:
    """A table of `score` with the likeness in meaning of what was written and the label filled in."""
    found = pl.Series(f"{MEANING}/hit", alike(frame["label"].to_list(), frame["prediction"].to_list()), pl.Float64)
    return frame.with_columns(found, pl.lit(1.0).alias(f"{MEANING}/of"))


def metrics(frame: pl.DataFrame, settings: EvaluationConfig, split: str = "test") -> dict[str, Interval]:
    """`split/head/metric` -> (value, low, high) over a table of `score`; undefined metrics are left out.

    Intervals come from a bootstrap over files of tests, all metrics on the same draws.
    """
    return judged.intervals(frame, HEADS, settings, split)


def differences(
    frame: pl.DataFrame, other: pl.DataFrame, settings: EvaluationConfig, split: str = "test"
) -> dict[str, Interval]:
    """`split/head/metric` -> (value, low, high) of frame minus other on the same assertions, drawn together."""
    return judged.differences(frame, other, HEADS, settings, split)


def values(frame: pl.DataFrame) -> dict[str, float]:
    """`head/metric` -> value over a table of `score`, without intervals; undefined metrics are left out."""
    sums = {head: (float(frame[f"{head}/hit"].sum()), float(frame[f"{head}/of"].sum())) for head in HEADS}
    return {head: hit / of for head, (hit, of) in sums.items() if of > 0}


def validation_metrics(frame: pl.DataFrame) -> dict[str, float]:
    """What early stopping and tuning look at: no loss weight enters any of it.

    `objective` is the mean of token similarity and type accuracy: exact match is too rare on held-out projects to tell
    epochs apart. 0 for an empty table.
    """
    found = values(frame)
    return {**found, "objective": (found.get("similarity/tokens", 0.0) + found.get("type/accuracy", 0.0)) / 2}


def slices() -> dict[str, pl.Expr]:
    """Slice name -> value per row: kind of assertion, project, earlier assertions."""
    return {
        "type": pl.col("type_label"),
        "project": pl.col("project"),
        "prior": pl.when(pl.col("prior") > 0).then(pl.lit("with")).otherwise(pl.lit("without")),
    }


def token_f1(left: Sequence[str], right: Sequence[str]) -> float:
    """Harmonic mean of precision and recall of the bags of tokens."""
    counts: dict[str, int] = {}
    for token in right:
        counts[token] = counts.get(token, 0) + 1
    common = 0
    for token in left:
        if counts.get(token, 0):
            counts[token] -= 1
            common += 1
    return 2 * common / (len(left) + len(right)) if left or right else 1.0


def edit_similarity(left: str, right: str) -> float:
    """1 - Levenshtein distance over the length of the longer text."""
    if left == right:
        return 1.0
    longest = max(len(left), len(right))
    row = np.arange(len(right) + 1)
    codes, columns = np.array([ord(c) for c in right], np.int64), np.arange(len(right) + 1)
    for i, character in enumerate(left, start=1):
        swapped = row[:-1] + (codes != ord(character))
        best = np.minimum(np.concatenate([[i], swapped]), row + 1)
        row = np.minimum.accumulate(best - columns) + columns  # insertions run along the row
    return 1.0 - float(row[-1]) / longest


def _row(sample: Pair, said: Prediction, known: frozenset[str] | None) -> tuple[Any, ...]:
    if sample.assertion is None:
        raise bad_data(
            f"sample {sample.id}",
            "needs its assertion to be judged",
            got="none",
            hint="Evaluate on a labelled split",
            code="LABELS",
        )
    label, text = canonical(sample.assertion), canonical(said.assertion)
    wanted, written = tokens(label), tokens(text)
    right = float(same(label, text))
    can_copy = copyable(sample.assertion, sample.focal_code, sample.test_prefix)
    kind = assert_type(text)
    shares = {
        "exact_match/all": 1.0,
        "exact_match/copyable": float(can_copy),
        "exact_match/unseen": float(known is not None and label not in known),
        "exact_match/with_prior": float(sample.n_prior_asserts > 0),
        "exact_match/without_prior": float(sample.n_prior_asserts == 0),
    }
    pairs = {head: (right * of, of) for head, of in shares.items()} | {
        "type/accuracy": (float(kind == sample.assert_type), 1.0),
        "similarity/tokens": (token_similarity(label, text), 1.0),
        "similarity/token_f1": (token_f1(written, wanted), 1.0),
        "similarity/pans": (pans(written, wanted), 1.0),
        "similarity/edit": (edit_similarity(text, label), 1.0),
        MEANING: (0.0, 0.0),
        "syntax/valid": (float(is_statement(text)), 1.0),
    }
    return (
        sample.id,
        f"{sample.project}/{sample.path}",
        sample.test,
        sample.project,
        sample.n_prior_asserts,
        can_copy,
        sample.assert_type,
        kind,
        label,
        text,
        said.confidence,
        said.pieces,
        *(number for head in HEADS for number in pairs[head]),
    )
