"""The loss terms of tool calling: which outputs and labels each one reads, and how the health of a run is judged.

S samples, R rows, L tokens, Q span queries, T tools, I intents, C answer tokens, V vocabulary. Outputs may carry a
leading dimension of stacked supervision steps.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from components.errors import misconfigured
from components.losses import health
from components.losses.contract import Batch, Masked, Outputs, Term
from components.losses.cross_entropy import class_ce, tokens_ce
from components.losses.focal import balanced_alpha, binary_focal, focal_ce
from components.losses.halting import decision_is_right, halting_bce, tool_is_right
from components.losses.spans import span_ce


def decision(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """Tool call or direct answer: binary focal loss, values [S]. alpha weights tool_call: .25 counts it three times
    less than a direct answer; `auto` gives both classes equal weight by their shares in the training split."""
    return binary_focal(outputs["decision_logits"], batch["decision"], _alpha(batch, settings), settings.gamma)


def tool(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """Which tool, where one is called: cross-entropy over the tools offered (-inf elsewhere), values [S]."""
    return class_ce(outputs["tool_logits"], batch["tool"])


def intent(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """The next intent, where it is known: focal cross-entropy, values [S]."""
    return focal_ce(outputs["intent_logits"], batch["intent"], settings.gamma)


def q(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """Halting: is the decision (with `decision_and_tool`: and the tool) right as it stands? values [S]."""
    right = decision_is_right(outputs["decision_logits"], batch["decision"])
    if settings.target == "decision_and_tool":
        right = right & tool_is_right(outputs["tool_logits"], batch["tool"])
    return halting_bce(outputs["q_logits"], right)


def slot_span(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """Where each slot's value stands in the dialogue, values [R, Q]."""
    return _span("slot", outputs, batch)


def arg_span(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """Where each argument's value stands in the dialogue, values [R, Q]."""
    return _span("arg", outputs, batch)


def content(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """The words of a direct answer, values [S, C]; without such labels in the batch there is nothing valid."""
    logits = outputs["content_logits"]
    labels = batch.get("content")
    if labels is None:
        labels = torch.full(logits.shape[-3:-1], -100, device=logits.device)
    return tokens_ce(logits, labels)


def _span(kind: str, outputs: Outputs, batch: Batch) -> Masked:
    return span_ce(
        outputs[f"{kind}_start_logits"],
        outputs[f"{kind}_end_logits"],
        batch[f"{kind}_start"],
        batch[f"{kind}_end"],
        batch["attention"],
    )


def _alpha(batch: Batch, settings: Any) -> float | Tensor | None:
    if settings.alpha != "auto":
        return settings.alpha
    if "tool_call_share" not in batch:
        raise misconfigured(
            "loss.decision.alpha",
            "auto needs the share of tool calls in the training split",
            got="a batch without tool_call_share",
            hint="Give alpha as a number",
        )
    return balanced_alpha(batch["tool_call_share"])


def _samples(batch: Batch, settings: Any) -> Tensor:
    return torch.full((), batch["decision"].numel(), device=batch["decision"].device)


def _tools(batch: Batch, settings: Any) -> Tensor:
    return (batch["tool"] >= 0).sum()


def _intents(batch: Batch, settings: Any) -> Tensor:
    return (batch["intent"] >= 0).sum()


def _slots(batch: Batch, settings: Any) -> Tensor:
    return ((batch["slot_start"] >= 0) & (batch["slot_end"] >= 0)).sum()


def _arguments(batch: Batch, settings: Any) -> Tensor:
    return ((batch["arg_start"] >= 0) & (batch["arg_end"] >= 0)).sum()


def _answer_tokens(batch: Batch, settings: Any) -> Tensor:
    if "content" not in batch:
        return torch.zeros((), dtype=torch.long, device=batch["decision"].device)
    return (batch["content"] != -100).sum()


TERMS = {
    "decision": Term(decision, _samples, needs=("decision_logits",)),
    "tool": Term(tool, _tools, needs=("tool_logits",)),
    "intent": Term(intent, _intents, needs=("intent_logits",)),
    "q": Term(q, _samples, needs=("q_logits", "decision_logits")),
    "slot_span": Term(slot_span, _slots, every_step=False, needs=("slot_start_logits", "slot_end_logits")),
    "arg_span": Term(arg_span, _arguments, every_step=False, needs=("arg_start_logits", "arg_end_logits")),
    "content": Term(content, _answer_tokens, needs=("content_logits",)),
}

HEALTH = (
    health.stuck(
        "q",
        at=math.log(2),
        within=0.02,
        causes=("the halting head answers at random: ln 2 is the loss of knowing nothing",),
        remedies=("train longer", "raise loss.q.weight", "look at decision accuracy: q can only learn what varies"),
    ),
    health.unlabelled(
        optional=("content",),
        causes=("no sample of the epoch carries this label: no tool calls, no intent map, no spans found",),
        remedies=(
            "look at the prepare report's counts",
            "name an intent map in data.intent_map",
            "set the term's weight to 0",
        ),
    ),
    health.growing(
        reports=3,
        times=3.0,
        causes=("the learning rate is too high", "gradients explode"),
        remedies=("lower training.learning_rate", "lower training.clip_norm", "raise training.warmup_share"),
    ),
    health.above(
        "decision",
        limit=2.0,  # twelve times what knowing nothing costs: sure of itself, and wrong
        causes=("training diverged: the learning rate is far too high",),
        remedies=("lower training.learning_rate", "raise training.warmup_share"),
    ),
    health.not_decreasing(
        "decision",
        causes=(
            "the learning rate is too low, or far too high where the loss grew as well",
            "the classes are severely imbalanced",
        ),
        remedies=("change training.learning_rate", "set loss.decision.alpha to auto", "lower loss.decision.gamma"),
    ),
    health.gradient_share(
        low=0.001,
        high=0.95,
        causes=("below .1%: the term cannot be felt by the shared network", "above 95%: it drowns the other terms"),
        remedies=(
            "raise the weight of a dead term, lower that of a drowning one",
            "run equipoise tune for balanced weights",
        ),
    ),
)
