"""Judges a checkpoint on the test split, beside the baselines, and writes what was found as tables and pictures."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from components.config import EvaluationConfig, ToolCallingConfig
from components.data.manifest import published
from components.errors import bad_data
from components.evaluation.calibration import draw_reliability, reliability
from components.evaluation.predictions import check_rows, write_predictions
from components.evaluation.slices import slice_rows
from components.evaluation.statistics import Interval, documents
from components.files import write_json, write_text
from components.workload import Predictor
from components.workloads.tool_calling import baseline as baselines
from components.workloads.tool_calling.dialogues import Sample
from components.workloads.tool_calling.metrics import SLICES, differences, metrics, score, values

SPLIT = "test"
CHUNK = 2048  # samples predicted at a time: only their rows are kept
JUDGED_IN_SLICES = ("decision/accuracy", "tool/accuracy", "slots/exact_match", "arguments/exact_match", "call/accuracy")


def evaluate(
    section: ToolCallingConfig,
    prepared: Path,
    checkpoint: Path,
    out: Path,
    load: Callable[[Path], Predictor] | None = None,
) -> dict[str, Any]:
    """Predicts the test split with the checkpoint and both baselines; `out` appears whole or not at all.

    Args:
        section: the workload's part of params.yaml.
        prepared: prepared data.
        checkpoint: a folder that `load` reads.
        out: receives predictions.parquet, metrics.json, report.json, report.md, slices.json, reliability.png and
            baseline/, the fitted linear baseline as a servable folder.
        load: how a model folder is read; None: as its kind says.

    Returns:
        What stands in metrics.json: {"workload", "split", "n", "metrics": {split/head/metric: value}, "baselines":
        {"majority", "linear": the same}}. Metrics that the split does not define are left out.

    Raises:
        EquipoiseError: E_EVALUATION (65) when the split has no samples; those of reading data and models.
    """
    from components.workloads.tool_calling.data import samples

    if load is None:
        from components.workloads.tool_calling.workload import load
    model = load(checkpoint)
    with published(out) as part:
        baselines.fit_baseline(section, prepared, part / "baseline")
        linear = baselines.load(part / "baseline")
        models = {"model": model, "linear": linear, "majority": baselines.majority(linear)}
        frames = predict_and_score(models, samples(prepared, SPLIT), linear.tools)
        if frames["model"].is_empty():
            raise bad_data(
                str(prepared),
                f"the {SPLIT} split needs samples",
                got="none",
                hint="Give more conversations and prepare again",
                code="EVALUATION",
            )
        check_rows(frames["model"], str(prepared))
        return _write(frames, section.evaluation, part)


def predict_and_score(
    models: Mapping[str, Predictor], samples: Iterable[Sample], known: frozenset[str] | None
) -> dict[str, pl.DataFrame]:
    """A table of `score` per model, all on the same samples in order; samples are read once and not kept."""
    parts: dict[str, list[pl.DataFrame]] = {name: [score([], [], known)] for name in models}
    for chunk in _chunks(samples):
        given = [sample.labels.tool if sample.labels else None for sample in chunk]
        for name, model in models.items():
            parts[name].append(score(chunk, model.predict(chunk, given), known))
    return {name: pl.concat(frames) for name, frames in parts.items()}


def _chunks(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    remaining = iter(samples)
    while chunk := list(itertools.islice(remaining, CHUNK)):
        yield chunk


def _write(frames: Mapping[str, pl.DataFrame], settings: EvaluationConfig, folder: Path) -> dict[str, Any]:
    found = {name: metrics(frame, settings, SPLIT) for name, frame in frames.items()}
    flat = {name: {metric: value for metric, (value, _, _) in found[name].items()} for name in found}
    head = {"workload": "tool_calling", "split": SPLIT, "n": frames["model"].height}
    document = {**head, "metrics": flat.pop("model"), "baselines": flat}
    against = differences(frames["model"], frames["linear"], settings, SPLIT)
    tables = {name: _reliability(frame, settings.calibration_bins) for name, frame in frames.items()}
    slices = _slices(frames, settings)
    write_predictions(folder / "predictions.parquet", frames["model"])
    write_json(folder / "metrics.json", document)
    write_json(
        folder / "report.json",
        {
            **head,
            "conversations": frames["model"]["conversation"].n_unique(),
            "confidence": settings.confidence,
            "resamples": settings.resamples,
            "metrics": documents(found["model"]),
            "baselines": {name: documents(found[name]) for name in ("majority", "linear")},
            "model_minus_linear": documents(against),
            "calibration": {name: table.to_dicts() for name, table in tables.items()},
        },
    )
    write_json(folder / "slices.json", slices)
    write_text(folder / "report.md", render(found, against, slices, settings, frames["model"]))
    shown = {name: tables[name] for name in ("model", "linear")}
    draw_reliability(folder / "reliability.png", shown, "probability of tool_call")
    return document


def _reliability(frame: pl.DataFrame, bins: int) -> pl.DataFrame:
    return reliability(frame["decision_probability"].to_numpy(), frame["decision_label"].to_numpy(), bins)


def _slices(frames: Mapping[str, pl.DataFrame], settings: EvaluationConfig) -> list[dict[str, Any]]:
    """Rows of `slice_rows` for the model, with the linear baseline's metrics of the same samples beside them."""
    of_model, of_linear = (
        slice_rows(frames[name], SLICES, settings.minimum_slice, lambda group: values(group, settings.calibration_bins))
        for name in ("model", "linear")
    )
    return [{**row, "linear": other["metrics"]} for row, other in zip(of_model, of_linear, strict=True)]


def render(
    found: Mapping[str, Mapping[str, Interval]],
    against: Mapping[str, Interval],
    slices: Sequence[Mapping[str, Any]],
    settings: EvaluationConfig,
    frame: pl.DataFrame,
) -> str:
    """The report people read: each metric with its interval beside the baselines, then the slices."""
    percent = f"{settings.confidence:.0%}"
    lines = [
        f"# tool_calling on {SPLIT}",
        "",
        f"{frame.height} samples of {frame['conversation'].n_unique()} conversations; {percent} intervals by drawing "
        f"conversations again, {settings.resamples} times. `seen`: the tool was on offer in training.",
        "",
        "| metric | model | linear baseline | majority | model - linear |",
        "| --- | --- | --- | --- | --- |",
    ]
    for metric in found["model"]:
        cells = [_cell(found[name].get(metric)) for name in ("model", "linear", "majority")]
        name = metric.removeprefix(f"{SPLIT}/")
        lines.append(f"| {name} | {' | '.join(cells)} | {_cell(against.get(metric), sign='+')} |")
    lines += [
        "",
        "## Slices",
        "",
        f"Model / linear baseline; a dash: below {settings.minimum_slice} samples or undefined.",
        "",
    ]
    lines.append(f"| slice | samples | {' | '.join(JUDGED_IN_SLICES)} |")
    lines.append("| --- " * (2 + len(JUDGED_IN_SLICES)) + "|")
    for row in slices:
        cells = [f"{_number(row['metrics'].get(m))} / {_number(row['linear'].get(m))}" for m in JUDGED_IN_SLICES]
        lines.append(f"| {row['slice']}: {row['value']} | {row['n']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(interval: Interval | None, sign: str = "") -> str:
    if interval is None:
        return "-"
    value, low, high = interval
    return f"{value:{sign}.4f}" if low != low else f"{value:{sign}.4f} [{low:{sign}.4f}, {high:{sign}.4f}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
