"""The verdict over whole generated markets, twenty each: prepared data, softmax regression or the recursive model as it
ships, accounts, evidence, leakage.

A planted edge (daily information ratio .15) must be called one in at least 16 worlds, and where there is none, because
the market has none or because the labels that were learned from were shuffled, at most one world may be called one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from components.training.loop import train
from components.workload import workload
from components.workloads.trading import baseline as b
from components.workloads.trading import evaluate as e

from .prepared_market import held_out, market, replace_array

pytestmark = [pytest.mark.worlds, pytest.mark.timeout(7200)]
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
    accounts = e.run_accounts(section, prepared, {"model": pl.DataFrame({"strategy_prediction": choices})})
    return e.evidence_of(section, accounts, names).verdict


def verdict_of_the_model(folder: Path, seed: int, edge: float, shuffled: bool) -> str:
    """What evaluation says of the recursive model; shuffled: whole outcomes go to other days before the hold-out."""
    section, prepared = market(folder, seed, edge)
    if shuffled:
        chance = np.random.default_rng([seed, 5])
        for split in ("train", "validation"):
            order = chance.permutation(len(np.load(prepared / split / "day.npy")))
            for name in ("label", "pnl", "returns"):
                replace_array(prepared, f"{split}/{name}.npy", np.load(prepared / split / f"{name}.npy")[order])
    train(workload("trading"), section, prepared, folder / "model", device="cpu")
    rules = e.models(section, prepared, workload("trading").load(folder / "model"))
    frames = e.score_all(rules, held_out(prepared))
    evidence = e.evidence_of(section, e.run_accounts(section, prepared, frames), tuple(section.data.strategies))
    return e.verdict(evidence, e.leakage_of(section, prepared, frames))["verdict"]


CASES = pytest.mark.parametrize(
    ("edge", "shuffled", "fewest", "most"),
    [(0.15, False, 16, WORLDS), (0.0, False, 0, 1), (0.15, True, 0, 1)],
    ids=["planted", "null walk", "shuffled labels"],
)


@CASES
def test_an_edge_is_called_where_there_is_one(
    edge: float, shuffled: bool, fewest: int, most: int, tmp_path: Path
) -> None:
    found = [verdict(tmp_path / str(seed), seed, edge, shuffled) for seed in range(WORLDS)]
    assert fewest <= found.count("edge") <= most, found


@CASES
def test_an_edge_of_the_model_is_called_where_there_is_one(
    edge: float, shuffled: bool, fewest: int, most: int, tmp_path: Path
) -> None:
    found = [verdict_of_the_model(tmp_path / str(seed), seed, edge, shuffled) for seed in range(WORLDS)]
    assert fewest <= found.count("edge") <= most, found
