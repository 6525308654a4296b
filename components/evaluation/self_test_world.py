"""Evaluation sets of which the truth is known, drawn from the real scores of two models.

Whole clusters of the real table are drawn with replacement, and in each a fair coin decides which of the two models
plays the candidate. Candidate and champion are then equal in distribution, whatever the models are, and differ from
sample to sample as much as these two do. On top a change of known size is planted: every sample of the candidate loses
(or wins) all it has with one probability per question, so that the true difference is exactly what was asked: of a
head on all its samples, of a slice on the samples inside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from components.evaluation.judged import Examination, Question, is_share
from components.evaluation.statistics import cluster_sums

Floats = NDArray[np.float64]
HIT, OF = 0, 1


@dataclass(frozen=True)
class World:
    """Two models' scores, the rows sorted by cluster. Only questions about shares have a place in it.

    Attributes:
        questions: Q of them, heads before slices.
        parent: [Q] which head each question is about, as an index into `scores`.
        inside: [samples, Q] which rows have a say in it.
        scores: [samples, 2 models, 2 (hit, of), heads].
        sums: [clusters, 2, 2, Q], added up within each cluster.
        starts, sizes: [clusters] first row and number of rows of each cluster.
        share: [Q] hits / of over both models: the true score of either side of a drawn set.
        room: [Q] what is missing to a full score, in the same unit.
    """

    questions: tuple[Question, ...]
    parent: NDArray[np.intp]
    inside: NDArray[np.bool_]
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


def world(asked: Examination) -> World:
    """The world of two tables that the gate accepts."""
    questions = tuple(q for q in asked.questions if is_share(asked.candidate, q.head))
    names = [(q.head.head, q.head.metric) for q in questions]
    heads = list(dict.fromkeys(names))
    order = np.argsort(asked.codes, kind="stable")
    codes = asked.codes[order]
    columns = [
        frame[f"{head}/{metric}/{kind}"].cast(pl.Float64).to_numpy()[order]
        for frame in (asked.candidate, asked.champion)
        for kind in ("hit", "of")
        for head, metric in heads
    ]
    scores = np.column_stack(columns).reshape(-1, 2, 2, len(heads))
    parent = np.array([heads.index(name) for name in names])
    everywhere = np.ones(len(codes), np.bool_)
    inside = np.column_stack([everywhere if q.inside is None else q.inside[order] for q in questions])
    table = scores[..., parent] * inside[:, None, None, :]
    sums = cluster_sums(table.reshape(len(codes), -1), codes).reshape(-1, 2, 2, len(questions))
    sizes = np.bincount(codes, minlength=asked.clusters)
    of = table[:, :, OF].sum(axis=(0, 1))
    missing = np.maximum(table[:, :, OF] - table[:, :, HIT], 0.0).sum(axis=(0, 1))
    share = table[:, :, HIT].sum(axis=(0, 1)) / of
    return World(questions, parent, inside, scores, sums, np.cumsum(sizes) - sizes, sizes, share, missing / of)


def chances(of: World, margins: Floats) -> Floats:
    """[Q] probability that a sample's hits are moved, negative when they are lost; nan where it would exceed 1.

    Args:
        margins: [Q] true difference candidate - champion in margins; positive is better for the head's direction.
    """
    signs = np.array([q.head.margin if q.head.direction == "higher" else -q.head.margin for q in of.questions])
    wanted = margins * signs
    have = np.where(wanted < 0, of.share, of.room)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(wanted == 0, 0.0, wanted / have)
    return np.where(np.abs(found) <= 1, found, np.nan)


def drawn_set(of: World, moved: Floats, size: int, generator: np.random.Generator) -> Floats:
    """One evaluation set of `size` clusters as [size, 2 (candidate, champion), 2 (hit, of), Q] sums per cluster.

    Args:
        moved: [Q] as `chances` gives them. What is planted in a slice takes the place of what is planted in its head.
    """
    drawn = generator.integers(of.clusters, size=size)
    swapped = generator.random(size) < 0.5
    sums = of.sums[drawn]
    sums = np.where(swapped[:, None, None, None], sums[:, ::-1], sums)
    planted = np.flatnonzero(moved)
    if len(planted):
        sizes = of.sizes[drawn]
        firsts = np.cumsum(sizes) - sizes
        rows = np.repeat(of.starts[drawn] - firsts, sizes) + np.arange(sizes.sum())
        side = np.repeat(swapped.astype(np.intp), sizes)
        heads = np.unique(of.parent[planted])
        chance = np.zeros((len(rows), len(heads)))
        for q in planted:
            column = int(np.searchsorted(heads, of.parent[q]))
            chance[:, column] = np.where(of.inside[rows, q], moved[q], chance[:, column])
        hit, full = (of.scores[rows, side, part][:, heads] for part in (HIT, OF))
        goal = np.where(chance > 0, np.maximum(hit, full), 0.0)
        change = np.where(generator.random(hit.shape) < np.abs(chance), goal - hit, 0.0)
        touched = np.flatnonzero(np.isin(of.parent, heads))
        column = np.searchsorted(heads, of.parent[touched])
        sums[:, 0, HIT, touched] += np.add.reduceat(change[:, column] * of.inside[rows][:, touched], firsts, axis=0)
    return sums
