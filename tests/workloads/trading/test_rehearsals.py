"""The recipe on earlier pasts: a model for each block of the walk-forward, judged on that block."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.config_trading import TradingConfig
from components.training.rehearsals import train_rehearsals
from components.workload import workload
from components.workloads.trading import baseline as b
from components.workloads.trading.rehearsals import rehearsals
from components.workloads.trading.walk import walk
from components.workloads.trading.workload import load

from .prepared_market import held_out, market


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> tuple[TradingConfig, Path, Path]:
    """Section, prepared data and a checkpoint folder with the models of the rehearsals, one quick epoch each."""
    folder = tmp_path_factory.mktemp("rehearsed")
    section, prepared = market(folder, seed=3, edge=0.15, days=2200)
    model = section.model.model_copy(update={"latent_updates": 1, "supervision_steps": 1})
    training = section.training.model_copy(update={"epochs": 1})
    section = section.model_copy(update={"model": model, "training": training})
    assert train_rehearsals(workload("trading"), section, prepared, folder / "model", device="cpu") == [
        "1",
        "2",
        "3",
        "4",
    ]
    return section, prepared, folder / "model"


def test_every_block_is_judged_by_a_model_that_knew_only_its_past(rehearsed: tuple[TradingConfig, Path, Path]) -> None:
    section, prepared, folder = rehearsed
    found = walk(section, prepared, folder, load)
    rules = {rule: [row for row in found.rows if row["rule"] == rule] for rule in ("model", "softmax")}
    assert [row["fold"] for row in rules["model"]] == [1, 2, 3, 4]
    for own, other in zip(rules["model"], rules["softmax"], strict=True):
        assert (own["first"], own["last"], own["n"]) == (other["first"], other["last"], other["n"])
        assert own["trained"] < other["trained"]  # some of the past chose its best epoch
    assert found.evidence is not None
    assert found.evidence.days == sum(row["n"] for row in rules["model"])
    assert found.evidence.sentence


def test_a_row_says_what_the_model_of_the_block_decided(rehearsed: tuple[TradingConfig, Path, Path]) -> None:
    section, prepared, folder = rehearsed
    _, past = rehearsals(section, prepared)["2"]
    samples = held_out(past)
    said = load(folder / "rehearsals" / "2").predict(samples)
    right = [p.strategy == s.labels.best for p, s in zip(said, samples, strict=True) if s.labels]
    earned = [s.labels.returns[p.strategy] for p, s in zip(said, samples, strict=True) if s.labels]
    (row,) = (r for r in walk(section, prepared, folder, load).rows if (r["rule"], r["fold"]) == ("model", 2))
    assert row["accuracy"] == pytest.approx(sum(right) / len(right))
    assert row["net"] == pytest.approx(sum(earned) / len(earned) / 5 * 1e4)
    assert (row["first"], row["last"]) == (samples[0].id, samples[-1].id)


def test_a_finished_rehearsal_is_left_alone_and_one_not_asked_for_goes(
    rehearsed: tuple[TradingConfig, Path, Path],
) -> None:
    section, prepared, folder = rehearsed
    weights = folder / "rehearsals" / "1" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    (folder / "rehearsals" / "9").mkdir()
    train_rehearsals(workload("trading"), section, prepared, folder, device="cpu")
    assert weights.stat().st_mtime_ns == before
    assert sorted(path.name for path in (folder / "rehearsals").iterdir()) == ["1", "2", "3", "4"]


def test_without_walk_forward_there_are_rules_only(rehearsed: tuple[TradingConfig, Path, Path], tmp_path: Path) -> None:
    section, prepared, _ = rehearsed
    section = section.model_copy(update={"training": section.training.model_copy(update={"walk_forward": False})})
    (tmp_path / "model" / "rehearsals" / "1").mkdir(parents=True)
    assert train_rehearsals(workload("trading"), section, prepared, tmp_path / "model", device="cpu") == []
    assert not any((tmp_path / "model" / "rehearsals").iterdir())
    found = walk(section, prepared, tmp_path / "model", b.load)
    assert found.evidence is None and all(row["rule"] != "model" for row in found.rows)
