"""What the gate asks of two models on one evaluation set, and the paired differences that answer it.

A head's metric says what kind of statistic it is. Where the tables hold `<head>/<metric>/hit` and `.../of` it is a
share. `macro_f1`, `auroc` and `ece` are statistics of the whole sample, read from the columns `<head>_label` with
`<head>_prediction` (macro_f1), `<head>_probability` (auroc, ece) or `<head>_confidence` (ece); `sharpe` and `drawdown`
are those of the daily account. All but the last two see the same draws of clusters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from components.config_parts import GateConfig, GateHead, GateSlice
from components.errors import EquipoiseError, bad_data
from components.evaluation.calibration import bin_parts
from components.evaluation.judged_series import METRICS as SERIES
from components.evaluation.judged_series import Account, paired_account
from components.evaluation.metrics import auroc_of_counts, class_parts
from components.evaluation.statistics import (
    PairedDifference,
    Statistic,
    calibration_error,
    cluster_sums,
    macro_f1,
    paired_differences,
    paired_statistic,
)

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
WHOLE = ("macro_f1", "auroc", "ece")


@dataclass(frozen=True)
class Question:
    """A head of all samples, or of the rows of one slice (`slice`: "column value", `inside`: [n] which rows)."""

    head: GateHead
    slice: str | None = None
    inside: Mask | None = None

    @property
    def name(self) -> str:
        """For people and refusals."""
        return f"{self.head.head} {self.head.metric}" + (f" of {self.slice}" if self.slice else "")

    @property
    def bounded(self) -> bool:
        """Whether the margin is one of shares: what sits in so many clusters moves the statistic by as much."""
        return self.head.metric not in SERIES


class Answer(NamedTuple):
    """The difference candidate - champion that answers a question, and how many samples have a say in it."""

    question: Question
    pair: PairedDifference
    samples: int


@dataclass(frozen=True)
class Skipped:
    """A slice of a head that is not judged, having fewer than the configured minimum of `clusters`."""

    head: str
    metric: str
    slice: str
    clusters: int


@dataclass(frozen=True)
class Examination:
    """Two tables of scores of the same samples, and what is asked of them.

    Attributes:
        candidate, champion: rows in the same order.
        config: the gate's.
        codes: [n] cluster of each row, 0 .. clusters - 1.
        questions: the configured heads, then their slices, the smallest first.
        skipped: slices too small to be judged.
        accounts: of candidate and champion, where a head asks for them.
    """

    candidate: pl.DataFrame
    champion: pl.DataFrame
    config: GateConfig
    codes: NDArray[np.intp]
    questions: tuple[Question, ...]
    skipped: tuple[Skipped, ...]
    accounts: tuple[Account, Account] | None = None

    @property
    def clusters(self) -> int:
        """Of all samples."""
        return int(self.codes.max()) + 1

    def answers(self, resamples: int) -> list[Answer]:
        """The paired differences in the order of the questions."""
        shares = iter(_shares(self, [q for q in self.questions if is_share(self.candidate, q.head)], resamples))
        return [next(shares) if is_share(self.candidate, q.head) else _one(self, q, resamples) for q in self.questions]


def examine(
    candidate: pl.DataFrame, champion: pl.DataFrame, config: GateConfig, accounts: tuple[Account, Account] | None = None
) -> Examination:
    """Lays out the questions; the tables must already be known to hold the same samples in the same order.

    Raises:
        EquipoiseError: E_GATE_SCORES (65) when a column is missing or a score is not finite, E_GATE_PAIRS (65) when a
            column that must not depend on the model does.
    """
    codes = np.unique(candidate[config.cluster].to_numpy(), return_inverse=True)[1]
    heads = tuple(Question(head) for head in config.heads)
    for head in config.heads:
        _check(candidate, champion, head, accounts)
    sliced, skipped = [], []
    for each in config.slices:
        names = _slice_values(candidate, champion, each.column)
        for head in config.heads:
            if head.role != "primary" or head.metric in SERIES:
                continue
            has_say = _says(candidate, head) | _says(champion, head)
            for value in sorted(set(names.drop_nulls())):
                inside = (names == value).fill_null(value=False).to_numpy()
                size = len(np.unique(codes[inside & has_say]))
                name = f"{each.column} {value}"
                if size < each.minimum:
                    skipped.append(Skipped(head.head, head.metric, name, size))
                else:
                    sliced.append((size, Question(_guard(head, each), name, inside)))
    sliced.sort(key=lambda pair: pair[0])
    questions = (*heads, *(question for _, question in sliced))
    return Examination(candidate, champion, config, codes, questions, tuple(skipped), accounts)


def _guard(head: GateHead, each: GateSlice) -> GateHead:
    return head.model_copy(update={"role": "guard", "margin": each.margin})


def is_share(frame: pl.DataFrame, head: GateHead) -> bool:
    """Whether the table gives the head's metric as a numerator and a denominator of each sample."""
    return f"{head.head}/{head.metric}/hit" in frame.columns


