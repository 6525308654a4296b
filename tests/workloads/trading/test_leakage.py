"""The leakage alarm: a feature that knows the future raises it, an edge and luck do not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from components.config_trading import TradingConfig
from components.workloads.trading import baseline as b
from components.workloads.trading.evaluate import leakage_of
from components.workloads.trading.leakage import BELIEVED, closest_features
from components.workloads.trading.metrics import score
from components.workloads.trading.records import Prediction, Sample
from components.workloads.trading.windows import windows_of

from .prepared_market import held_out, market, replace_array

PLANTED = 0  # the feature that is overwritten


@pytest.fixture(scope="module")
def null(tmp_path_factory: pytest.TempPathFactory) -> tuple[TradingConfig, Path]:
    return market(tmp_path_factory.mktemp("null"), seed=2, edge=0.0)


class FromArrays:
    """Softmax regression that reads the prepared features, planted ones included, instead of raw bars."""

    def __init__(self, model: b.Softmax, prepared: Path) -> None:
        self.model, self.features = model, np.load(prepared / "features.npy")
        self.days = np.load(prepared / "test" / "day.npy")

    def predict(self, samples: list[Sample]) -> list[Prediction]:
        chances = self.model.regression.probabilities(self.features[self.days], len(self.model.names))
        return [
            Prediction(int(row.argmax()), self.model.names[row.argmax()], float(row.max()), tuple(row), 1, 1.0)
            for row in chances
        ]


def knowing(original: Path, folder: Path, days: int, noise: float) -> Path:
    """The prepared data with stocks' return over the next `days` days, under so much noise, as a feature."""
    shutil.copytree(original, folder)
    features, close = np.load(folder / "features.npy").copy(), np.load(folder / "close.npy")
    ahead = np.zeros(len(close))
    ahead[:-days] = close[days:, 0] / close[:-days, 0] - 1.0
    chance = np.random.default_rng(1).normal(0, noise * ahead.std(), len(ahead))
    features[:, PLANTED] = (ahead + chance) / ahead.std()
    replace_array(folder, "features.npy", features)
    return folder


def judged(section: TradingConfig, prepared: Path):
    labelled = held_out(prepared)
    softmax = FromArrays(b.fit_softmax(section, prepared), prepared)
    frames = {
        "softmax": score(labelled, softmax.predict(labelled)),
        "majority": score(labelled, b.fit_majority(prepared).predict(labelled)),
    }
    return leakage_of(section, prepared, frames)


@pytest.mark.parametrize(("days", "noise"), [(5, 0.0), (5, 0.5), (1, 0.0), (2, 0.0)])
def test_a_feature_that_knows_the_future_raises_the_alarm(
    days: int, noise: float, null: tuple[TradingConfig, Path], tmp_path: Path
) -> None:
    section, original = null
    found = judged(section, knowing(original, tmp_path / "leaking", days, noise))
    assert found.alarm
    assert found.features[0]["feature"] == "SPY return 1" and found.features[0]["days"] == days
    assert "Leakage alarm: " in found.sentence and "feature SPY return 1" in found.sentence
    if days == 5 and not noise:
        assert "softmax is right on" in found.sentence


def test_neither_an_edge_nor_luck_raises_the_alarm(null: tuple[TradingConfig, Path], tmp_path: Path) -> None:
    for seed in range(2):
        found = judged(*market(tmp_path / str(seed), seed=seed, edge=0.15))
        excess = found.models["softmax"]["excess"]
        assert not found.alarm and found.sentence == "" and excess is not None and excess > 0.05
    assert not judged(*null).alarm


def test_links_are_found_where_they_are_and_judged_by_what_stands_apart() -> None:
    rng = np.random.default_rng(3)
    ahead = rng.normal(size=(400, 5)).cumsum(axis=1)
    features = np.column_stack([rng.normal(size=400), -np.exp(ahead[:, 2]), np.ones(400)])
    found = closest_features(features, ["noise", "third", "still"], ahead, 0.95)
    assert [each["feature"] for each in found] == ["third", "noise"]
    assert found[0]["days"] == 3 and found[0]["rank_correlation"] == pytest.approx(-1.0)
    assert found[0]["low"] > 0.99 and found[1]["low"] < 0.1
    few = closest_features(features[:12], ["noise", "third", "still"], ahead[:12], 0.95)
    assert all(each["low"] < 1 for each in few)


def test_luck_of_many_features_stays_below_what_is_believed() -> None:
    rng = np.random.default_rng(4)
    found = closest_features(rng.normal(size=(60, 200)), [str(i) for i in range(200)], rng.normal(size=(60, 5)), 0.95)
    assert max(abs(each["rank_correlation"]) for each in found) > 0.35
    assert max(each["low"] for each in found) < BELIEVED / 2


def test_windows_of_raw_bars_do_not_see_a_planted_array(null: tuple[TradingConfig, Path], tmp_path: Path) -> None:
    """What is served computes features from bars: a leak in the prepared arrays cannot reach it."""
    section, original = null
    leaking = knowing(original, tmp_path / "leaking", 5, 0.0)
    labelled = held_out(leaking)[:20]
    reading = b.fit_softmax(section, leaking).reading
    clean = np.load(original / "features.npy")[np.load(original / "test" / "day.npy")[:20]]
    np.testing.assert_allclose(windows_of(labelled, reading, 1)[:, 0], clean, atol=1e-4)
