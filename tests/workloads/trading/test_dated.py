"""Going back in time: whatever comes from a day on changes nothing of what is prepared for training as of that day."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from components.data.arrays import open_array
from components.workloads.trading.data import prepare, samples
from components.workloads.trading.dated import DATED
from tests.workloads.trading.prepared_market import trading

DAYS = 2600


@pytest.fixture(scope="module")
def bars(tmp_path_factory):
    """Bars of a generated market, and the same with another future from a day on; that day."""
    from components.workloads.trading.data import generate

    folder = tmp_path_factory.mktemp("bars")
    section = trading(folder / "raw", seed=5, embedded_days=DAYS)
    generate(section, folder / "raw")
    days = pl.read_csv(folder / "raw" / "SPY.csv", try_parse_dates=True).to_series(0)
    day = days[int(0.7 * len(days))]
    (folder / "other").mkdir()
    for path in sorted((folder / "raw").glob("*.csv")):
        table = pl.read_csv(path, try_parse_dates=True)
        later = pl.col(table.columns[0]) >= day
        changed = [pl.when(later).then(pl.col(c) * 1.05).otherwise(pl.col(c)).alias(c) for c in table.columns[1:]]
        table.with_columns(changed).write_csv(folder / "other" / path.name)
    return folder, np.datetime64(day)


def prepared(bars, name):
    folder, day = bars
    section = DATED.as_of(trading(folder / name, seed=5, embedded_days=DAYS, label_from=None), day)
    place = folder / f"prepared-{name}"
    if not place.exists():
        prepare(section, place)
    return section, place


def test_nothing_of_the_future_is_prepared_for_training(bars):
    (section, one), (_, other) = (prepared(bars, name) for name in ("raw", "other"))
    first = int(np.searchsorted(open_array(one / "dates.npy").astype("datetime64[D]"), bars[1]))
    for split in ("train", "validation"):
        days = open_array(one / split / "day.npy")
        assert days.max() + section.data.horizon < first
        for name in ("day", "label", "pnl", "regime"):
            np.testing.assert_array_equal(*(open_array(p / split / f"{name}.npy") for p in (one, other)))
        features = [open_array(p / "features.npy", 2)[: days.max() + 1] for p in (one, other)]
        np.testing.assert_array_equal(*features)
    assert (one / "scaler.json").read_bytes() == (other / "scaler.json").read_bytes()
    assert not np.array_equal(open_array(one / "close.npy", 2), open_array(other / "close.npy", 2))


def test_all_that_follows_is_the_test_split(bars):
    section, one = prepared(bars, "raw")
    dates = [sample.date for sample in samples(one, "test")]
    every = open_array(one / "dates.npy").astype("datetime64[D]")
    assert dates == list(every[every >= bars[1]][: -section.data.horizon])
    assert DATED.overlap(section) == section.data.horizon
