"""Focal losses: cross-entropy that turns away from what is already right (Lin et al. 2017, arXiv 1708.02002, eq. 5)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from components.losses.contract import Masked
from components.losses.cross_entropy import class_ce
from components.losses.precision import full


def binary_focal(logits: Tensor, targets: Tensor, alpha: float | Tensor | None, gamma: float) -> Masked:
    """-alpha_t (1 - p_t)^gamma log p_t with p_t the probability of the true class.

    Args:
        logits: [..., S].
        targets: [S], 1 positive, 0 negative.
        alpha: weight of the positive class, 1 - alpha of the negative one; None: both 1.
        gamma: focusing; 0 is plain binary cross-entropy.

    Returns:
        values [..., S]; every sample is valid. Both log p_t and log(1 - p_t) come from one softplus, so values and
        gradients stay finite for logits of any size.
    """
    logits = full(logits)
    targets = targets.to(logits.dtype)
    towards_truth = logits * (2 * targets - 1)
    minus_log_p = functional.softplus(-towards_truth)
    values = minus_log_p
    if gamma:
        values = values * torch.exp((minus_log_p + towards_truth) * -gamma)  # softplus(-x) + x = -log(1 - p)
    if alpha is not None:
        values = values * (targets * (2 * alpha - 1) + (1 - alpha))
    return Masked(values, torch.ones_like(values, dtype=torch.bool))


def focal_ce(logits: Tensor, labels: Tensor, gamma: float, ignore: int = -1) -> Masked:
    """-(1 - p_label)^gamma log p_label; gamma 0 is plain cross-entropy.

    Args:
        logits: [..., S, C]; -inf marks a class that cannot be chosen.
        labels: [S] in [0, C), or `ignore`.

    Returns:
        values and valid [..., S]; ignored entries are 0.
    """
    ce, valid = class_ce(logits, labels, ignore)
    if not gamma:
        return Masked(ce, valid)
    # The floor keeps the slope of (1 - p)^gamma finite at p = 1 when gamma < 1; there the loss itself is 0.
    wrong = -torch.expm1(-ce)
    if gamma < 1:
        wrong = wrong.clamp_min(torch.finfo(ce.dtype).tiny)
    return Masked(ce * wrong.pow(gamma), valid)


def balanced_alpha(positive_share: Tensor | float) -> Tensor | float:
    """The alpha at which both classes carry equal weight in total: alpha p = (1 - alpha)(1 - p), so alpha = 1 - p."""
    return 1 - positive_share
