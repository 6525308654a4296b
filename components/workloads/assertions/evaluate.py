"""Judges a checkpoint on the test split: beside its teacher and every cheap rule, by kind and project, with what each
costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from components.config_assertions import AssertionsConfig
from components.data.manifest import published
from components.errors import bad_data
from components.evaluation.calibration import draw_reliability, reliability
from components.evaluation.predictions import check_rows, write_predictions
from components.evaluation.slices import slice_rows
from components.evaluation.statistics import Interval, documents
from components.files import write_json, write_text
from components.workload import Predictor
from components.workloads.assertions import baseline as baselines
from components.workloads.assertions import sentences
from components.workloads.assertions.evaluation_report import render
from components.workloads.assertions.java_tokens import canonical
from components.workloads.assertions.lessons import MODEL, teacher_folder
from components.workloads.assertions.metrics import (
    Alike,
    differences,
    metrics,
    score,
    slices,
    values,
    with_meaning,
)
from components.workloads.assertions.model import inference_parameters
from components.workloads.assertions.pairs import Pair
from components.workloads.assertions.predict import AssertionPredictor

SPLIT = "test"
MODEL_NAME, TEACHER_NAME = "model", "teacher"
TIMED = 100  # samples that costs are measured on
KEPT = ("similarity/tokens", "type/accuracy")  # of which a student should keep what its teacher has


@dataclass(frozen=True)
class Findings:
    """Everything that evaluation found.

    Attributes:
        frames: tables of `score` per model.
        metrics: model -> split/head/metric -> interval.
        against: other model -> split/head/metric -> the judged model less it.
        slices: rows of `slice_rows`, each with `others`: model -> its metrics of the same rows.
        kept: head/metric -> the judged model's value as a share of its teacher's; {} without one.
        parameters: model -> how many.
        held_out: what `data.split` held out: project, file or random rows.
    """

    frames: Mapping[str, pl.DataFrame]
    metrics: Mapping[str, Mapping[str, Interval]]
    against: Mapping[str, Mapping[str, Interval]]
    slices: Sequence[Mapping[str, Any]]
    kept: Mapping[str, float]
    parameters: Mapping[str, int]
    held_out: str


def evaluate(
    section: AssertionsConfig,
    prepared: Path,
    checkpoint: Path,
    out: Path,
    load: Callable[[Path], Predictor] | None = None,
) -> dict[str, Any]:
    """Predicts the test split with the checkpoint, its teacher and the baselines; `out` appears whole or not at all.

    Args:
        section: the workload's part of params.yaml.
        prepared: prepared data.
        checkpoint: a folder that `load` reads.
        out: receives predictions.parquet, metrics.json, report.json, report.md, slices.json, reliability.png,
            cost.json (sizes and times of this machine) and baseline/, the first champion as a servable folder.
        load: how a model folder is read; None: as its kind says.

    Returns:
        What stands in metrics.json: {"workload", "split", "n", "metrics": {split/head/metric: value}, "baselines":
        {rule or teacher: the same}, "kept", "parameters"}. Metrics that the split does not define are left out.

    Raises:
        EquipoiseError: E_EVALUATION (65) when the split has no samples; those of reading data and models.
    """
    from components.workloads.assertions.data import samples

    if load is None:
        from components.workloads.assertions.workload import load
    labelled = list(samples(prepared, SPLIT))
    if not labelled:
        raise bad_data(
            str(prepared), f"the {SPLIT} split needs samples", got="none", hint="Hold out more", code="EVALUATION"
        )
    models = {MODEL_NAME: load(checkpoint)}
    teacher = teacher_folder(prepared) / MODEL
    if (teacher / "model.json").is_file():  # else it is left out
        models[TEACHER_NAME] = load(teacher)
    models |= baselines.rules(section, prepared)
    known = frozenset(canonical(pair.assertion or "") for pair in samples(prepared, "train"))
    found = find(section, models, labelled, known, sentences.likeness if sentences.installed() else None)
    check_rows(found.frames[MODEL_NAME], str(prepared))
    with published(out) as part:
        baselines.fit_baseline(section, prepared, part / "baseline")
        write_json(part / "cost.json", costs(models, labelled[:TIMED]))
        return _write(found, section, part)


def find(
    section: AssertionsConfig,
    models: Mapping[str, Predictor],
    labelled: Sequence[Pair],
    known: frozenset[str],
    alike: Alike | None,
) -> Findings:
    """Everything that is found out, before anything is written.

    Args:
        known: assertions of the training split.
        alike: judges likeness in meaning; None: it is left out.
    """
    settings = section.evaluation
    frames = {name: score(labelled, model.predict(labelled), known) for name, model in models.items()}
    if alike is not None:
        frames = {name: with_meaning(frame, alike) for name, frame in frames.items()}
    own = frames[MODEL_NAME]
    named = slices()
    rows = {name: slice_rows(frame, named, settings.minimum_slice, values) for name, frame in frames.items()}
    kept: dict[str, float] = {}
    if TEACHER_NAME in frames:
        mine, theirs = values(own), values(frames[TEACHER_NAME])
        kept = {head: mine[head] / theirs[head] for head in KEPT if theirs.get(head)}
    return Findings(
        frames=frames,
        metrics={name: metrics(frame, settings, SPLIT) for name, frame in frames.items()},
        against={n: differences(own, frame, settings, SPLIT) for n, frame in frames.items() if n != MODEL_NAME},
        slices=[
            {**row, "others": {name: of[i]["metrics"] for name, of in rows.items() if name != MODEL_NAME}}
            for i, row in enumerate(rows[MODEL_NAME])
        ],
        kept=kept,
        parameters={n: m.parameters for n, m in models.items() if isinstance(m, AssertionPredictor)},
        held_out=section.data.split,
    )


def costs(models: Mapping[str, Predictor], samples: Sequence[Pair]) -> dict[str, dict[str, float]]:
    """What answering costs here: model -> milliseconds of a sample alone (median), CPU seconds per 1,000 in batches,
    and of a network parameters and megabytes of weights."""
    found = {}
    for name, model in models.items():
        model.predict(samples[:1])  # what is built once is not timed
        alone = sorted(_seconds(model, [sample])[0] for sample in samples[:15])
        cost = {
            "ms_alone": 1000 * alone[len(alone) // 2],
            "cpu_s_per_1000": 1000 * _seconds(model, samples)[1] / len(samples),
        }
        if isinstance(model, AssertionPredictor):
            weights = list(model.model.parameters())
            beside = model.parameters - inference_parameters(model.model)
            cost |= {"parameters": model.parameters}
            cost |= {"weights_mb": (sum(p.numel() * p.element_size() for p in weights) + 4 * beside) / 1e6}
        found[name] = cost
    return found


def _seconds(model: Predictor, samples: Sequence[Pair]) -> tuple[float, float]:
    """(wall, CPU) seconds of one call."""
    wall, busy = time.perf_counter(), time.process_time()
    model.predict(samples)
    return time.perf_counter() - wall, time.process_time() - busy


def document(found: Findings) -> dict[str, Any]:
    """What stands in metrics.json."""
    flat = {name: {key: each.value for key, each in of.items()} for name, of in found.metrics.items()}
    return {
        "workload": "assertions",
        "split": SPLIT,
        "n": found.frames[MODEL_NAME].height,
        "metrics": dict(sorted(flat.pop(MODEL_NAME).items())),
        "baselines": flat,
        "kept": dict(found.kept),
        "parameters": dict(found.parameters),
    }


def _write(found: Findings, section: AssertionsConfig, folder: Path) -> dict[str, Any]:
    settings, result, own = section.evaluation, document(found), found.frames[MODEL_NAME]
    write_predictions(folder / "predictions.parquet", own)
    write_json(folder / "metrics.json", result)
    write_json(
        folder / "report.json",
        {
            **{key: result[key] for key in ("workload", "split", "n", "kept", "parameters")},
            "held_out": found.held_out,
            "confidence": settings.confidence,
            "resamples": settings.resamples,
            "metrics": documents(found.metrics[MODEL_NAME]),
            "baselines": {name: documents(of) for name, of in found.metrics.items() if name != MODEL_NAME},
            "model_minus": {name: documents(of) for name, of in found.against.items()},
        },
    )
    write_json(folder / "slices.json", list(found.slices))
    write_text(folder / "report.md", render(found, settings))
    table = reliability(own["confidence"].to_numpy(), own["exact_match/all/hit"].to_numpy(), settings.calibration_bins)
    draw_reliability(folder / "reliability.png", {MODEL_NAME: table}, "probability of the written assertion")
    return result
