"""How right each answer of a keyboard is, and the metrics of a whole split with their intervals.

Words are compared folded: small letters, straight apostrophes. A suggestion is judged by the word right behind the
cursor; that its five words are all judged is what `keystrokes` is for. Intervals draw whole users.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from components.config_parts import EvaluationConfig
from components.errors import bad_data
from components.evaluation import metrics as measures
from components.evaluation import shares as judged
from components.evaluation.statistics import Interval, macro_f1
from components.workloads.keyboard.answers import Prediction, rank
from components.workloads.keyboard.events import Event, Labels, Layout, Task
from components.workloads.keyboard.units import Kind, fold, fold_text, language_of, units

SHOWN = 3  # candidates in the bar above the keys
HEADS = (
    "next_word/top1",
    "next_word/top3",
    "completion/top1",
    "completion/top3",
    "correction/seen",
    "correction/accuracy",
    "correction/candidate",
    "correction/kept",
    "task/accuracy",
    "layout/accuracy",
    "layout/switch",
    "layout/consistency",
    "layout/agreement",
    "emoji/accuracy",
    "emoji/top3",
)
MACRO = "emoji/macro_f1"
EMOJI = ("emoji/accuracy", "emoji/top3", MACRO)
EXPERTS = tuple(f"expert_{layout.name.lower()}" for layout in Layout)
SCHEMA: dict[str, Any] = {
    "id": pl.String,
    "conversation": pl.String,
    "source": pl.String,
    "language": pl.String,
    "screen": pl.Boolean,
    "switch": pl.Boolean,
    "clean": pl.Boolean,
    "task_label": pl.String,
    "task_prediction": pl.String,
    "error_probability": pl.Float64,
    "shown_layout": pl.String,
    "layout_label": pl.String,
    "layout_prediction": pl.String,
    "kind": pl.String,
    "label": pl.String,
    "prediction": pl.String,
    "confidence": pl.Float64,
    "emoji_label": pl.String,
    "emoji_prediction": pl.String,
    **dict.fromkeys(EXPERTS, pl.Float64),
    **{f"{head}/{part}": pl.Float64 for head in HEADS for part in ("hit", "of")},
}


def score(samples: Sequence[Event], predictions: Sequence[Prediction]) -> pl.DataFrame:
    """One row per event: slices, prediction, confidence, and `<head>/<metric>/hit` and `.../of` of each head.

    Heads: next_word (suggestions of a word or a Chinese character: among the first 1 and 3 candidates); completion (of
    words that are not yet whole); correction: seen (mistyped words that another one was put for), accuracy (the right
    one), candidate (the first correction right, whatever was seen), kept (right words that were not corrected: 1 -
    false corrections); task; layout: accuracy, switch (where the next layout is another one), consistency (the
    predicted layout is that of the target's language), agreement (where it is one of letters, the own first candidate
    is typed on it); emoji (before an emoji: the first and first 3 of the emoji's own ranking).
    `conversation` is the user, whose events stand or fall together.

    Raises:
        EquipoiseError: E_LABELS (65) for an event without labels.
    """
    rows = [_row(event, said) for event, said in zip(samples, predictions, strict=True)]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def metrics(frame: pl.DataFrame, settings: EvaluationConfig, split: str = "test") -> dict[str, Interval]:
    """`split/head/metric` -> (value, low, high) over a table of `score`; undefined metrics are left out.

    Intervals come from a bootstrap over users, all metrics on the same draws.
    """
    found = judged.intervals(frame, HEADS, settings, split)
    with_emoji = frame.filter(pl.col("emoji_label").is_not_null())
    if with_emoji.height:
        parts, own = _emoji_parts(with_emoji), with_emoji["conversation"].rank("dense").to_numpy()
        found[f"{split}/{MACRO}"] = measures.interval_of(parts, own, macro_f1, settings)
    return found


def differences(
    frame: pl.DataFrame, other: pl.DataFrame, settings: EvaluationConfig, split: str = "test"
) -> dict[str, Interval]:
    """`split/head/metric` -> (value, low, high) of frame minus other on the same events, drawn together."""
    return judged.differences(frame, other, HEADS, settings, split)


def shares(frame: pl.DataFrame) -> dict[str, float]:
    """`head/metric` -> share over a table of `score`; undefined ones are left out."""
    sums = {head: (float(frame[f"{head}/hit"].sum()), float(frame[f"{head}/of"].sum())) for head in HEADS}
    return {head: hit / of for head, (hit, of) in sums.items() if of > 0}


def values(frame: pl.DataFrame) -> dict[str, float]:
    """`shares` and, where there are emoji, their macro-F1, without intervals."""
    with_emoji = frame.filter(pl.col("emoji_label").is_not_null())
    macro = {MACRO: measures.value_of(_emoji_parts(with_emoji), macro_f1)} if with_emoji.height else {}
    return {**shares(frame), **macro}


OBJECTIVE = ("next_word/top3", "completion/top3", "correction/accuracy", "layout/accuracy", "emoji/top3")
FEWEST = 100  # judged events that tell one epoch from another


def validation_metrics(frame: pl.DataFrame) -> dict[str, float]:
    """What early stopping and tuning look at: no loss weight enters any of it.

    `objective` is the mean of those of OBJECTIVE that at least FEWEST events judge, else of all that the split defines,
    0 for an empty table; `experts/least` the mean share of the expert that is used least.
    """
    found = shares(frame)
    many = [found[head] for head in OBJECTIVE if float(frame[f"{head}/of"].sum()) >= FEWEST]
    known = many or [found[head] for head in OBJECTIVE if head in found]
    return {
        **found,
        **{f"experts/{name}": share for name, share in routing(frame).items()},
        "objective": sum(known) / len(known) if known else 0.0,
    }


def routing(frame: pl.DataFrame) -> dict[str, float]:
    """How the experts share the work; {} without experts.

    Returns:
        `least` and `most`, the mean shares of the least and the most used one; `entropy` of the mean shares and
        `entropy_each`, the mean of each event's own, as shares of ln 5.
    """
    weights = frame.select(EXPERTS).drop_nulls().to_numpy()
    if not len(weights):
        return {}
    mean = weights.mean(axis=0)
    return {
        "least": float(mean.min()),
        "most": float(mean.max()),
        "entropy": float(_entropy(mean[None])[0]),
        "entropy_each": float(np.mean(_entropy(weights))),
    }


def routing_table(frame: pl.DataFrame) -> pl.DataFrame:
    """Mean share of each expert, a row per layout that is needed next."""
    known = frame.drop_nulls(EXPERTS)
    return known.group_by("layout_label").agg(pl.len().alias("events"), pl.col(EXPERTS).mean()).sort("layout_label")


def slices() -> dict[str, pl.Expr]:
    """Slice name -> value per row: language, source, task, needed layout, switch points, with or without a screen."""
    return {
        "language": pl.col("language"),
        "source": pl.col("source"),
        "task": pl.col("task_label"),
        "layout": pl.col("layout_label"),
        "switch": pl.when(pl.col("switch")).then(pl.lit("switch")).otherwise(pl.lit("stay")),
        "screen": pl.when(pl.col("screen")).then(pl.lit("seen")).otherwise(pl.lit("not seen")),
    }


def threshold(frame: pl.DataFrame, allowed: float) -> float | None:
    """The lowest probability of an error above which corrections spoil at most the share `allowed` of right words;
    None without right words."""
    said = np.sort(frame.filter(pl.col("clean"))["error_probability"].to_numpy())
    return float(said[len(said) - 1 - int(allowed * len(said))]) if len(said) else None


def at_threshold(frame: pl.DataFrame, least: float) -> dict[str, float]:
    """Correction accuracy and false corrections where a correction is made above `least`, whatever the task says.

    Returns:
        {"accuracy", "false_corrections"}, those that are defined.
    """
    made = frame.with_columns((pl.col("error_probability") > least).cast(pl.Float64).alias("made"))
    wrong = made.filter(pl.col("correction/candidate/of") > 0)
    clean = made.filter(pl.col("clean"))
    found = {}
    if wrong.height:
        found["accuracy"] = float((wrong["made"] * wrong["correction/candidate/hit"]).to_numpy().mean())
    if clean.height:
        found["false_corrections"] = float(clean["made"].to_numpy().mean())
    return found


def by_source(frame: pl.DataFrame, least: float | None = None) -> dict[str, dict[str, float]]:
    """Source -> `slips` and `right` words (numbers), the shares of `correction/...` that are defined, and with `least`
    those of `at_threshold` as `at_threshold/...`; sources without either are left out."""
    found = {}
    for (source,), rows in sorted(frame.group_by("source"), key=lambda item: str(item[0][0])):
        numbers = {"slips": rows["correction/seen/of"].sum(), "right": rows["correction/kept/of"].sum()}
        if any(numbers.values()):
            said = {key: share for key, share in shares(rows).items() if key.startswith("correction/")}
            equal = {} if least is None else at_threshold(rows, least)
            found[str(source)] = numbers | said | {f"at_threshold/{key}": share for key, share in equal.items()}
    return found


def _emoji_parts(frame: pl.DataFrame) -> np.ndarray:
    """Classes are the emoji that are labels: what else is said counts for none, and its row as a miss."""
    label, said = frame["emoji_label"].to_list(), frame["emoji_prediction"].to_list()
    return measures.class_parts(label, said, sorted(set(label)))


def _entropy(shares: np.ndarray) -> np.ndarray:
    """[N, K] -> [N] as shares of ln K."""
    safe = np.where(shares > 0, shares, 1.0)
    return -(shares * np.log(safe)).sum(axis=1) / np.log(shares.shape[1])


def _row(event: Event, said: Prediction) -> tuple[Any, ...]:
    labels = event.labels
    if labels is None:
        raise bad_data(
            f"sample {event.id}",
            "needs labels to be judged",
            got="none",
            hint="Evaluate on a labelled split",
            code="LABELS",
        )
    label, kind = wanted(labels)
    pairs = _heads(event, labels, said, label, kind)
    emoji = label if kind is Kind.EMOJI else None
    return (
        event.id,
        event.conversation,
        event.source,
        event.language,
        event.screen is not None,
        event.switch,
        labels.clean,
        labels.task.name,
        said.task.name,
        float(said.task_probabilities[Task.ERROR]),
        event.layout.name,
        labels.next_layout.name,
        said.layout.name,
        None if kind is None else kind.value,
        label,
        said.first,
        said.candidates[0][1] if said.candidates else 0.0,
        emoji,
        (said.emoji[0][0] if said.emoji else "") if emoji else None,
        *(said.experts or (None,) * len(EXPERTS)),
        *(number for head in HEADS for number in pairs[head]),
    )


def wanted(labels: Labels) -> tuple[str, Kind | None]:
    """What the first candidate should be, folded, and its kind; ("", None) where nothing may be suggested."""
    found = units(labels.target)
    if not found:
        return "", None
    if labels.task is Task.SUGGESTION:
        return fold(found[0]), found[0].kind
    return fold_text(labels.target), found[0].kind


def _heads(
    event: Event, labels: Labels, said: Prediction, label: str, kind: Kind | None
) -> Mapping[str, tuple[float, float]]:
    """Head -> (hit, of)."""
    place = said.rank(label)
    text = kind in (Kind.WORD, Kind.HAN)
    suggestion = text and labels.task is Task.SUGGESTION
    completion = text and labels.task is Task.COMPLETION and not labels.clean
    error = bool(label) and labels.task is Task.ERROR
    corrected = said.task is Task.ERROR and said.first not in ("", fold_text(event.typed))
    language = labels.target_language
    emoji = kind is Kind.EMOJI and labels.task is Task.SUGGESTION
    pictured = rank(said.emoji, label)
    own = language_of(said.first)
    said_right = said.layout == labels.next_layout
    heads: dict[str, tuple[bool, bool]] = {
        "next_word/top1": (place < 1, suggestion),
        "next_word/top3": (place < SHOWN, suggestion),
        "completion/top1": (place < 1, completion),
        "completion/top3": (place < SHOWN, completion),
        "correction/seen": (corrected, error),
        "correction/accuracy": (corrected and place < 1, error),
        "correction/candidate": (rank(said.corrections, label) < 1, error),
        "correction/kept": (not corrected, labels.clean),
        "task/accuracy": (said.task == labels.task, True),
        "layout/accuracy": (said_right, True),
        "layout/switch": (said_right, event.switch),
        "layout/consistency": (said.layout == language, language is not None),
        "layout/agreement": (said.layout == own, own is not None and said.layout in (Layout.EN, Layout.ZH)),
        "emoji/accuracy": (pictured < 1, emoji),
        "emoji/top3": (pictured < SHOWN, emoji),
    }
    return {head: (float(hit and of), float(of)) for head, (hit, of) in heads.items()}
