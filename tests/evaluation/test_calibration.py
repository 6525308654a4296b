"""Calibration against hand-worked bins and torchmetrics."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import binary_calibration_error

from components.evaluation import calibration
from components.evaluation import metrics as measures
from components.evaluation.statistics import calibration_error


def error(probability, label, bins):
    parts = calibration.bin_parts(np.array(probability), np.array(label), bins)
    return measures.value_of(parts, calibration_error)


def test_hand_worked_table():
    table = calibration.reliability(np.array([0.1, 0.3, 0.9, 1.0]), np.array([0, 1, 1, 1]), 2)
    assert table.to_dicts() == [
        {"low": 0.0, "high": 0.5, "count": 2, "probability": pytest.approx(0.2), "positives": 0.5},
        {"low": 0.5, "high": 1.0, "count": 2, "probability": pytest.approx(0.95), "positives": 1.0},
    ]
    # (2/4) * |.5 - .2| + (2/4) * |1 - .95|
    assert error([0.1, 0.3, 0.9, 1.0], [0, 1, 1, 1], 2) == pytest.approx(0.175)


def test_empty_bins_are_null_and_count_nothing():
    table = calibration.reliability(np.array([0.05]), np.array([1]), 4)
    assert table["count"].to_list() == [1, 0, 0, 0]
    assert table["positives"].to_list() == [1.0, None, None, None]
    assert error([0.05], [1], 4) == pytest.approx(0.95)


@pytest.mark.parametrize(("probability", "label", "expected"), [([1.0] * 5, [1] * 5, 0), ([0.0] * 5, [1] * 5, 1)])
def test_extremes(probability, label, expected):
    assert error(probability, label, 15) == pytest.approx(expected)


def test_no_samples_have_no_error():
    assert np.isnan(error([], [], 3))


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.tuples(st.floats(0.001, 0.999), st.integers(0, 1)), min_size=1, max_size=50),
    bins=st.integers(1, 20),
)
def test_equals_torchmetrics(rows, bins):
    probability, label = (np.array(column) for column in zip(*rows, strict=True))
    edge = np.abs(probability * bins - np.round(probability * bins)) < 1e-6
    probability = np.where(edge, probability + 1e-4, probability)  # float32 may put a value on an edge elsewhere
    oracle = binary_calibration_error(torch.tensor(probability), torch.tensor(label), n_bins=bins, norm="l1")
    assert error(probability, label, bins) == pytest.approx(float(oracle), abs=1e-6)


def test_the_picture_is_the_same_twice(tmp_path):
    random = np.random.default_rng(1)
    probability = random.random(300)
    table = calibration.reliability(probability, random.random(300) < probability, 10)
    assert isinstance(table, pl.DataFrame)
    for name in ("a.png", "b.png"):
        calibration.draw_reliability(tmp_path / name, {"model": table}, "title")
    first = (tmp_path / "a.png").read_bytes()
    assert first.startswith(b"\x89PNG")
    assert first == (tmp_path / "b.png").read_bytes()
