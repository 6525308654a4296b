"""Extractive spans: each query chooses the position where its answer starts and the one where it ends."""

from __future__ import annotations

from torch import Tensor

from components.losses.contract import Masked
from components.losses.precision import full


def span_ce(start: Tensor, end: Tensor, start_labels: Tensor, end_labels: Tensor, attention: Tensor) -> Masked:
    """Mean of the start's and the end's cross-entropy over positions (pointer loss as in BERT's SQuAD head).

    Args:
        start, end: logits [..., R, L, Q]; positions a query may not point at are -inf.
        start_labels, end_labels: [R, Q] positions, inclusive; -1 is unknown. Position 0 stands for "not present".
        attention: [R, L], False where padded: those positions get -inf before the softmax, so padding changes nothing.

    Returns:
        values and valid [..., R, Q]; a query is valid when both its ends are known.
    """
    valid = (start_labels >= 0) & (end_labels >= 0)
    forbidden = ~(attention.unsqueeze(-1).bool() & valid.unsqueeze(-2))
    shape = start.shape[:-2] + start.shape[-1:]
    valid = valid.expand(shape)
    values = (_position_ce(start, start_labels, forbidden) + _position_ce(end, end_labels, forbidden)) / 2
    return Masked(values.masked_fill(~valid, 0.0), valid)


def _position_ce(logits: Tensor, labels: Tensor, forbidden: Tensor) -> Tensor:
    """logsumexp - logit of the label, [..., R, Q]. Unknown queries have every position forbidden: what they give is
    not a number anyone reads, and the fill hands back zero gradient there."""
    logits = full(logits).masked_fill(forbidden, float("-inf"))
    labels = labels.clamp(min=0).expand(logits.shape[:-2] + logits.shape[-1:])
    return logits.logsumexp(-2) - logits.gather(-2, labels.unsqueeze(-2)).squeeze(-2)
