"""Evaluation sets of which the truth is known, drawn from the real scores of two models.

Whole clusters of the real table are drawn with replacement, and in each a fair coin decides which of the two models
plays the candidate. Candidate and champion are then equal in distribution, whatever the models are, and differ from
sample to sample as much as these two do. On top a change of known size is planted: every sample of the candidate loses
(or wins) all it has with one probability per head, so that the head's true difference is exactly what was asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from components.config_parts import GateConfig
from components.evaluation.statistics import cluster_sums

Floats = NDArray[np.float64]
HIT, OF = 0, 1


@dataclass(frozen=True)
class World:
    """Two models' scores, the rows sorted by cluster.

    Attributes:
        scores: [samples, 2 models, 2 (hit, of), heads].
        sums: [clusters, 2, 2, heads], the same added up within each cluster.
        starts, sizes: [clusters] first row and number of rows of each cluster.
        share: [heads] hits / of over both models: the true score of either side of a drawn set.
        room: [heads] what is missing to a full score, in the same unit.
    """

    scores: Floats
    sums: Floats
    starts: NDArray[np.intp]
    sizes: NDArray[np.intp]
    share: Floats
    room: Floats

    @property
    def clusters(self) -> int:
        """Of the real table."""
        return len(self.starts)


def world(candidate: pl.DataFrame, champion: pl.DataFrame, config: GateConfig) -> World:
    """The world of two tables that the gate accepts: same samples in the same order, scores finite and not negative."""
    names, codes = np.unique(candidate[config.cluster].to_numpy(), return_inverse=True)
    order = np.argsort(codes, kind="stable")
    columns = [
        frame[f"{head.head}/{head.metric}/{kind}"].cast(pl.Float64).to_numpy()[order]
        for frame in (candidate, champion)
        for kind in ("hit", "of")
        for head in config.heads
    ]
    table = np.column_stack(columns)
    shape = (2, 2, len(config.heads))
    scores, sums = table.reshape(-1, *shape), cluster_sums(table, codes[order]).reshape(-1, *shape)
    sizes = np.bincount(codes, minlength=len(names))
    of = scores[:, :, OF].sum(axis=(0, 1))
    missing = np.maximum(scores[:, :, OF] - scores[:, :, HIT], 0.0).sum(axis=(0, 1))
    return World(scores, sums, np.cumsum(sizes) - sizes, sizes, scores[:, :, HIT].sum(axis=(0, 1)) / of, missing / of)


def chances(of: World, config: GateConfig, margins: Floats) -> Floats:
    """[heads] probability that a sample's hits are moved, negative when they are lost; nan where it would exceed 1.

    Args:
        margins: [heads] true difference candidate - champion in margins; positive is better for the head's direction.
    """
    signs = np.array([head.margin if head.direction == "higher" else -head.margin for head in config.heads])
    wanted = margins * signs
    have = np.where(wanted < 0, of.share, of.room)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(wanted == 0, 0.0, wanted / have)
    return np.where(np.abs(found) <= 1, found, np.nan)


def drawn_set(of: World, moved: Floats, size: int, generator: np.random.Generator) -> Floats:
    """One evaluation set of `size` clusters as [size, 2 (candidate, champion), 2 (hit, of), heads] sums per cluster.

    Args:
        moved: [heads] as `chances` gives them.
    """
    drawn = generator.integers(of.clusters, size=size)
    swapped = generator.random(size) < 0.5
    sums = of.sums[drawn]
    sums = np.where(swapped[:, None, None, None], sums[:, ::-1], sums)
    heads = np.flatnonzero(moved)
    if len(heads):
        sizes = of.sizes[drawn]
        firsts = np.cumsum(sizes) - sizes
        rows = np.repeat(of.starts[drawn] - firsts, sizes) + np.arange(sizes.sum())
        side = np.repeat(swapped.astype(np.intp), sizes)
        hit, full = (of.scores[rows, side, part][:, heads] for part in (HIT, OF))
        goal = np.where(moved[heads] > 0, np.maximum(hit, full), 0.0)
        taken = generator.random(hit.shape) < np.abs(moved[heads])
        sums[:, 0, HIT, heads] += np.add.reduceat(np.where(taken, goal - hit, 0.0), firsts, axis=0)
    return sums
