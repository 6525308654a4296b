"""Slices of a table of predictions: named groups of its rows, judged apart when they are large enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

OTHER = "(other)"


def length_bucket(column: str, edges: Sequence[int]) -> pl.Expr:
    """Text like "1-4", "5-8", "9+" from a column of counts; `edges` are the upper ends of all but the last bucket."""
    low, result = 0, None
    for edge in edges:
        name = f"{low}-{edge}" if low < edge else str(edge)
        result = (pl.when(pl.col(column) <= edge) if result is None else result.when(pl.col(column) <= edge)).then(
            pl.lit(name)
        )
        low = edge + 1
    last = pl.lit(f"{low}+")
    return pl.when(pl.col(column).is_not_null()).then(last) if result is None else result.otherwise(last)


def slice_rows(
    frame: pl.DataFrame,
    by: Mapping[str, pl.Expr],
    minimum: int,
    judge: Callable[[pl.DataFrame], Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """One row per slice: its name, value, size and what `judge` says of it, in sorted order.

    Groups below `minimum` rows are judged together as "(other)"; if even those are too few, the row says so with
    `judged` False and no metrics, so that a small group is never silently missing. Rows where the expression is null
    belong to no slice.
    """
    rows = []
    for name, expression in by.items():
        grouped = frame.with_columns(expression.cast(pl.String).alias("__slice")).drop_nulls("__slice")
        sizes = dict(grouped.group_by("__slice").len().iter_rows())
        small = [value for value, size in sizes.items() if size < minimum]
        if len(small) > 1:
            grouped = grouped.with_columns(
                pl.when(pl.col("__slice").is_in(small))
                .then(pl.lit(OTHER))
                .otherwise(pl.col("__slice"))
                .alias("__slice")
            )
        for (value,), group in sorted(grouped.group_by("__slice"), key=lambda item: str(item[0][0])):
            enough = group.height >= minimum
            rows.append(
                {
                    "slice": name,
                    "value": value,
                    "n": group.height,
                    "judged": enough,
                    "metrics": dict(judge(group.drop("__slice"))) if enough else {},
                }
            )
    return rows
