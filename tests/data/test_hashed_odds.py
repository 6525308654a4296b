"""The linear model of hashed signs: worked out by hand, kept in either precision, refused when damaged."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from components.data.hashed_odds import NEVER, HashedOdds, fit_odds, load_odds
from components.errors import EquipoiseError

SAMPLES = [["sun", "sea"], ["sun"], ["rain"], ["rain", "sea"], ["snow"], ["snow", "sea"]]
LABELS = [0, 0, 2, 2, 3, 3]


def test_one_bucket_worked_by_hand() -> None:
    odds = HashedOdds(np.array([[1.0, -1.0]], np.float32), np.array([0.0, 0.5], np.float32))
    told, silent = odds.shares([["a", "b", "a"], []])  # both fall into the bucket, which counts once
    assert told[0] == pytest.approx(1 / (1 + math.exp(-1 + 0.5 - 1)))
    assert silent[0] == pytest.approx(1 / (1 + math.exp(0.5)))
    assert odds.size == 4
    assert odds.shares([]).shape == (0, 2)


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_it_learns_and_is_the_same_when_kept(kind: type, tmp_path: Path) -> None:
    odds = fit_odds(SAMPLES, LABELS, 4, 1024, 10.0, kind)
    shares = odds.shares(SAMPLES)
    assert shares.argmax(axis=1).tolist() == LABELS
    assert shares[:, 1].max() < 1e-6 and odds.bias[1] == NEVER  # no sample has that class
    assert odds.weights.dtype == kind and odds.weights.shape == (1024, 4)
    odds.save(tmp_path / "odds.safetensors")
    again = load_odds(tmp_path / "odds.safetensors", 4)
    assert again.weights.dtype == kind and np.array_equal(again.shares(SAMPLES), shares)
    other = fit_odds(map(reversed, SAMPLES), LABELS, 4, 1024, 10.0, kind)
    assert np.array_equal(other.weights, odds.weights)  # the order of signs says nothing
    with pytest.raises(EquipoiseError, match="E_MODEL"):
        load_odds(tmp_path / "odds.safetensors", 5)


@pytest.mark.parametrize(
    ("labels", "expected"), [([1] * 6, [1] * 6), ([1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0]), ([], [])]
)
def test_few_classes_are_enough(labels: list[int], expected: list[int]) -> None:
    samples = SAMPLES[: len(labels)]
    odds = fit_odds(samples, labels, 3, 1024, 10.0)
    assert odds.shares(samples).argmax(axis=1).tolist() == expected
    assert odds.shares([["sun"]]).sum() == pytest.approx(1.0)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EquipoiseError) as told:
        load_odds(tmp_path / "odds.safetensors", 2)
    assert (told.value.code, told.value.exit_code) == ("E_MODEL", 65)
