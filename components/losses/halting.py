"""The halting head learns to predict whether the current answer is already right (Jolicoeur-Martineau 2025,
arXiv 2510.04871, section 4: one halting logit, binary cross-entropy)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

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
