"""What is known of a champion beside the one it replaced: each cluster's shares, counted once, and what they show."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from components.config_parts import GateHead, Section
from components.errors import bad_data, misconfigured
from components.evaluation.e_process import log_e_value, log_mean, plain, shown

Pair = tuple[float, float] | None  # (champion's, previous one's) share of a cluster in a head; None: it has no say


class Evidence(Section):
    """A comparison under way, as it is kept between looks. Its rules are those of the first look.

    Attributes:
        champion, previous: versions; generation: of the promotion that made the one replace the other.
        cluster: column whose equal values stand or fall together.
        counted: cluster -> a pair for each head.
        seen: short digests of all samples that were scored, also of those that did not count.
    """

    generation: int
    champion: int
    previous: int
    alpha: float
    cluster: str
    heads: tuple[GateHead, ...]
    counted: dict[str, tuple[Pair, ...]]
    seen: tuple[str, ...]


@dataclass(frozen=True)
class HeadEvidence:
    """One head: mean shares over the clusters that have a say, mean harm in them, and the e-value against it."""

    head: GateHead
    clusters: int
    champion: float | None
    previous: float | None
    harm: float | None
    log_e: float


@dataclass(frozen=True)
class Weighed:
    """What the evidence shows: the heads, the mean of their e-values (logarithm), and whether that is enough."""

    heads: tuple[HeadEvidence, ...]
    log_e: float
    enough: bool

    @property
    def e(self) -> float:
        """The e-value against "no head is worse than its margin"."""
        return plain(self.log_e)


def testable(heads: Sequence[GateHead], columns: Collection[str]) -> tuple[GateHead, ...]:
    """The gate's heads that are shares of a cluster's samples, which `<head>/<metric>/hit` and `.../of` say.

    Raises:
        EquipoiseError: E_SHADOW_HEADS (78) when none is.
    """
    found = tuple(h for h in heads if {f"{h.head}/{h.metric}/hit", f"{h.head}/{h.metric}/of"} <= set(columns))
    if not found:
        got = ", ".join(f"{h.head}/{h.metric}" for h in heads)
        hint = "Judge at least one head whose table has hits and what they are out of"
        raise misconfigured("gate.heads", "some head must be a share", got=got, hint=hint, code="SHADOW_HEADS")
    return found


def cluster_pairs(
    champion: pl.DataFrame, previous: pl.DataFrame, heads: Sequence[GateHead], cluster: str
) -> dict[str, tuple[Pair, ...]]:
    """Both models' shares in every cluster of the same samples, as `Workload.score` gives them.

    Clusters count alike, whatever their length, which is what makes a cluster's harm bounded.

    Raises:
        EquipoiseError: E_SHADOW_SCORES (65) for a missing cluster column or a share outside [0, 1].
    """
    ours, theirs = (_shares(frame, heads, cluster) for frame in (champion, previous))
    return {
        name: tuple(None if a is None or b is None else (a, b) for a, b in zip(shares, theirs[name], strict=True))
        for name, shares in ours.items()
    }


def _shares(frame: pl.DataFrame, heads: Sequence[GateHead], cluster: str) -> dict[str, list[float | None]]:
    if cluster not in frame.columns:
        hint = "Set gate.cluster to a column of the table of scores"
        got = frame.columns
        raise bad_data("shadow", f"column {cluster} must be there", got=got, hint=hint, code="SHADOW_SCORES")
    names = [f"{head.head}/{head.metric}" for head in heads]
    sums = frame.group_by(pl.col(cluster).cast(pl.String).alias("__cluster"), maintain_order=True).agg(
        *(pl.col(f"{name}/{kind}").cast(pl.Float64).sum() for name in names for kind in ("hit", "of"))
    )
    found = {}
    for row in sums.iter_rows(named=True):
        pairs = [(name, row[f"{name}/hit"], row[f"{name}/of"]) for name in names]
        found[row["__cluster"]] = [_share(row["__cluster"], *each) for each in pairs]
    return found


def _share(cluster: str, name: str, hit: float, of: float) -> float | None:
    if of == 0:
        return None
    share = hit / of
    if not -1e-9 <= share <= 1 + 1e-9:  # nan as well
        hint = "Compare heads whose hits lie between 0 and what they are out of"
        place = f"shadow, {name} of {cluster}"
        raise bad_data(place, "a share must lie in [0, 1]", got=share, hint=hint, code="SHADOW_SCORES")
    return min(max(share, 0.0), 1.0)


def harms(counted: Mapping[str, Sequence[Pair]], heads: Sequence[GateHead]) -> np.ndarray:
    """[clusters, heads] harm in [-1, 1]: how much worse the champion is; nan where a cluster has no say."""
    rows = [
        [
            math.nan if pair is None else (pair[1] - pair[0]) * (1 if head.direction == "higher" else -1)
            for pair, head in zip(pairs, heads, strict=True)
        ]
        for pairs in counted.values()
    ]
    return np.array(rows, np.float64).reshape(-1, len(heads))


def weigh(evidence: Evidence) -> Weighed:
    """What all counted clusters together show of each head and of all."""
    harm = harms(evidence.counted, evidence.heads)
    found = []
    for h, head in enumerate(evidence.heads):
        pairs = np.array([p[h] for p in evidence.counted.values() if p[h] is not None], np.float64).reshape(-1, 2)
        champion, previous = (float(mean) for mean in pairs.mean(axis=0)) if len(pairs) else (None, None)
        mean = float(np.nanmean(harm[:, h])) if len(pairs) else None
        log_e = float(log_e_value(harm[:, h], head.margin))
        found.append(HeadEvidence(head, len(pairs), champion, previous, mean, log_e))
    total = float(log_mean([each.log_e for each in found]))
    return Weighed(tuple(found), total, shown(total, evidence.alpha))
