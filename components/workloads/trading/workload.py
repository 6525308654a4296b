"""The trading record: what the trunk may ask of this workload."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from components.config_trading import TradingConfig
from components.data.model_folder import kind_of
from components.workload import Predictor, Workload
from components.workloads.trading import baseline, predict
from components.workloads.trading.batches import batches
from components.workloads.trading.data import generate, prepare, samples
from components.workloads.trading.dated import DATED
from components.workloads.trading.evaluate import evaluate
from components.workloads.trading.judging import daily_account, trial_ratio
from components.workloads.trading.labelled import labelled
from components.workloads.trading.loss import HEALTH, TERMS
from components.workloads.trading.metrics import score, validation_metrics
from components.workloads.trading.model import TradeReasoningModule, build, rollout, supervision_steps
from components.workloads.trading.rehearsals import rehearsals
from components.workloads.trading.requests import OPTIONAL, read_request, render, request_of
from components.workloads.trading.windows import SCALER, STRATEGIES, read_strategies

LOADERS = {"trm": predict.load, "baseline": baseline.load}


def load(folder: Path) -> Predictor:
    """The predictor in a model folder, whichever kind it says it is.

    Raises:
        EquipoiseError: E_MISSING (66) without a file, E_DATA (65) for an unknown kind, E_MODEL (65) for a damaged file.
    """
    return LOADERS[kind_of(folder, LOADERS)](folder)


def validate(model: nn.Module, section: TradingConfig, prepared: Path, device: Any) -> Mapping[str, float]:
    """Metrics of the validation split that no loss weight enters, computed as evaluation computes them."""
    assert isinstance(model, TradeReasoningModule)
    labelled = list(samples(prepared, "validation"))
    return validation_metrics(score(labelled, predict.of_model(model, prepared).predict(labelled)))


WORKLOAD = Workload(
    name="trading",
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
    served=(SCALER, STRATEGIES),
    render=render,
    rehearsals=rehearsals,
    trial_ratio=trial_ratio,
    account=daily_account,
    serves=lambda folder, predictor: {"strategy": read_strategies(folder)},
    dated=DATED,
)
