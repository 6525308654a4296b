"""The assertions record: what the trunk may ask of this workload."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from components.data.model_folder import kind_of
from components.workload import Predictor, Workload
from components.workloads.assertions import baseline, predict
from components.workloads.assertions.batches import batches
from components.workloads.assertions.data import generate, prepare, samples
from components.workloads.assertions.evaluate import evaluate
from components.workloads.assertions.labelled import labelled
from components.workloads.assertions.lessons import asked_of
from components.workloads.assertions.loss import HEALTH, TERMS
from components.workloads.assertions.metrics import score, validation_metrics
from components.workloads.assertions.model import AssertionWriter
from components.workloads.assertions.reading import SERVED
from components.workloads.assertions.requests import OPTIONAL, read_request, render, request_of
from components.workloads.assertions.teacher import teach
from components.workloads.assertions.teaching import build, rollout

LOADERS = {"trm": predict.load, "baseline": baseline.load}
VALIDATION_SAMPLES = 300  # enough to tell epochs apart; writing out a whole split would cost more than the epoch


def load(folder: Path) -> Predictor:
    """The predictor in a model folder, whichever kind it says it is.

    Raises:
        EquipoiseError: E_MISSING (66) without a file, E_DATA (65) for an unknown kind, E_MODEL (65) for a damaged file.
    """
    return LOADERS[kind_of(folder, LOADERS)](folder)


def validate(model: nn.Module, section: Any, prepared: Path, device: Any) -> Mapping[str, float]:
    """Metrics of the validation split that no loss weight enters, computed as evaluation computes them but with the
    one likeliest piece at a time. `section` is a student's or a teacher's."""
    assert isinstance(model, AssertionWriter)
    labelled = list(samples(prepared, "validation"))
    labelled = labelled[:: -(-len(labelled) // VALIDATION_SAMPLES)]
    predictor = predict.of_model(model, section, prepared, beams=1)
    return validation_metrics(score(labelled, predictor.predict(labelled)))


def supervision_steps(section: Any) -> int:
    """How many Outputs `rollout` yields."""
    return 1


WORKLOAD = Workload(
    name="assertions",
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
    served=SERVED,
    render=render,
    beside=asked_of,
    teach=teach,
)