def _says(frame: pl.DataFrame, head: GateHead) -> Mask:
    """[n] which rows have a say in a head."""
    if is_share(frame, head):
        return frame[f"{head.head}/{head.metric}/of"].to_numpy() > 0
    return frame[_column(frame, head, "label")].is_not_null().to_numpy()


def _shares(of: Examination, questions: Sequence[Question], resamples: int) -> list[Answer]:
    if not questions:
        return []
    everywhere = np.ones(of.candidate.height, np.bool_)
    parts = [
        np.column_stack([
            frame[f"{q.head.head}/{q.head.metric}/{kind}"].cast(pl.Float64).to_numpy()
            * (everywhere if q.inside is None else q.inside)
            for q in questions
        ])
        for frame in (of.candidate, of.champion) for kind in ("hit", "of")
    ]  # fmt: skip
    hit_a, of_a, hit_b, of_b = parts
    pairs = paired_differences(hit_a, of_a, hit_b, of_b, of.codes, resamples, 1 - of.config.alpha, of.config.seed)
    samples = np.count_nonzero((of_a > 0) | (of_b > 0), axis=0)
    return [Answer(q, pair, int(n)) for q, pair, n in zip(questions, pairs, samples, strict=True)]


def _one(of: Examination, question: Question, resamples: int) -> Answer:
    """A statistic that is bootstrapped as a whole."""
    head, config = question.head, of.config
    if head.metric in SERIES:
        assert of.accounts is not None, "checked when the questions were laid out"
        pair = paired_account(head.metric, *of.accounts, resamples, 1 - config.alpha, config.seed)
        return Answer(question, pair, len(of.accounts[0].days))
    rows = _says(of.candidate, head) & (True if question.inside is None else question.inside)
    codes = of.codes[rows]
    sides = [_statistic(frame.filter(rows), head, codes, of.clusters, config) for frame in (of.candidate, of.champion)]
    said = [frame.filter(rows)[_said(frame, head)] for frame in (of.candidate, of.champion)]
    differing = len(np.unique(codes[said[0].ne_missing(said[1]).to_numpy()]))
    informative = len(np.unique(codes))

    def both(counts: Floats) -> Floats:
        return np.hstack([side(counts) for side in sides])

    pair = paired_statistic(
        both, informative, differing, of.clusters, resamples, 1 - config.alpha, config.seed
    )  # fmt: skip
    return Answer(question, pair, int(rows.sum()))


def _statistic(frame: pl.DataFrame, head: GateHead, codes: NDArray, clusters: int, config: GateConfig) -> Statistic:
    """Counts [draws, clusters] -> [draws, 1] of one model's rows."""
    label, said = frame[_column(frame, head, "label")], frame[_said(frame, head)]
    if head.metric == "auroc":
        return auroc_of_counts(label.to_numpy(), said.to_numpy(), codes, clusters)
    if head.metric == "macro_f1":
        parts, statistic = class_parts(label.to_list(), said.to_list(), sorted(set(label))), macro_f1
    else:
        right = _right(frame, head, label)
        parts, statistic = bin_parts(said.to_numpy(), right, config.calibration_bins), calibration_error
    # Clusters without a say stand in the draws as rows of zeros.
    padded = np.concatenate([parts, np.zeros((clusters, parts.shape[1]))])
    sums = cluster_sums(padded, np.concatenate([codes, np.arange(clusters)]))
    return lambda counts: statistic(counts @ sums)


def _right(frame: pl.DataFrame, head: GateHead, label: pl.Series) -> Floats:
    """What a probability is compared with: the label of a binary head, else whether the prediction was right."""
    if f"{head.head}_probability" in frame.columns:
        return label.cast(pl.Float64).to_numpy()
    return (label == frame[_column(frame, head, "prediction")]).fill_null(value=False).cast(pl.Float64).to_numpy()


