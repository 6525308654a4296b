"""The loss terms of trading: which outputs and labels each one reads, and how the health of a run is judged.

S samples (days), C strategies. Outputs may carry a leading dimension of stacked supervision steps. The specification's
total, lambda_profit x profit + lambda_halt x halt, is the composite of these terms with those weights.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from components.errors import misconfigured
from components.losses import health
from components.losses.contract import Batch, Masked, Outputs, Term
from components.losses.halting import confident_halting
from components.losses.profit import balanced_class_weights, clamped_class_weights, profit_ce, task_ce


def profit(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """Cross-entropy of the best strategy, weighted by what the sample's trade earned, values [S]."""
    logits = _task_logits(outputs, batch)
    weights = _class_weights(batch, settings)
    return profit_ce(logits, batch["label"], batch["pnl"], settings.pnl_scale, settings.w_min, weights)


def halt(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """Halting: is the choice, as it stands, confident and right? values [S]."""
    logits = _task_logits(outputs, batch)
    return confident_halting(outputs["halt_logits"], logits, batch["label"], settings.confidence_threshold)


def task(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """Plain cross-entropy of the best strategy, values [S]."""
    return task_ce(_task_logits(outputs, batch), batch["label"], _class_weights(batch, settings))


def _task_logits(outputs: Outputs, batch: Batch) -> Tensor:
    logits, classes = outputs["task_logits"], len(batch["class_counts"])
    if logits.shape[-1] != classes:
        raise misconfigured(
            "output task_logits",
            f"must score each of the {classes} strategies",
            got=list(logits.shape),
            hint="Build the model for the data it is trained on",
            code="LOSS_SHAPE",
        )
    return logits


def _class_weights(batch: Batch, settings: Any) -> Tensor | None:
    if settings.class_weights is None:
        return None
    if settings.class_weights == "auto":
        return balanced_class_weights(batch["class_counts"], settings.class_weight_limit)
    return clamped_class_weights(settings.class_weights, settings.class_weight_limit).to(batch["label"].device)


def _labelled(batch: Batch, settings: Any) -> Tensor:
    return (batch["label"] >= 0).sum()


TERMS = {
    "profit": Term(profit, _labelled, needs=("task_logits",)),
    "halt": Term(halt, _labelled, needs=("halt_logits", "task_logits")),
    "task": Term(task, _labelled, needs=("task_logits",)),
}

HEALTH = (
    health.stuck(
        "halt",
        at=math.log(2),
        within=0.02,
        causes=("the halting head answers at random: ln 2 is the loss of knowing nothing",),
        remedies=("train longer", "raise loss.halt.weight", "lower loss.halt.confidence_threshold"),
    ),
    health.unlabelled(
        optional=("task",),
        causes=("no day of the epoch carries a label",),
        remedies=("look at the prepare report's counts", "check data.label_from and data.holdout_from"),
    ),
    health.growing(
        reports=3,
        causes=("the learning rate is too high", "a few days of extreme losses dominate the profit weights"),
        remedies=("lower training.learning_rate", "raise loss.profit.pnl_scale", "lower training.clip_norm"),
    ),
    health.gradient_share(
        low=0.0001,
        high=1.0,  # halt has a hundredth of profit's weight by design: profit always has nearly all of the gradient
        causes=("below .01%: the term cannot be felt by the shared network",),
        remedies=("raise the weight of the term",),
    ),
)
