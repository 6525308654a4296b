"""The verdict over whole generated markets, twenty each: prepared data, softmax regression, accounts, evidence.

A planted edge (daily information ratio .15) must be called one in at least 16 worlds, and where there is none, because
the market has none or because the labels that were learned from were shuffled, at most one world may be called one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from components.workloads.trading import baseline as b
from components.workloads.trading.evaluate import evidence_of, run_accounts

from .prepared_market import market

pytestmark = pytest.mark.worlds
WORLDS = 20


def verdict(folder: Path, seed: int, edge: float, shuffled: bool = False) -> str:
    section, prepared = market(folder, seed, edge)
    known = b.read_training(prepared)
    labels = known.labels[: known.train]
    if shuffled:
        labels = np.random.default_rng(seed).permutation(labels)
    strength = section.evaluation.baseline.strength
    regression = b.regress(known.features[: known.train], labels, strength)
    features = np.load(prepared / "features.npy")[np.load(prepared / "test" / "day.npy")]
    names = tuple(section.data.strategies)
    choices = regression.probabilities(features, len(names)).argmax(axis=1)
    accounts = run_accounts(section, prepared, {"model": pl.DataFrame({"strategy_prediction": choices})})
    return evidence_of(section, accounts, names).verdict


@pytest.mark.parametrize(
    ("edge", "shuffled", "fewest", "most"),
    [(0.15, False, 16, WORLDS), (0.0, False, 0, 1), (0.15, True, 0, 1)],
    ids=["planted", "null walk", "shuffled labels"],
)
def test_an_edge_is_called_where_there_is_one(
    edge: float, shuffled: bool, fewest: int, most: int, tmp_path: Path
) -> None:
    found = [verdict(tmp_path / str(seed), seed, edge, shuffled) for seed in range(WORLDS)]
    assert fewest <= found.count("edge") <= most, found
