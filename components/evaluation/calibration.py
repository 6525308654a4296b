"""Does a probability mean what it says: reliability table, expected calibration error, Brier score.

The probability judged is that of the positive class, so a bin's accuracy is the share of positives in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from components.files import write_atomically

Floats = NDArray[np.float64]


def bin_of(probability: NDArray[np.floating], bins: int) -> NDArray[np.int64]:
    """The bin of each probability: `bins` of equal width over [0, 1], closed below; 1.0 is in the last one."""
    return np.minimum((np.asarray(probability, np.float64) * bins).astype(np.int64), bins - 1)


def bin_parts(probability: NDArray[np.floating], label: NDArray, bins: int) -> Floats:
    """[S, 3 * bins]: per sample its count, probability and label in the columns of its bin.

    Their sums are all that `statistics.calibration_error` needs, so an interval needs one product of matrices.
    """
    parts = np.zeros((len(probability), 3, bins))
    rows, bin_ = np.arange(len(probability)), bin_of(probability, bins)
    parts[rows, 0, bin_] = 1.0
    parts[rows, 1, bin_] = probability
    parts[rows, 2, bin_] = label
    return parts.reshape(len(probability), 3 * bins)


def reliability(probability: NDArray[np.floating], label: NDArray, bins: int) -> pl.DataFrame:
    """One row per bin: low, high, count, mean probability, share of positives (null in empty bins)."""
    sums = bin_parts(probability, label, bins).sum(axis=0)
    count, mean, share = sums.reshape(3, bins)
    edges = np.linspace(0.0, 1.0, bins + 1)
    some = np.where(count > 0, count, 1.0)
    frame = pl.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "count": count.astype(np.int64),
            "probability": mean / some,
            "positives": share / some,
        }
    )
    empty = pl.col("count") == 0
    return frame.with_columns(
        pl.when(empty).then(None).otherwise(pl.col(c)).alias(c) for c in ("probability", "positives")
    )


def draw_reliability(path: Path, tables: Mapping[str, pl.DataFrame], title: str) -> None:
    """A reliability diagram as PNG: one line per model above, how many samples stand in each bin below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 5.6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    upper.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="perfectly calibrated")
    for name, table in tables.items():
        filled = table.drop_nulls()
        upper.plot(filled["probability"].to_list(), filled["positives"].to_list(), marker="o", markersize=3, label=name)
        lower.stairs(table["count"].to_list(), [*table["low"], table["high"][-1]], label=name)
    upper.set(ylabel="share of positives", xlim=(0, 1), ylim=(0, 1), title=title)
    upper.legend(loc="upper left", fontsize="small")
    lower.set(xlabel="probability", ylabel="samples", yscale="log")
    lower.set_ylim(bottom=0.5)
    write_atomically(path, lambda handle: figure.savefig(handle, format="png", metadata={"Software": None}))
