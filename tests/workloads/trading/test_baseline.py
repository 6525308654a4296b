"""The cheap rules: what they choose, which of them becomes the first champion, and the folder it is served from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from components.config_trading import TradingConfig
from components.errors import EquipoiseError
from components.files import sha256_tree
from components.workloads.trading import baseline as b
from components.workloads.trading.records import Panel, Sample
from components.workloads.trading.windows import read_reading, read_strategies

from .prepared_market import first_champion, held_out, market, replace_array


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[TradingConfig, Path]:
    return market(tmp_path_factory.mktemp("planted"), seed=1, edge=0.15)


@pytest.fixture(scope="module")
def null(tmp_path_factory: pytest.TempPathFactory) -> tuple[TradingConfig, Path]:
    return market(tmp_path_factory.mktemp("null"), seed=1, edge=0.0)


def test_softmax_regression_separates_what_can_be_separated() -> None:
    features = np.array([[-2.0, 5.0], [-1.0, 5.0], [1.0, 5.0], [2.0, 5.0]] * 20, np.float32)
    labels = np.array([4, 4, 1, 1] * 20)
    found = b.regress(features, labels, 1.0)
    chances = found.probabilities(features, 6)
    np.testing.assert_array_equal(chances.argmax(axis=1), labels)
    np.testing.assert_allclose(chances.sum(axis=1), 1.0)
    assert not chances[:, [0, 2, 3, 5]].any()


def test_softmax_regression_does_not_depend_on_the_scale_of_features() -> None:
    rng = np.random.default_rng(1)
    features, labels = rng.normal(size=(300, 4)), rng.integers(0, 3, 300)
    plain = b.regress(features, labels, 0.1).probabilities(features, 3)
    moved = b.regress(features * 50 - 7, labels, 0.1).probabilities(features * 50 - 7, 3)
    np.testing.assert_allclose(plain, moved, atol=1e-3)


def test_one_class_gives_a_constant_answer() -> None:
    found = b.regress(np.ones((5, 2)), np.full(5, 3), 1.0)
    np.testing.assert_array_equal(found.probabilities(np.zeros((2, 2)), 5), np.tile(np.eye(5)[3], (2, 1)))


def test_momentum_takes_what_rose() -> None:
    close = np.array([[1.0, 1.0], [2.0, 1.0], [2.0, 3.0], [2.0, 3.0]])
    weights = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert b.momentum(close, np.array([1, 2, 3]), weights, 1).tolist() == [0, 1, 0]  # a tie: the first
    assert b.momentum(close, np.array([0, 3]), weights, 60).tolist() == [0, 1]  # shorter at the beginning


def test_momentum_of_samples_is_that_of_the_panel(planted: tuple[TradingConfig, Path]) -> None:
    section, prepared = planted
    rule, labelled = b.fit_momentum(section, prepared), held_out(prepared)[:50]
    close = np.load(prepared / "close.npy")
    days = np.load(prepared / "test" / "day.npy")[:50]
    expected = b.momentum(close, days, rule.weights, section.evaluation.momentum_days)
    assert [said.strategy for said in rule.predict(labelled)] == expected.tolist()


def test_static_and_majority_are_counted_on_the_training_split(planted: tuple[TradingConfig, Path]) -> None:
    _, prepared = planted
    labels, returns = (np.load(prepared / "train" / f"{name}.npy") for name in ("label", "returns"))
    static, majority = b.fit_static(prepared), b.fit_majority(prepared)
    assert static.strategy == returns.mean(axis=0).argmax()
    assert majority.strategy == np.bincount(labels, minlength=8).argmax()
    said = majority.predict(held_out(prepared)[:1])[0]
    assert said.name == read_strategies(prepared)[majority.strategy]
    assert said.confidence == pytest.approx((labels == majority.strategy).mean())
    assert said.halt_confidence == 1.0 and said.steps == 1 and sum(said.probabilities) == pytest.approx(1.0)


def test_softmax_reads_raw_samples_as_it_read_prepared_ones(planted: tuple[TradingConfig, Path]) -> None:
    section, prepared = planted
    model = b.fit_softmax(section, prepared)
    features = np.load(prepared / "features.npy")[np.load(prepared / "test" / "day.npy")[:40]]
    chances = model.regression.probabilities(features, 8)
    said = model.predict(held_out(prepared)[:40])
    np.testing.assert_allclose([p.probabilities for p in said], chances, atol=1e-5)
    assert [p.strategy for p in said] == chances.argmax(axis=1).tolist()
    assert model.predict([]) == []


def test_the_future_does_not_change_an_answer(planted: tuple[TradingConfig, Path]) -> None:
    """Training arrays after the training split may be anything."""
    section, prepared = planted
    known = b.read_training(prepared)
    assert known.train < len(known.days) and (np.diff(known.days) > 0).all()
    model = b.fit_softmax(section, prepared)
    again = b.regress(known.features[: known.train], known.labels[: known.train], section.evaluation.baseline.strength)
    np.testing.assert_array_equal(model.regression.weights, again.weights)


def test_the_first_champion_is_what_the_walk_forward_showed(
    planted: tuple[TradingConfig, Path], null: tuple[TradingConfig, Path], tmp_path: Path
) -> None:
    for name, (section, prepared), form in (("planted", planted, "softmax"), ("null", null, "static")):
        b.write(first_champion(section, prepared), prepared, tmp_path / name)
        assert json.loads((tmp_path / name / "model.json").read_text())["form"] == form
        model = b.load(tmp_path / name)
        assert isinstance(model, b.Softmax if form == "softmax" else b.Always)


@pytest.mark.parametrize("form", ["softmax", "static"])
def test_a_folder_answers_as_what_was_written(form: str, planted: tuple[TradingConfig, Path], tmp_path: Path) -> None:
    section, prepared = planted
    model = b.fit_softmax(section, prepared) if form == "softmax" else b.fit_static(prepared)
    for name in ("one", "two"):
        b.write(model, prepared, tmp_path / name)
    assert sha256_tree(tmp_path / "one") == sha256_tree(tmp_path / "two")
    labelled = held_out(prepared)[:10]
    assert b.load(tmp_path / "one").predict(labelled) == model.predict(labelled)


@pytest.mark.parametrize("damage", ["changed", "gone", "kind", "strategy", "nan"])
def test_a_damaged_folder_is_refused(damage: str, planted: tuple[TradingConfig, Path], tmp_path: Path) -> None:
    _, prepared = planted
    model = b.fit_static(prepared)
    if damage == "nan":
        model = b.Always(model.strategy, model.names, np.full(8, np.nan))
    folder = tmp_path / "model"
    b.write(model, prepared, folder)
    card = json.loads((folder / "model.json").read_text())
    if damage == "changed":
        (folder / "strategies.json").write_text("{}")
    elif damage == "gone":
        (folder / "weights.safetensors").unlink()
    elif damage == "kind":
        (folder / "model.json").write_text(json.dumps(card | {"form": "forest"}))
    elif damage == "strategy":
        (folder / "model.json").write_text(json.dumps(card | {"strategy": 8}))
    with pytest.raises(EquipoiseError) as caught:
        b.load(folder)
    assert caught.value.code == ("E_MISSING" if damage == "gone" else "E_MODEL")


def test_a_sample_without_what_was_trained_on_is_refused(planted: tuple[TradingConfig, Path]) -> None:
    section, prepared = planted
    whole = held_out(prepared)[0]
    short = Panel(
        whole.panel.dates[-5:],
        whole.panel.symbols,
        whole.panel.close[-5:],
        None,
        {name: values[-5:] for name, values in whole.panel.exogenous.items()},
    )
    with pytest.raises(EquipoiseError, match="E_DATA"):
        b.fit_softmax(section, prepared).predict([Sample(whole.id, whole.date, whole.block, short)])


def test_a_constant_feature_is_ignored(planted: tuple[TradingConfig, Path], tmp_path: Path) -> None:
    import shutil

    section, original = planted
    prepared = tmp_path / "prepared"
    shutil.copytree(original, prepared)
    features = np.load(prepared / "features.npy").copy()
    features[:, 0] = 3.0
    replace_array(prepared, "features.npy", features)
    weights = b.fit_softmax(section, prepared).regression.weights
    assert np.abs(weights[0]).max() < 1e-6 < np.abs(weights[1:]).max()
    assert len(weights) == len(read_reading(prepared).means)
