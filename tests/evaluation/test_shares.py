"""Shares over a table of hits: by hand, with intervals that clusters widen, and differences on the same samples."""

from __future__ import annotations

import polars as pl
import pytest

from components.config_parts import EvaluationConfig
from components.evaluation.shares import differences, intervals

SETTINGS = EvaluationConfig(resamples=300, confidence=0.95, seed=1, calibration_bins=5, minimum_slice=5)
HEADS = ("a/x", "a/y")


def table(hits, of=None, clusters=None):
    n = len(hits)
    return pl.DataFrame(
        {
            "id": [str(i) for i in range(n)],
            "conversation": clusters or [str(i) for i in range(n)],
            "a/x/hit": [float(hit) for hit in hits],
            "a/x/of": [float(each) for each in of or [1] * n],
            "a/y/hit": [0.0] * n,
            "a/y/of": [0.0] * n,
        }
    )


def test_a_share_is_hits_over_what_counts_and_an_undefined_one_is_left_out():
    frame = table([1, 0, 2, 0], of=[1, 1, 4, 0])
    found = intervals(frame, HEADS, SETTINGS, "test")
    assert set(found) == {"test/a/x"} and found["test/a/x"].value == 0.5
    assert 0 <= found["test/a/x"].low < 0.5 < found["test/a/x"].high <= 1


def test_what_stands_or_falls_together_widens_the_interval():
    hits = [1] * 20 + [0] * 20
    alone = intervals(table(hits), HEADS, SETTINGS, "test")["test/a/x"]
    together = intervals(table(hits, clusters=[str(i // 10) for i in range(40)]), HEADS, SETTINGS, "test")["test/a/x"]
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_a_difference_is_of_the_same_samples():
    left, right = table([1, 1, 0, 1, 0, 1, 0, 1]), table([0, 1, 0, 1, 0, 1, 0, 0])
    found = differences(left, right, HEADS, SETTINGS, "validation")
    assert set(found) == {"validation/a/x"} and found["validation/a/x"].value == pytest.approx(0.25)
    itself = differences(left, left, HEADS, SETTINGS, "validation")["validation/a/x"]
    assert (itself.low, itself.value, itself.high) == (0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="same samples"):
        differences(left, right.reverse(), HEADS, SETTINGS, "validation")


def test_of_nothing_there_is_nothing_to_say():
    empty = table([1]).clear()
    assert intervals(empty, HEADS, SETTINGS, "t") == {}
    assert differences(empty, empty, HEADS, SETTINGS, "t") == {}
