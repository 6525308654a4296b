"""Have inputs or predictions changed since a model was judged? Two samples a column, tests of SciPy, Holm over all.

Numbers: the two-sample Kolmogorov-Smirnov test, whose statistic (largest distance of the two distribution functions) is
the effect. Categories: the chi-squared test of homogeneity, with rare ones together; the effect is the total variation
distance of the shares. Both effects lie in [0, 1]. One sample a cluster is drawn, because the tests take samples to be
independent. With enough samples everything differs, so a column counts as drifted only when its effect is of a size
that somebody chose, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import chi2_contingency, ks_2samp

from components.errors import bad_data
from components.evaluation.statistics import holm

MOST_CATEGORIES = 50  # a column of more different texts is no category: an id, a name, free text
FEWEST_EXPECTED = 5  # of a category in either sample, below which chi-squared is not to be believed
DIGITS = 9


@dataclass(frozen=True)
class ColumnDrift:
    """One column: kind (number, category), effect in [0, 1], p-value after Holm, whether it drifted."""

    column: str
    kind: str
    effect: float
    p_value: float
    drifted: bool


@dataclass(frozen=True)
class Drift:
    """All compared columns, those that drifted first and among them the largest effect; samples of both sides."""

    columns: tuple[ColumnDrift, ...]
    reference: int
    current: int

    @property
    def drifted(self) -> list[str]:
        """Names of the columns that drifted."""
        return [each.column for each in self.columns if each.drifted]

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        sizes = f"{self.current} independent samples now, {self.reference} then"
        if not self.drifted:
            return f"no drift in {len(self.columns)} columns ({sizes})"
        shown = ", ".join(f"{c.column} by {c.effect:.2f}" for c in self.columns if c.drifted)
        return f"drift in {len(self.drifted)} of {len(self.columns)} columns: {shown} ({sizes})"


def compare(
    reference: pl.DataFrame, current: pl.DataFrame, cluster: str, alpha: float, effect: float, seed: int = 0
) -> Drift:
    """Compares every column that both frames have and that is no label, score, id or cluster.

    Args:
        reference, current: frames as `Workload.score` gives them, of other samples or of the same.
        cluster: the column whose equal values are not independent of each other.
        alpha: probability of calling a drift where there is none in any column.
        effect: smallest size of a drift that counts, in [0, 1].

    Raises:
        EquipoiseError: E_DRIFT (65) when a side is empty or nothing can be compared.
    """
    then, now = (_independent(frame, cluster, seed) for frame in (reference, current))
    found = list(_tests(then, now, cluster))
    if not found or not then.height or not now.height:
        got = f"{then.height} and {now.height} samples, {len(found)} columns"
        hint = "Evaluate on a test split that is not empty"
        raise bad_data("drift", "both sides must have samples and common columns", got=got, hint=hint, code="DRIFT")
    corrected = holm([p for _, _, _, p in found])
    columns = [
        ColumnDrift(name, kind, round(size, DIGITS), round(float(p), DIGITS), bool(p <= alpha and size >= effect))
        for (name, kind, size, _), p in zip(found, corrected, strict=True)
    ]
    columns.sort(key=lambda each: (not each.drifted, -each.effect, each.column))
    return Drift(tuple(columns), then.height, now.height)


def _independent(frame: pl.DataFrame, cluster: str, seed: int) -> pl.DataFrame:
    """One row of every cluster, drawn; the order of the rows does not matter to which."""
    shuffled = frame.sort("id").sample(fraction=1.0, shuffle=True, seed=seed)
    return shuffled.unique(subset=cluster, keep="first", maintain_order=True)


def _tests(reference: pl.DataFrame, current: pl.DataFrame, cluster: str) -> Iterator[tuple[str, str, float, float]]:
    """(column, kind, effect, p-value) of every column that can be compared."""
    for name in reference.columns:
        if name in ("id", cluster) or "label" in name or name.endswith(("/hit", "/of")) or name not in current.columns:
            continue
        one, other = reference[name].drop_nulls(), current[name].drop_nulls()
        if not len(one) or not len(other):
            continue
        if one.dtype.is_numeric() and other.dtype.is_numeric():
            result: Any = ks_2samp(one.to_numpy(), other.to_numpy())
            yield name, "number", float(result.statistic), float(result.pvalue)
        elif one.dtype in (pl.String, pl.Boolean, pl.Categorical) and _is_category(one):
            yield name, "category", *_categories(one.cast(pl.String).to_numpy(), other.cast(pl.String).to_numpy())


def _is_category(values: pl.Series) -> bool:
    """Whether values are those of a category: few, and not each its own, as names of clusters are in one sample of
    every cluster."""
    return values.n_unique() <= min(MOST_CATEGORIES, max(2, len(values) - 1))


def _categories(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """(total variation distance, p-value) of two samples of categories [n], [m]."""
    names = np.unique(np.concatenate([one, other]))
    counts = np.array([[np.count_nonzero(side == name) for name in names] for side in (one, other)], dtype=float)
    shares = counts / counts.sum(axis=1, keepdims=True)
    effect = float(np.abs(shares[0] - shares[1]).sum() / 2)
    smaller = counts.sum(axis=1).min() / counts.sum()
    rare = counts.sum(axis=0) * smaller < FEWEST_EXPECTED
    merged = np.column_stack([counts[:, ~rare], counts[:, rare].sum(axis=1)]) if rare.any() else counts
    merged = merged[:, merged.sum(axis=0) > 0]
    if merged.shape[1] < 2:  # one category, or all of them too rare to be told apart
        return effect, 1.0
    result: Any = chi2_contingency(merged, correction=False)
    return effect, float(result.pvalue)
