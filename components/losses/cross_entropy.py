"""Cross-entropy over classes (a tool per sample) and over tokens, unreduced and masked."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from components.losses.contract import Masked
from components.losses.precision import full


def class_ce(logits: Tensor, labels: Tensor, ignore: int = -1) -> Masked:
    """-log softmax(logits)[label] for every sample that has a label.

    Args:
        logits: [..., S, C]; -inf marks a class that cannot be chosen. C may be 0 when no label is given.
        labels: [S] in [0, C), or `ignore`.

    Returns:
        values and valid [..., S]; ignored entries are 0. A label whose own logit is -inf gives inf: no finite loss
        describes an answer the model was forbidden to give.
    """
    logits = full(logits)
    valid = labels != ignore
    if not logits.shape[-1]:
        return Masked(logits.sum(-1), valid.expand(logits.shape[:-1]))
    # An unlabelled row may have no allowed class, hence no softmax: uniform instead, it never turns into NaN.
    logits = torch.where(valid.unsqueeze(-1), logits, 0.0)
    labels = labels.expand(logits.shape[:-1])
    values = functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), reduction="none", ignore_index=ignore
    )
    return Masked(values.view(logits.shape[:-1]), valid.expand(logits.shape[:-1]))


def tokens_ce(logits: Tensor, labels: Tensor, ignore: int = -100) -> Masked:
    """Cross-entropy of every target token: logits [..., S, C, V], labels [S, C] with `ignore`, values [..., S, C]."""
    return class_ce(logits, labels, ignore)
