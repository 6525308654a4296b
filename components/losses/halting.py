"""The halting head learns to predict whether the current answer is already right (Jolicoeur-Martineau 2025,
arXiv 2510.04871, section 4: one halting logit, binary cross-entropy)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from components.errors import misconfigured
from components.losses.contract import Masked
from components.losses.precision import full


def halting_bce(q_logits: Tensor, right: Tensor) -> Masked:
    """Binary cross-entropy of q_logits [..., S] against right [..., S] (bool), which carries no gradient."""
    q_logits = full(q_logits)
    values = functional.binary_cross_entropy_with_logits(q_logits, right.to(q_logits.dtype), reduction="none")
    return Masked(values, torch.ones_like(values, dtype=torch.bool))


def decision_is_right(decision_logits: Tensor, decision: Tensor) -> Tensor:
    """[..., S]: sigmoid(logit) > .5 says tool call; does that agree with decision [S] (0 or 1)?"""
    return (decision_logits.detach() > 0) == (decision > 0.5)


def tool_is_right(tool_logits: Tensor, tool: Tensor) -> Tensor:
    """[..., S]: the best offered tool is the labelled one; a sample without a tool (-1) has nothing to get wrong."""
    if not tool_logits.shape[-1]:
        return (tool < 0).expand(tool_logits.shape[:-1])
    return (tool_logits.detach().argmax(-1) == tool) | (tool < 0)


def is_confident_and_right(logits: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """[..., S]: the most likely class has a probability above `threshold` and is labels [S].

    For thresholds of at least 1/2 this is the same as a cross-entropy below -ln threshold.
    """
    confidence, choice = full(logits).detach().softmax(-1).max(-1)
    return (confidence > threshold) & (choice == labels)


def confident_halting(halt_logits: Tensor, logits: Tensor, labels: Tensor, threshold: float) -> Masked:
    """Binary cross-entropy of the halting logit against "confident and right" (Trade Reasoning Module).

    Args:
        halt_logits: [..., S] or [..., S, 1].
        logits: [..., S, C], which get no gradient from this.
        labels: [S], -1 where unknown.

    Returns:
        values and valid [..., S].
    """
    if halt_logits.dim() == logits.dim() and halt_logits.shape[-1] == 1:
        halt_logits = halt_logits.squeeze(-1)
    if halt_logits.shape != logits.shape[:-1] or labels.shape != logits.shape[-2:-1]:
        raise misconfigured(
            "loss input halt_logits",
            f"must have the shape {list(logits.shape[:-1])} of the samples, as labels must",
            got=[list(halt_logits.shape), list(labels.shape)],
            hint="Take halting logits, logits and labels from the same batch",
            code="LOSS_SHAPE",
        )
    values, valid = halting_bce(halt_logits, is_confident_and_right(logits, labels, threshold))
    return Masked(values, valid & (labels >= 0))
