"""InfoNCE: each sample picks its own partner among those of the whole batch, which under DDP is that of all ranks."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from components.losses.contract import Masked
from components.losses.precision import full
from components.losses.ranks import from_all_ranks


def info_nce(
    anchors: Tensor, partners: Tensor, valid: Tensor, tau: float, symmetric: bool = False, alone: bool = False
) -> Masked:
    """-log softmax(<a_i, p_j> / tau)[j = i] over the valid samples j of all ranks, with features of length 1.

    Knowing nothing gives ln B on average (`chance`). Partners are what varies in the denominator.

    Args:
        anchors, partners: [B, D], of any length; they are normalised here.
        valid: [B] bool; the others are neither asked nor offered.
        tau: temperature; lower tells near partners apart more sharply.
        symmetric: the mean of both directions, as in CLIP (Radford et al. 2021), instead of anchors to partners alone.
        alone: whether this rank's samples choose among themselves; else every rank must come here equally often.

    Returns:
        values and valid [B]; invalid entries are 0.
    """
    a, p = (functional.normalize(torch.where(valid.unsqueeze(-1), full(x), 0.0), dim=-1) for x in (anchors, partners))
    offered = valid if alone else from_all_ranks(valid)
    own = (a * p).sum(-1) / tau

    def towards(asking: Tensor, answers: Tensor) -> Tensor:
        scores = asking @ (answers if alone else from_all_ranks(answers)).T / tau
        # An invalid sample may find nobody to choose from; all alike keeps its unused gradient finite.
        scores = torch.where(valid.unsqueeze(-1), scores.masked_fill(~offered, float("-inf")), 0.0)
        return scores.logsumexp(-1) - own

    values = (towards(a, p) + towards(p, a)) / 2 if symmetric else towards(a, p)
    return Masked(values.masked_fill(~valid, 0.0), valid)


def chance(batch: int) -> float:
    """ln B: the loss of choosing among `batch` partners at random."""
    return math.log(batch)
