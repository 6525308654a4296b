"""The table of predictions: one row per sample, so that any two versions can be compared on the same samples."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from components.errors import bad_data, missing
from components.files import write_atomically

HIT, OF = "/hit", "/of"


def judged(frame: pl.DataFrame) -> list[str]:
    """The `<head>/<metric>` names that stand in the table with a numerator and a denominator, in column order."""
    columns = set(frame.columns)
    return [c.removesuffix(HIT) for c in frame.columns if c.endswith(HIT) and c.removesuffix(HIT) + OF in columns]


def write_predictions(path: Path, frame: pl.DataFrame) -> None:
    """Parquet without anything that changes between runs: the same frame gives the same bytes."""
    write_atomically(path, lambda handle: frame.write_parquet(handle, compression="zstd", statistics=False))


def read_predictions(path: Path) -> pl.DataFrame:
    """The table that `write_predictions` wrote.

    Raises:
        EquipoiseError: E_MISSING (66) without the file, E_PREDICTIONS (65) when it is not such a table.
    """
    if not path.is_file():
        raise missing(str(path), "predictions must be there", got="no file", hint="Run `equipoise evaluate` first")
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise bad_data(
            str(path),
            "must be a table of predictions in Parquet",
            got=str(error).partition("\n")[0],
            hint="Run `equipoise evaluate` again",
            code="PREDICTIONS",
        ) from error
    check_rows(frame, str(path))
    return frame


def check_rows(frame: pl.DataFrame, place: str) -> None:
    """One row per sample: ids are there and none stands twice."""
    if "id" not in frame.columns or not judged(frame):
        raise bad_data(
            place,
            "needs the column id and judged metrics",
            got=", ".join(frame.columns[:6]) or "no columns",
            hint="Run `equipoise evaluate` again",
            code="PREDICTIONS",
        )
    twice = frame["id"].filter(frame["id"].is_duplicated())
    if len(twice):
        raise bad_data(
            place,
            "every sample stands once",
            got=twice[0],
            hint="Give each sample of the data an id of its own",
            code="PREDICTIONS",
        )
