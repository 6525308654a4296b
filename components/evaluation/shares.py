"""Metrics that are shares: of each head, the sum of its column `<head>/hit` over that of `<head>/of`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from components.config_parts import EvaluationConfig
from components.evaluation import metrics as measures
from components.evaluation.predictions import HIT, OF
from components.evaluation.statistics import Interval, ratios

CLUSTER = "conversation"  # the column that names what stands or falls together


def intervals(frame: pl.DataFrame, heads: Iterable[str], settings: EvaluationConfig, split: str) -> dict[str, Interval]:
    """`split/head` -> (value, low, high) by drawing whole clusters, all heads on the same draws."""
    if frame.is_empty():
        return {}
    clusters, found = frame[CLUSTER].rank("dense").to_numpy(), {}
    for head in heads:
        parts = frame.select(head + HIT, head + OF).to_numpy()
        if parts[:, 1].any():
            found[f"{split}/{head}"] = measures.interval_of(parts, clusters, ratios, settings)
    return found


def differences(
    frame: pl.DataFrame, other: pl.DataFrame, heads: Iterable[str], settings: EvaluationConfig, split: str
) -> dict[str, Interval]:
    """`split/head` -> (value, low, high) of frame minus other on the same samples, drawn together.

    Raises:
        ValueError: when the samples are not the same in the same order.
    """
    if frame["id"].to_list() != other["id"].to_list():
        raise ValueError("differences need the same samples in the same order")
    if frame.is_empty():
        return {}
    clusters, found = frame[CLUSTER].rank("dense").to_numpy(), {}
    for head in heads:
        left, right = (each.select(head + HIT, head + OF).to_numpy() for each in (frame, other))
        if left[:, 1].any() and right[:, 1].any():
            both = np.concatenate([left, right], axis=1)
            found[f"{split}/{head}"] = measures.interval_of(both, clusters, measures.minus(ratios, 2), settings)
    return found
