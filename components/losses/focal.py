"""Focal losses: cross-entropy that turns away from what is already right (Lin et al. 2017, arXiv 1708.02002, eq. 5)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from components.losses.contract import Masked
from components.losses.cross_entropy import class_ce
from components.losses.gradients import with_slope
from components.losses.precision import full


def binary_focal(logits: Tensor, targets: Tensor, alpha: float | Tensor | None, gamma: float) -> Masked:
    """alpha_t w^gamma softplus(z): z = -logit for positives and +logit for negatives, w = sigmoid(z) = 1 - p_t the
    probability of the wrong class, softplus(z) = -log p_t.

    d/dz = alpha_t w^gamma (w + gamma (1 - w) softplus(z)); nothing in it overflows for logits of any size.

    Args:
        logits: [..., S].
        targets: [S], 1 positive, 0 negative.
        alpha: weight of the positive class, 1 - alpha of the negative one; None: both 1.
        gamma: focusing; 0 is plain binary cross-entropy.

    Returns:
        values [..., S]; every sample is valid. First derivatives only.
    """
    logits = full(logits)
    with torch.no_grad():
        targets = targets.to(logits.dtype)
        flip = 1 - 2 * targets
        z = logits * flip
        cost, wrong = functional.softplus(z), torch.sigmoid(z)
        weight = wrong.pow(gamma)
        if alpha is not None:
            weight = weight * (targets * (2 * alpha - 1) + (1 - alpha))
        values = weight * cost
        slope = torch.add(wrong, (1 - wrong) * cost, alpha=gamma) * weight * flip
    return Masked(with_slope(logits, values, slope), torch.ones_like(values, dtype=torch.bool))


def focal_ce(logits: Tensor, labels: Tensor, gamma: float, ignore: int = -1) -> Masked:
    """-(1 - p_label)^gamma log p_label; gamma 0 is plain cross-entropy.

    With c = -log p and w = 1 - p, the derivative by c is w^gamma + gamma c w^(gamma - 1) p.

    Args:
        logits: [..., S, C]; -inf marks a class that cannot be chosen.
        labels: [S] in [0, C), or `ignore`.

    Returns:
        values and valid [..., S]; ignored entries are 0. First derivatives only.
    """
    ce, valid = class_ce(logits, labels, ignore)
    if not gamma:
        return Masked(ce, valid)
    with torch.no_grad():
        minus_wrong = torch.expm1(-ce)
        # Below gamma 1 the power grows without bound as w -> 0, yet c falls faster: the floor makes 0 x inf a 0.
        wrong = -minus_wrong if gamma >= 1 else (-minus_wrong).clamp_min(torch.finfo(ce.dtype).tiny)
        pulled = ce * wrong.pow(gamma - 1)
        values = pulled * wrong
        slope = torch.add(wrong.pow(gamma), pulled * (minus_wrong + 1), alpha=gamma)
    return Masked(with_slope(ce, values, slope), valid)


def balanced_alpha(positive_share: Tensor | float) -> Tensor | float:
    """The alpha at which both classes carry equal weight in total: alpha p = (1 - alpha)(1 - p), so alpha = 1 - p."""
    return 1 - positive_share
