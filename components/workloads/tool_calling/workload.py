"""The tool_calling record: what the trunk may ask of this workload."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from torch import nn

from components.config import ToolCallingConfig
from components.data.model_folder import kind_of
from components.workload import Predictor, Workload
from components.workloads.tool_calling import baseline, gliner_spans, predict
from components.workloads.tool_calling.batches import batches
from components.workloads.tool_calling.data import generate, prepare, samples
from components.workloads.tool_calling.dialogues import Sample
from components.workloads.tool_calling.evaluate import evaluate
from components.workloads.tool_calling.labelled import labelled
from components.workloads.tool_calling.loss import HEALTH, TERMS
from components.workloads.tool_calling.metrics import score, validation_metrics
from components.workloads.tool_calling.model import TinyRecursiveModel, build, rollout, supervision_steps
from components.workloads.tool_calling.requests import OPTIONAL, request_of
from components.workloads.tool_calling.trm_jsonl import read_request, render

LOADERS = {"trm": predict.load, "baseline": baseline.load}
VALIDATION_SAMPLES = 3000  # enough to tell epochs apart; a whole split of real dialogues would cost more than the epoch


def load(folder: Path) -> Predictor:
    """The predictor in a model folder, whichever kind it says it is.

    Raises:
        EquipoiseError: E_MISSING (66) without model.json, E_DATA (65) for an unknown kind or a damaged file.
    """
    return LOADERS[kind_of(folder, LOADERS)](folder)


def validate(model: nn.Module, section: ToolCallingConfig, prepared: Path, device: Any) -> Mapping[str, float]:
    """Metrics of the validation split that no loss weight enters, computed as evaluation computes them."""
    assert isinstance(model, TinyRecursiveModel)
    predictor = predict.of_model(model, section, prepared)
    asked = [sample for sample, _ in zip(samples(prepared, "validation"), range(VALIDATION_SAMPLES), strict=False)]
    return validation_metrics(score_all(predictor, asked))


def facts(section: ToolCallingConfig) -> Mapping[str, Any]:
    """What model.json says of the extractor that finds the values; nothing when the model's own heads do."""
    folder = section.model.gliner2_folder
    return gliner_spans.facts(Path(folder)) if section.model.spans == "gliner2" and folder else {}


def serves(folder: Path, predictor: Predictor) -> Mapping[str, Collection[str]]:
    """Tools and intents of a model whose heads know them by number; a model that reads descriptions has no limit."""
    if not isinstance(predictor, predict.TrmPredictor) or predictor.settings.heads != "ids":
        return {}
    return {kind: predictor.vocabulary[kind] for kind in ("tool", "intent")}


def score_all(predictor: Predictor, asked: Sequence[Sample], known: frozenset[str] | None = None) -> pl.DataFrame:
    """Predicts and scores samples; the labelled tool is told, so that arguments are judged apart from its choice."""
    given = [sample.labels.tool if sample.labels else None for sample in asked]
    return score(asked, predictor.predict(asked, given), known)


WORKLOAD = Workload(
    name="tool_calling",
    generate=generate,
    prepare=prepare,
    batches=batches,
    build=build,
    rollout=rollout,
    supervision_steps=supervision_steps,
    terms=TERMS,
    validate=validate,
    evaluate=evaluate,
    load=load,
    samples=samples,
    labelled=labelled,
    score=score,
    read_request=read_request,
    request=request_of,
    optional=OPTIONAL,
    served=("tokenizer.json", predict.VOCABULARY),
    facts=facts,
    serves=serves,
    render=render,
    health=HEALTH,
)
