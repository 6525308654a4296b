"""The keyboard record: what the trunk may ask of this workload."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from components.data.model_folder import kind_of
from components.workload import Predictor, Workload
from components.workloads.keyboard import baseline, emoji_odds, predict
from components.workloads.keyboard.batches import batches
from components.workloads.keyboard.confusions import CONFUSIONS
from components.workloads.keyboard.counts import FILES
from components.workloads.keyboard.data import generate, prepare, samples
from components.workloads.keyboard.encode import VOCABULARY
from components.workloads.keyboard.evaluate import evaluate
from components.workloads.keyboard.labelled import labelled
from components.workloads.keyboard.loss import HEALTH, TERMS
from components.workloads.keyboard.metrics import score, validation_metrics
from components.workloads.keyboard.model import Keyboard, build, rollout
from components.workloads.keyboard.requests import OPTIONAL, read_request, render, request_of
from components.workloads.keyboard.serving import serves

LOADERS = {"trm": predict.load, "baseline": baseline.load}
VALIDATION_EVENTS = 4000  # enough to tell epochs apart


def load(folder: Path) -> Predictor:
    """The predictor in a model folder, whichever kind it says it is.

    Raises:
        EquipoiseError: E_MISSING (66) without a file, E_DATA (65) for an unknown kind, E_MODEL (65) for a damaged file.
    """
    return LOADERS[kind_of(folder, LOADERS)](folder)


def validate(model: nn.Module, section: Any, prepared: Path, device: Any) -> Mapping[str, float]:
    """Metrics of the validation split that no loss weight enters, computed as evaluation computes them."""
    assert isinstance(model, Keyboard)
    labelled = list(samples(prepared, "validation"))
    labelled = labelled[:: -(-len(labelled) // VALIDATION_EVENTS)]
    return validation_metrics(score(labelled, predict.of_model(model, section, prepared).predict(labelled)))


def supervision_steps(section: Any) -> int:
    """How many Outputs `rollout` yields."""
    return 1


WORKLOAD = Workload(
    name="keyboard",
    generate=generate,
    prepare=prepare,
    batches=batches,
    build=build,
    rollout=rollout,
    supervision_steps=supervision_steps,
    terms=TERMS,
    health=HEALTH,
    validate=validate,
    evaluate=evaluate,
    load=load,
    samples=samples,
    labelled=labelled,
    score=score,
    read_request=read_request,
    request=request_of,
    optional=OPTIONAL,
    served=(VOCABULARY, *FILES, CONFUSIONS, *emoji_odds.FILES),
    render=render,
    serves=serves,
)
