"""Slices: who is in which group, and what happens to groups that are too small to judge."""

from __future__ import annotations

import polars as pl
import pytest

from components.errors import EquipoiseError
from components.evaluation.predictions import check_rows, judged, read_predictions, write_predictions
from components.evaluation.slices import OTHER, length_bucket, slice_rows


def test_buckets_by_length():
    frame = pl.DataFrame({"n": [0, 1, 2, 3, 6, 7, 12, 13, 900]})
    names = frame.select(length_bucket("n", (0, 2, 6, 12)).alias("bucket"))["bucket"].to_list()
    assert names == ["0", "1-2", "1-2", "3-6", "3-6", "7-12", "7-12", "13+", "13+"]


def test_without_edges_there_is_one_bucket():
    assert pl.DataFrame({"n": [0, 5]}).select(length_bucket("n", ()).alias("b"))["b"].to_list() == ["0+", "0+"]


FRAME = pl.DataFrame(
    {
        "service": ["b"] * 5 + ["a"] * 4 + ["tiny"] * 2 + ["small"] * 1 + [None] * 3,
        "hit": [1.0, 1, 1, 1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 0, 0],
    }
)


def mean(frame: pl.DataFrame) -> dict[str, float]:
    return {"mean": float(frame["hit"].sum()) / frame.height}


@pytest.mark.parametrize(
    ("minimum", "expected"),
    [
        (1, [("a", 4, 0.5), ("b", 5, 0.8), ("small", 1, 1.0), ("tiny", 2, 1.0)]),
        (2, [("a", 4, 0.5), ("b", 5, 0.8), ("small", 1, None), ("tiny", 2, 1.0)]),
        (3, [(OTHER, 3, 1.0), ("a", 4, 0.5), ("b", 5, 0.8)]),
        (4, [(OTHER, 3, None), ("a", 4, 0.5), ("b", 5, 0.8)]),
        (99, [(OTHER, 12, None)]),
    ],
)
def test_small_groups_are_joined_and_never_hidden(minimum, expected):
    rows = slice_rows(FRAME, {"service": pl.col("service")}, minimum, mean)
    assert [(r["value"], r["n"], r["metrics"].get("mean")) for r in rows] == expected
    assert all(r["judged"] == (r["n"] >= minimum) for r in rows)
    assert sum(r["n"] for r in rows) == 12  # rows without a service belong to no slice


def table(ids):
    return pl.DataFrame(
        {"id": ids, "decision/accuracy/hit": [1.0] * len(ids), "decision/accuracy/of": [1.0] * len(ids)}
    )


def test_predictions_come_back_and_have_the_same_bytes(tmp_path):
    frame = table(["a", "b"]).with_columns(pl.Series("stray/hit", [0.0, 0.0]))
    for name in ("one.parquet", "two.parquet"):
        write_predictions(tmp_path / name, frame)
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    assert read_predictions(tmp_path / "one.parquet").equals(frame)
    assert judged(frame) == ["decision/accuracy"]


def test_tables_that_are_none_are_refused(tmp_path):
    with pytest.raises(EquipoiseError, match="E_MISSING"):
        read_predictions(tmp_path / "nothing.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(EquipoiseError, match="E_PREDICTIONS"):
        read_predictions(tmp_path / "bad.parquet")
    with pytest.raises(EquipoiseError, match="stands once, got b"):
        check_rows(table(["a", "b", "b"]), "here")
    with pytest.raises(EquipoiseError, match="needs the column id"):
        check_rows(table(["a"]).drop("id"), "here")
