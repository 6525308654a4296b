"""Likeness of a written sequence to its reference: in meaning (embeddings), in n-grams (PANS), in syntax.

PANS (Position-Aware N-gram Similarity): for n = 1 .. n_max, as far as both sides have that many tokens, the mean over
the reference's n-grams j of the best equal n-gram i of the candidate, weighted exp(-decay |i - j|); then the mean over
those n.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from components.losses.contract import Masked
from components.losses.precision import full


def semantic_distance(logits: Tensor, pieces: Tensor, labels: Tensor, ignore: int = -1) -> Masked:
    """1 - cosine between the mean expected embedding, softmax(logits) @ pieces, and the mean of the reference's pieces.

    Args:
        logits: [..., B, T, V].
        pieces: [V, D] frozen embeddings of the vocabulary; they get no gradient.
        labels: [B, T] with `ignore`.

    Returns:
        values and valid [..., B]; a sample is valid when it has a token.
    """
    present = labels != ignore
    probabilities = full(logits).softmax(-1)
    pieces = pieces.detach().to(probabilities.dtype)
    weights = present.to(probabilities.dtype)
    pooled = torch.einsum("...tv,...t->...v", probabilities, weights.expand(probabilities.shape[:-1]))
    expected = pooled @ pieces  # the mean commutes with the table: one small product a sample instead of one a token
    wanted = functional.embedding(labels.clamp(min=0), pieces).mul(weights.unsqueeze(-1)).sum(-2)
    valid = present.any(-1).expand(expected.shape[:-1])
    values = 1 - functional.cosine_similarity(expected, wanted.expand(expected.shape), dim=-1)
    return Masked(values.masked_fill(~valid, 0.0), valid)


def soft_pans(
    logits: Tensor, reference: Tensor, written: Tensor, decay: float = 0.1, n_max: int = 4, ignore: int = -1
) -> Masked:
    """PANS with the probability of the reference's n-gram in place of "equal"; the loss is 1 - it.

    Args:
        logits: [..., B, L, V] over what is written.
        reference: [B, R] with `ignore` behind its end.
        written: [B, L] bool, True up to the candidate's end.

    Returns:
        similarity and valid [..., B]; a sample is valid when both sides have a token.
    """
    there = reference != ignore
    wanted = reference.clamp(min=0).unsqueeze(-2).expand(*logits.shape[:-1], reference.shape[-1])
    log_p = functional.log_softmax(full(logits), -1).gather(-1, wanted)  # [..., B, L, R]
    pairs = written.unsqueeze(-1) & there.unsqueeze(-2)
    log_p = log_p.masked_fill(~pairs, float("-inf"))
    lengths = written.sum(-1), there.sum(-1)
    shortest = torch.minimum(*lengths)
    gram = log_p
    total = torch.zeros(log_p.shape[:-2], dtype=log_p.dtype, device=log_p.device)
    for n in range(1, min(n_max, *log_p.shape[-2:]) + 1):
        if n > 1:
            gram = gram[..., :-1, :-1] + log_p[..., n - 1 :, n - 1 :]
        best = (gram.exp() * _closeness(gram, decay)).amax(-2)  # the best i for each j
        share = best.sum(-1) / (lengths[1] - n + 1).clamp(min=1)
        total = total + torch.where(shortest >= n, share, 0.0)
    valid = (shortest > 0).expand(total.shape)
    return Masked((total / shortest.clamp(min=1, max=n_max)).masked_fill(~valid, 0.0), valid)


def _closeness(gram: Tensor, decay: float) -> Tensor:
    """[L, R] exp(-decay |i - j|)."""
    i, j = (torch.arange(size, device=gram.device, dtype=gram.dtype) for size in gram.shape[-2:])
    return torch.exp(-decay * (i.unsqueeze(-1) - j).abs())


def pans(candidate: Sequence[Any], reference: Sequence[Any], decay: float = 0.1, n_max: int = 4) -> float:
    """The metric: two sequences of comparable tokens -> similarity in [0, 1]; 1 where both are empty, 0 where one is.

    It has no gradient; `soft_pans` does.
    """
    shortest = min(len(candidate), len(reference))
    if not shortest:
        return float(len(candidate) == len(reference))
    shares = []
    for n in range(1, min(n_max, shortest) + 1):
        places: dict[tuple[Any, ...], list[int]] = {}
        for i in range(len(candidate) - n + 1):
            places.setdefault(tuple(candidate[i : i + n]), []).append(i)
        grams = [(j, places.get(tuple(reference[j : j + n]), ())) for j in range(len(reference) - n + 1)]
        shares.append(
            sum(max((math.exp(-decay * abs(i - j)) for i in at), default=0.0) for j, at in grams) / len(grams)
        )
    return sum(shares) / len(shares)


def broken_syntax(parses: Tensor) -> Masked:
    """The share of outputs that do not parse, [B] bool -> values and valid [B]: a measure without any gradient."""
    return Masked((~parses.bool()).float(), torch.ones_like(parses, dtype=torch.bool))


def weighted_by_syntax(masked: Masked, parses: Tensor, penalty: float) -> Masked:
    """A term's values [..., B, T] or [..., B], those of samples whose output does not parse times 1 + penalty.

    This is how syntax may take part in training: the weight is a detached number.
    """
    weight = 1 + penalty * (~parses.detach().bool()).to(masked.values.dtype)
    per_token = masked.values.shape[-1:] != parses.shape or masked.values.dim() > 1
    return Masked(masked.values * (weight.unsqueeze(-1) if per_token else weight), masked.valid)
