"""Judges a checkpoint on the test split: beside every cheap keyboard, key by key, with and without its eyes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from components.config_keyboard_evaluation import KeyboardEvaluation
from components.data.manifest import published
from components.errors import bad_data
from components.evaluation.calibration import draw_reliability, reliability
from components.evaluation.predictions import check_rows, write_predictions
from components.evaluation.slices import slice_rows
from components.evaluation.statistics import Interval, documents
from components.files import write_json, write_text
from components.workload import Predictor
from components.workloads.keyboard import baseline as baselines
from components.workloads.keyboard.data import samples
from components.workloads.keyboard.evaluation_report import draw_routing, render
from components.workloads.keyboard.events import Event, Task
from components.workloads.keyboard.keystrokes import (
    keystroke_differences,
    keystroke_metrics,
    type_words,
    words_of,
)
from components.workloads.keyboard.looking import Retrieval, retrieve, without_screens
from components.workloads.keyboard.metrics import (
    EMOJI,
    EXPERTS,
    at_threshold,
    by_source,
    differences,
    metrics,
    routing,
    routing_table,
    score,
    slices,
    threshold,
    values,
)
from components.workloads.keyboard.predict import KeyboardPredictor
from components.workloads.keyboard.weighing import before_emoji, weigh

SPLIT = "test"
MODEL_NAME, CHEAP, FREQUENT = "model", "ngram", "frequent"
NOTHING = (1e12, 1e12, 1e12)  # weights beside which the user's words say nothing
PARTS: dict[str, dict[str, Any]] = {
    "network": {"use": False},
    "counts": {"use": True, "counts": 1.0, "own": NOTHING},
    "network and counts": {"use": True, "own": NOTHING},
}
PICTURES: dict[str, dict[str, Any]] = {
    "network": {"use": False},
    "words": {"use": True, "emoji_share": 0.0},
    "signs": {"use": True, "emoji_share": 1.0},
    "all, no power": {"use": True, "emoji": 0.0},
    "all": {},
}
JUDGED = 4000  # mistyped and right words of validation that a threshold is chosen on, at most


@dataclass(frozen=True)
class Findings:
    """Everything that evaluation found.

    Attributes:
        frames: tables of `score` per model.
        metrics: model -> split/head/metric -> interval.
        against: other model -> split/head/metric -> the judged model less it.
        typed: model -> language/metric of words typed key by key -> interval.
        typed_against: other model -> the judged model less it.
        words: how many were typed.
        slices: rows of `slice_rows`, each with `others`: model -> its metrics of the same rows.
        corrections: model -> the threshold chosen on validation, and accuracy and false corrections at it.
        sources: model -> source -> what `by_source` says of its corrections.
        retrieval: None from a model without eyes.
        eyes: split/head/metric -> with screens less without, on the events that have one.
        routing: how the experts share the work; {} without experts.
        parts: what of the model's mixture speaks -> language/metric of the words typed key by key; {} without one.
        pictures: what of it speaks of emoji -> metric of the emoji; {} without a mixture or any emoji.
        mixture: the numbers of `model.mixture` that validation would choose; {} without one.
    """

    frames: Mapping[str, pl.DataFrame]
    metrics: Mapping[str, Mapping[str, Interval]]
    against: Mapping[str, Mapping[str, Interval]]
    typed: Mapping[str, Mapping[str, Interval]]
    typed_against: Mapping[str, Mapping[str, Interval]]
    words: int
    slices: Sequence[Mapping[str, Any]]
    corrections: Mapping[str, Mapping[str, float]]
    sources: Mapping[str, Mapping[str, Mapping[str, float]]]
    retrieval: Retrieval | None
    eyes: Mapping[str, Interval]
    routing: Mapping[str, float]
    parts: Mapping[str, Mapping[str, Interval]]
    pictures: Mapping[str, Mapping[str, Interval]]
    mixture: Mapping[str, Any]


def evaluate(
    section: Any,
    prepared: Path,
    checkpoint: Path,
    out: Path,
    load: Callable[[Path], Predictor] | None = None,
) -> dict[str, Any]:
    """Predicts the test split with the checkpoint and the baselines; `out` appears whole or not at all.

    Args:
        section: the workload's part of params.yaml.
        prepared: prepared data.
        checkpoint: a folder that `load` reads.
        out: receives predictions.parquet, metrics.json, report.json, report.md, slices.json, reliability.png,
            routing.png where there are experts, cost.json (sizes and times of this machine) and baseline/, the first
            champion as a servable folder.
        load: how a model folder is read; None: as its kind says.

    Returns:
        What stands in metrics.json: {"workload", "split", "n", "metrics": {split/head/metric: value}, "baselines":
        {rule: the same}, "typed": {model: {language/metric: value}}, "parts": {part of the mixture: the same},
        "pictures": {part of it: {emoji/metric: value}}, "mixture", "corrections", "sources", "routing",
        "retrieval", "eyes"}.
        Metrics that the split does not define are left out.

    Raises:
        EquipoiseError: E_EVALUATION (65) when the split has no samples; those of reading data and models.
    """
    if load is None:
        from components.workloads.keyboard.workload import load
    labelled = list(samples(prepared, SPLIT))
    if not labelled:
        raise bad_data(
            str(prepared), f"the {SPLIT} split needs samples", got="none", hint="Hold out more", code="EVALUATION"
        )
    cheap = baselines.fit(section, prepared)
    models = {MODEL_NAME: load(checkpoint), CHEAP: cheap, FREQUENT: baselines.Frequent(cheap.tongues)}
    found = find(section.evaluation, models, labelled, list(samples(prepared, "validation")))
    check_rows(found.frames[MODEL_NAME], str(prepared))
    with published(out) as part:
        baselines.save(cheap, section, part / "baseline")
        sizes = {MODEL_NAME: _size(checkpoint), CHEAP: _size(part / "baseline")}
        write_json(part / "cost.json", costs(models, labelled, section.evaluation, sizes))
        return _write(found, section.evaluation, part)


def find(
    settings: KeyboardEvaluation,
    models: Mapping[str, Predictor],
    labelled: Sequence[Event],
    validation: Sequence[Event],
) -> Findings:
    """Everything that is found out, before anything is written; `validation` chooses thresholds, nothing else."""
    frames = {name: score(labelled, model.predict(labelled)) for name, model in models.items()}
    words = words_of(labelled, settings.typed_words, settings.seed)
    typed = {name: type_words(model, words) for name, model in models.items()}
    rows = {name: slice_rows(frame, slices(), settings.minimum_slice, values) for name, frame in frames.items()}
    others = [name for name in models if name != MODEL_NAME]
    own = frames[MODEL_NAME]
    model = models[MODEL_NAME]
    sees = isinstance(model, KeyboardPredictor)
    corrections = {
        name: _corrections(each, frames[name], validation, settings)
        for name, each in models.items()
        if name != FREQUENT
    }
    return Findings(
        frames=frames,
        metrics={name: metrics(frame, settings, SPLIT) for name, frame in frames.items()},
        against={name: differences(own, frames[name], settings, SPLIT) for name in others},
        typed={name: keystroke_metrics(frame, settings) for name, frame in typed.items()},
        typed_against={name: keystroke_differences(typed[MODEL_NAME], typed[name], settings) for name in others},
        words=len(words),
        slices=[
            {**row, "others": {name: rows[name][i]["metrics"] for name in others}}
            for i, row in enumerate(rows[MODEL_NAME])
        ],
        corrections=corrections,
        sources={name: by_source(frames[name], of.get("threshold")) for name, of in corrections.items()},
        retrieval=retrieve(model, labelled, settings) if sees else None,
        eyes=without_screens(model, labelled, settings, SPLIT) if sees else {},
        routing=routing(own),
        parts={
            name: keystroke_metrics(type_words(part, words), settings) for name, part in _parts(model, PARTS).items()
        },
        pictures=_pictures(model, labelled, settings),
        mixture=weigh(model, validation, JUDGED) if sees else {},
    )


def _parts(model: Predictor, changes: Mapping[str, Mapping[str, Any]]) -> dict[str, Predictor]:
    """The model with less of its mixture each; {} without one."""
    if not isinstance(model, KeyboardPredictor):
        return {}
    mixture = model.mixture
    return {name: replace(model, mixture=mixture.model_copy(update=change)) for name, change in changes.items()}


def _pictures(
    model: Predictor, labelled: Sequence[Event], settings: KeyboardEvaluation
) -> dict[str, dict[str, Interval]]:
    """What each part of the mixture, and all of it, says of the emoji alone."""
    asked = [event for event in labelled if before_emoji(event)]
    parts = _parts(model, PICTURES) if asked else {}
    found = {name: metrics(score(asked, part.predict(asked)), settings, SPLIT) for name, part in parts.items()}
    return {name: {key: of[f"{SPLIT}/{key}"] for key in EMOJI} for name, of in found.items()}


def _corrections(
    model: Predictor, frame: pl.DataFrame, validation: Sequence[Event], settings: KeyboardEvaluation
) -> dict[str, float]:
    """At the threshold that allows so many false corrections on validation: what it is, and what it does on test."""
    judged = [e for e in validation if e.labels is not None and (e.labels.clean or e.labels.task is Task.ERROR)]
    judged = judged[:: max(1, -(-len(judged) // JUDGED))]
    least = threshold(score(judged, model.predict(judged)), settings.false_corrections)
    return {} if least is None else {"threshold": least, **at_threshold(frame, least)}


def costs(
    models: Mapping[str, Predictor],
    labelled: Sequence[Event],
    settings: KeyboardEvaluation,
    megabytes: Mapping[str, float],
) -> dict[str, dict[str, float]]:
    """What answering costs here: model -> milliseconds of a key alone (median and 95th percentile, of the clock and of
    the processor, which others' work does not slow), megabytes.

    Every other key has a letter of its word typed; where no word is suggested, as in tweets of which only the emoji is,
    events are asked as they stand.
    """
    words = words_of(labelled, settings.timed_keys, settings.seed)[: settings.timed_keys]
    keys = [replace(word.event, typed=word.text[: i % 2]) for i, word in enumerate(words)]
    keys = keys or [replace(event, labels=None) for event in labelled[: settings.timed_keys]]
    found = {}
    for name, model in models.items():
        model.predict(keys[:1])  # what is built once is not timed
        times = np.array([_seconds(model, key) for key in keys]) * 1000
        found[name] = {
            f"{kind}_key_{title}": float(np.percentile(times[:, column], percent))
            for column, kind in enumerate(("ms", "cpu_ms"))
            for title, percent in (("median", 50), ("p95", 95))
        }
        if name in megabytes:
            found[name]["megabytes"] = megabytes[name]
    return found


def _seconds(model: Predictor, key: Event) -> tuple[float, float]:
    """(wall, CPU) seconds of one key."""
    wall, busy = time.perf_counter(), time.process_time()
    model.predict([key])
    return time.perf_counter() - wall, time.process_time() - busy


def _size(folder: Path) -> float:
    """Megabytes of what serving reads."""
    served = (path for path in folder.iterdir() if path.is_file() and path.suffix in (".safetensors", ".json"))
    return sum(path.stat().st_size for path in served) / 1e6


def document(found: Findings) -> dict[str, Any]:
    """What stands in metrics.json."""
    flat = {name: {key: each.value for key, each in of.items()} for name, of in found.metrics.items()}
    typed = {name: {key: each.value for key, each in of.items()} for name, of in found.typed.items()}
    result: dict[str, Any] = {
        "workload": "keyboard",
        "split": SPLIT,
        "n": found.frames[MODEL_NAME].height,
        "metrics": dict(sorted(flat.pop(MODEL_NAME).items())),
        "baselines": flat,
        "typed": typed,
        "words": found.words,
        "corrections": {name: dict(of) for name, of in found.corrections.items()},
        "sources": {name: dict(of) for name, of in found.sources.items()},
        "routing": dict(found.routing),
        "parts": {name: {key: each.value for key, each in of.items()} for name, of in found.parts.items()},
        "pictures": {name: {key: each.value for key, each in of.items()} for name, of in found.pictures.items()},
        "mixture": dict(found.mixture),
        "eyes": {key: each.value for key, each in found.eyes.items()},
    }
    if found.retrieval is not None:
        result["retrieval"] = {
            "to_text": found.retrieval.to_text.value,
            "to_screen": found.retrieval.to_screen.value,
            "chance": found.retrieval.chance,
        }
    return result


def _write(found: Findings, settings: KeyboardEvaluation, folder: Path) -> dict[str, Any]:
    result, own = document(found), found.frames[MODEL_NAME]
    write_predictions(folder / "predictions.parquet", own)
    write_json(folder / "metrics.json", result)
    write_json(
        folder / "report.json",
        {
            **{
                key: result[key]
                for key in ("workload", "split", "n", "words", "corrections", "sources", "routing", "mixture")
            },
            "confidence": settings.confidence,
            "resamples": settings.resamples,
            "metrics": documents(found.metrics[MODEL_NAME]),
            "baselines": {name: documents(of) for name, of in found.metrics.items() if name != MODEL_NAME},
            "model_minus": {name: documents(of) for name, of in found.against.items()},
            "typed": {name: documents(of) for name, of in found.typed.items()},
            "parts": {name: documents(of) for name, of in found.parts.items()},
            "pictures": {name: documents(of) for name, of in found.pictures.items()},
            "typed_model_minus": {name: documents(of) for name, of in found.typed_against.items()},
            "retrieval": None if found.retrieval is None else found.retrieval.document(),
            "eyes": documents(found.eyes),
        },
    )
    write_json(folder / "slices.json", list(found.slices))
    write_text(folder / "report.md", render(found, settings))
    suggested = own.filter(pl.col("next_word/top1/of") > 0)
    tables = {
        MODEL_NAME: reliability(
            suggested["confidence"].to_numpy(), suggested["next_word/top1/hit"].to_numpy(), settings.calibration_bins
        )
    }
    draw_reliability(folder / "reliability.png", tables, "probability of the suggested word")
    if own[EXPERTS[0]].null_count() < own.height:
        draw_routing(folder / "routing.png", routing_table(own))
    return result