def _said(frame: pl.DataFrame, head: GateHead) -> str:
    """The column that the two models can differ in."""
    if head.metric == "macro_f1":
        return _column(frame, head, "prediction")
    if head.metric == "ece" and f"{head.head}_probability" not in frame.columns:
        return _column(frame, head, "confidence")
    return _column(frame, head, "probability")


def _column(frame: pl.DataFrame, head: GateHead, kind: str) -> str:
    """`<head>_<kind>`; a table with one labelled head may name its confidence plainly."""
    name = f"{head.head}_{kind}"
    labelled = [c for c in frame.columns if c == "label" or c.endswith("_label")]
    if name not in frame.columns and kind in frame.columns and labelled == [f"{head.head}_label"]:
        return kind
    return name


def _check(
    candidate: pl.DataFrame, champion: pl.DataFrame, head: GateHead, accounts: tuple[Account, Account] | None
) -> None:
    place = f"gate, {head.head}/{head.metric}"
    if head.metric in SERIES and not is_share(candidate, head):
        if accounts is None:
            raise _scores(place, "a daily account must be there", "none", "Only trading keeps one")
        return
    if head.metric not in WHOLE or is_share(candidate, head):
        for frame in (candidate, champion):
            for kind in ("hit", "of"):
                _check_share(frame, head, kind)
        return
    label = _column(candidate, head, "label")
    for name in dict.fromkeys((label, _said(candidate, head), *_beside(candidate, head))):
        for frame in (candidate, champion):
            if name not in frame.columns:
                known = sorted(c for c in frame.columns if c.endswith(("_label", "_prediction", "_probability")))
                raise _scores(place, f"column {name} must be there", known, "Configure heads that the workload scores")
    if not candidate[label].equals(champion[label]):
        rule = f"column {label} must be the same for candidate and champion"
        raise bad_data(place, rule, got="two", hint="Score both on the same samples", code="GATE_PAIRS")
    for frame in (candidate, champion):
        said = frame.filter(pl.col(label).is_not_null())[_said(frame, head)]
        if head.metric != "macro_f1" and (said.null_count() or not said.is_finite().all() or not _within(said)):
            raise _scores(place, f"column {said.name} must hold probabilities where there is a label", "another value",
                          "Mend the model's output")  # fmt: skip


def _within(said: pl.Series) -> bool:
    return bool(((said >= 0) & (said <= 1)).all())


def _beside(frame: pl.DataFrame, head: GateHead) -> tuple[str, ...]:
    """What an expected calibration error of confidences reads besides them."""
    plain = head.metric == "ece" and f"{head.head}_probability" not in frame.columns
    return (_column(frame, head, "prediction"),) if plain else ()


def _check_share(frame: pl.DataFrame, head: GateHead, kind: str) -> None:
    name = f"{head.head}/{head.metric}/{kind}"
    if name not in frame.columns:
        scored = sorted({c.rsplit("/", 1)[0] for c in frame.columns if c.endswith("/hit")})
        raise _scores("gate", f"column {name} must be there", scored, "Configure heads that the workload scores")
    values = frame[name].cast(pl.Float64).to_numpy()
    if not np.isfinite(values).all() or (values < 0).any():
        row = int(np.flatnonzero(~np.isfinite(values) | (values < 0))[0])
        got = f"{values[row]} at id {frame['id'][row]}"
        raise _scores(f"gate, {name}", "scores must be finite and not negative", got, "Mend the metric of that sample")


def _slice_values(candidate: pl.DataFrame, champion: pl.DataFrame, column: str) -> pl.Series:
    """[n] the value of each row as text, null where it belongs to no slice."""
    place, hint = f"gate.slices, {column}", "Slice by a column that the labels or the input give"
    for frame in (candidate, champion):
        if column not in frame.columns or frame[column].null_count() == frame.height:
            known = [c for c in frame.columns if "/" not in c and frame[c].null_count() < frame.height]
            raise _scores(place, "must be a column with values", known, hint)
    if not candidate[column].equals(champion[column]):
        rule = "must not depend on the model"
        raise bad_data(place, rule, got="two values of one sample", hint=hint, code="GATE_PAIRS")
    return candidate[column].cast(pl.String)


def _scores(place: str, rule: str, got: object, hint: str) -> EquipoiseError:
    return bad_data(place, rule, got=got, hint=hint, code="GATE_SCORES")
