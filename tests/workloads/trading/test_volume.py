"""Traded volume as a feature, from the files to an answer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from components.config_trading import TradingConfig
from components.errors import EquipoiseError
from components.training.loop import train
from components.workload import workload
from components.workloads.trading.batches import open_split
from components.workloads.trading.data import generate, prepare
from components.workloads.trading.features import VOLUME_DAYS
from components.workloads.trading.windows import read_reading, windows_of

from .prepared_market import held_out, trading

SYMBOLS = ("SPY", "TLT", "BIL")


def add_volume(folder: Path) -> None:
    """A Volume column beside the closes of each symbol."""
    for seed, symbol in enumerate(SYMBOLS):
        head, *days = (folder / f"{symbol}.csv").read_text().splitlines()
        volume = np.random.default_rng(seed).integers(1_000, 9_000_000, len(days))
        lines = [f"{head},Volume", *(f"{day},{shares}" for day, shares in zip(days, volume, strict=True))]
        (folder / f"{symbol}.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> tuple[TradingConfig, Path, Path]:
    """Section, prepared data and model folder, volume being a feature."""
    folder = tmp_path_factory.mktemp("traded")
    section = trading(folder / "raw", seed=4, embedded_days=1800, volume=True)
    generate(section, folder / "raw")
    add_volume(folder / "raw")
    prepare(section, folder / "prepared")
    model = section.model.model_copy(update={"latent_updates": 1, "supervision_steps": 1})
    section = section.model_copy(
        update={"model": model, "training": section.training.model_copy(update={"epochs": 1, "walk_forward": False})}
    )
    train(workload("trading"), section, folder / "prepared", folder / "model", device="cpu")
    return section, folder / "prepared", folder / "model"


def test_a_day_s_volume_is_read_beside_its_usual(traded: tuple[TradingConfig, Path, Path]) -> None:
    _, prepared, _ = traded
    reading, sample = read_reading(prepared), held_out(prepared)[10]
    assert reading.volume and [name for name in reading.features if name.endswith("volume")] == [
        f"{symbol} volume" for symbol in SYMBOLS
    ]
    assert sample.panel.volume is not None
    logs = np.log(sample.panel.volume[:, 1])
    expected = logs[-1] - logs[-VOLUME_DAYS:].mean()
    column = reading.features.index("TLT volume")
    scaled = open_split(prepared, "test").features[open_split(prepared, "test").day[10], column]
    assert scaled * reading.deviations[column] + reading.means[column] == pytest.approx(expected, abs=1e-5)


def test_the_one_path_of_raw_samples_reads_it_too(traded: tuple[TradingConfig, Path, Path]) -> None:
    section, prepared, _ = traded
    samples, data = held_out(prepared)[:8], open_split(prepared, "test")
    expected = [data.features[day - section.data.window + 1 : day + 1] for day in data.day[:8]]
    np.testing.assert_allclose(windows_of(samples, read_reading(prepared)), expected, atol=1e-5)


def test_evaluation_judges_every_rule(traded: tuple[TradingConfig, Path, Path], tmp_path: Path) -> None:
    section, prepared, model = traded
    found = workload("trading").evaluate(section, prepared, model, tmp_path / "out")
    assert found["n"] == len(held_out(prepared)) and found["verdict"] in ("edge", "no edge", "worse")
    assert (tmp_path / "out" / "baseline" / "model.json").is_file()


def test_a_request_needs_volume_and_is_answered_with_it(traded: tuple[TradingConfig, Path, Path]) -> None:
    _, prepared, model = traded
    record, sample = workload("trading"), held_out(prepared)[0]
    predictor = record.load(model)
    raw = json.loads(json.dumps(record.request(sample)))
    assert list(raw["volume"]) == list(SYMBOLS)
    (answer,) = predictor.predict([record.read_request(raw, "line 1")])
    assert record.render(answer) == record.render(predictor.predict([sample])[0])
    turned = {**raw, "volume": dict(reversed(raw["volume"].items())), "close": dict(reversed(raw["close"].items()))}
    (again,) = predictor.predict([record.read_request(turned, "line 1")])
    assert record.render(again) == record.render(answer)
    del raw["volume"]
    with pytest.raises(EquipoiseError, match="the traded volume is needed"):
        predictor.predict([record.read_request(raw, "line 1")])


def test_a_day_on_which_nothing_was_traded_is_refused(traded: tuple[TradingConfig, Path, Path]) -> None:
    _, prepared, model = traded
    record = workload("trading")
    raw = json.loads(json.dumps(record.request(held_out(prepared)[0])))
    raw["volume"]["TLT"][-3] = 0.0
    with pytest.raises(EquipoiseError) as caught:
        record.load(model).predict([record.read_request(raw, "line 1")])
    assert int(caught.value.exit_code) == 65 and "volume" in str(caught.value)
