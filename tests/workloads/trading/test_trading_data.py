"""Prepare, end to end: whole folders, the same bytes, nothing of the future in them, and the figures of real years."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.data.manifest import read_manifest, verify
from components.errors import EquipoiseError
from components.files import sha256_tree
from components.workloads.trading.bars import read_panel
from components.workloads.trading.data import REGIMES, generate, prepare, prepared_panel, samples
from components.workloads.trading.features import LOOKBACK, features_of
from components.workloads.trading.records import rows
from components.workloads.trading.strategies import best, horizon_returns, weight_matrix
from tests.workloads.trading.small_bars import section, walk, write_panel

ROOT = Path(__file__).parents[3]
REAL = Path("../shared/data/trading")


@pytest.fixture
def source(tmp_path):
    return write_panel(walk(600, exogenous=True), tmp_path / "bars")


def prepared(tmp_path: Path, source: Path, name: str = "out", **changes) -> Path:
    prepare(section(source=str(source), **{"exogenous": {"VIX": 0}, **changes}), tmp_path / name)
    return tmp_path / name


def arrays(folder: Path, split: str) -> dict[str, np.ndarray]:
    return {path.stem: np.load(path) for path in (folder / split).glob("*.npy")}


def test_the_same_bars_give_the_same_bytes(tmp_path, source):
    one, other = prepared(tmp_path, source, "one"), prepared(tmp_path, source, "other")
    assert sha256_tree(one) == sha256_tree(other)
    manifest = verify(one)
    assert manifest["workload"] == "trading"
    assert manifest["labels"]["strategy"] == ["stocks", "half", "bonds"]


def test_arrays_say_what_the_bars_say(tmp_path, source):
    folder = prepared(tmp_path, source, cost=20.0)
    panel = walk(600, exogenous=True)
    found = arrays(folder, "test")
    assert {name: values.dtype for name, values in found.items()} == {
        "day": np.int32, "fold": np.int32, "label": np.int64, "pnl": np.float32, "returns": np.float32,
        "regime": np.uint8,
    }  # fmt: skip
    for row in (0, 7, -1):
        day = found["day"][row]
        growth = panel.close[day + 5] / panel.close[day]
        drift = abs(0.5 * growth[0] / growth.mean() - 0.5) * 2
        expected = [growth[0] - 1, growth.mean() * (1 - 0.002 * drift) - 1, growth[1] - 1]
        assert found["returns"][row] == pytest.approx(expected, abs=1e-6)
        assert found["label"][row] == int(np.argmax(expected))
        assert found["pnl"][row] == pytest.approx(max(expected), abs=1e-6)
    assert panel.dates[found["day"][0]] == np.datetime64("2021-12-01")


def test_samples_are_the_rows_of_the_arrays(tmp_path, source):
    folder = prepared(tmp_path, source)
    found = list(samples(folder, "validation"))
    table = arrays(folder, "validation")
    features = np.load(folder / "features.npy")
    scaler = json.loads((folder / "scaler.json").read_text())
    assert [sample.labels.best for sample in found] == table["label"].tolist()
    assert len({sample.id for sample in found}) == len(found)
    for row in (0, 11, -1):
        sample, day = found[row], table["day"][row]
        assert len(sample.panel) == scaler["window"] + scaler["lookback"]
        assert sample.panel.dates[-1] == sample.date == np.datetime64(sample.id)
        assert sample.block == (sample.date.astype("datetime64[M]") - np.datetime64("1970-01")).astype(int)
        raw = features_of(sample.panel)[-scaler["window"] :]
        scaled = ((raw - np.array(scaler["means"])) / np.array(scaler["deviations"])).astype(np.float32)
        assert np.array_equal(scaled, features[day - scaler["window"] + 1 : day + 1])
        assert sample.labels.returns == pytest.approx(table["returns"][row].tolist())
        assert sample.labels.regime in REGIMES


def test_the_scaler_knows_training_days_only(tmp_path, source):
    panel = walk(600, exogenous=True)
    before = prepared(tmp_path, source)
    last = int(np.load(before / "train" / "day.npy")[-1])
    changed = panel.close.copy()
    changed[last + 6 :] *= np.linspace(1, 3, 600 - last - 6)[:, None]
    other = {"VIX": np.where(np.arange(600) > last, 90.0, panel.exogenous["VIX"])}
    after = prepared(tmp_path, write_panel(replace(panel, close=changed, exogenous=other), tmp_path / "b"), "after")
    assert (before / "scaler.json").read_bytes() == (after / "scaler.json").read_bytes()
    for name, values in arrays(before, "train").items():
        assert np.array_equal(values, arrays(after, "train")[name]), name
    assert not np.array_equal(arrays(before, "test")["returns"], arrays(after, "test")["returns"])
    features = np.load(before / "features.npy")[LOOKBACK : last + 1]
    assert np.abs(features.mean(axis=0)).max() < 1e-5
    assert np.abs(features.std(axis=0) - 1).max() < 1e-4


def test_a_rehearsal_is_what_preparing_gave_at_its_time(tmp_path):
    """The folder of each block of the walk-forward equals the folder made of the bars there were by then."""
    panel = walk(900, exogenous=True)
    whole = prepared(tmp_path, write_panel(panel, tmp_path / "whole"), "now", holdout_from=str(panel.dates[840]))
    verify(whole)
    folders = sorted((whole / "rehearsals").iterdir())
    assert [folder.name for folder in folders] == ["1", "2", "3"]
    for folder in folders:
        facts = verify(folder)
        bars = len(np.load(folder / "dates.npy"))
        past = write_panel(rows(panel, 0, bars), tmp_path / f"bars{folder.name}")
        then = prepared(tmp_path, past, f"then{folder.name}", holdout_from=facts["settings"]["holdout_from"])
        digests = read_manifest(then)["files"]
        assert {name: of for name, of in digests.items() if not name.startswith("rehearsals/")} == facts["files"]
        assert np.load(folder / "test" / "day.npy")[-1] + 5 == bars - 1


def test_the_future_changes_nothing_that_is_read_today(tmp_path, source):
    panel = walk(600, exogenous=True)
    day = 450
    order = np.arange(600)
    order[day + 1 :] = np.random.default_rng(0).permutation(order[day + 1 :])
    moved = replace(panel, close=panel.close[order], exogenous={"VIX": panel.exogenous["VIX"][order]})
    one = prepared(tmp_path, source, "one", holdout_from=str(panel.dates[460]))
    two = prepared(
        tmp_path, write_panel(moved, tmp_path / "b"), "two", holdout_from=str(panel.dates[460]), largest_move=9.0
    )
    assert (one / "scaler.json").read_bytes() == (two / "scaler.json").read_bytes()
    shown = [np.load(folder / "features.npy")[: day + 1] for folder in (one, two)]
    assert np.array_equal(*shown)


def test_a_constant_feature_is_shifted_only(tmp_path):
    panel = walk(600)
    flat = replace(panel, exogenous={"VIX": np.full(600, 20.0)})
    folder = prepared(tmp_path, write_panel(flat, tmp_path / "flat"))
    scaler = json.loads((folder / "scaler.json").read_text())
    row = scaler["features"].index("VIX")
    assert (scaler["means"][row], scaler["deviations"][row]) == (20.0, 1.0)
    assert np.isfinite(np.load(folder / "features.npy")).all()


def test_logged_trades_replace_the_pnl(tmp_path, source):
    plain = prepared(tmp_path, source, "plain")
    days = arrays(plain, "train")["day"]
    dates = walk(600).dates
    (source / "log.csv").write_text(f"date,strategy,pnl\n{dates[days[3]]},bonds,-0.25\n")
    logged = prepared(tmp_path, source, "logged", trade_log=str(source / "log.csv"))
    before, after = arrays(plain, "train"), arrays(logged, "train")
    assert after["pnl"][3] == -0.25
    assert np.array_equal(np.delete(after["pnl"], 3), np.delete(before["pnl"], 3))
    assert np.array_equal(after["label"], before["label"])
    report = json.loads((logged / "report.json").read_text())
    assert [report["splits"][split]["logged"] for split in ("train", "validation", "test")] == [1, 0, 0]


def test_a_log_that_nobody_watches_is_refused(tmp_path, source):
    (tmp_path / "log.csv").write_text("date,strategy,pnl\n2020-05-20,bonds,-0.25\n")
    with pytest.raises(EquipoiseError, match=r"trading\.data\.trade_log: must lie in the folder") as caught:
        prepared(tmp_path, source, trade_log=str(tmp_path / "log.csv"))
    assert caught.value.exit_code == 78


def test_volume_is_a_feature_where_it_is_asked_for(tmp_path):
    panel = walk(600)
    folder = tmp_path / "bars"
    folder.mkdir()
    volume = np.random.default_rng(3).uniform(1e5, 9e5, 600).round()
    for i, symbol in enumerate(panel.symbols):
        rows = [f"{d},{c!r},{v:.0f}" for d, c, v in zip(panel.dates, panel.close[:, i].tolist(), volume, strict=True)]
        (folder / f"{symbol}.csv").write_text("\n".join(["Date,Close,Volume", *rows]))
    out = prepared(tmp_path, folder, exogenous={}, volume=True)
    assert "SPY volume" in json.loads((out / "scaler.json").read_text())["features"]
    assert np.array_equal(prepared_panel(out).volume[:, 0], volume)
    assert next(samples(out, "test")).panel.volume is not None


def test_the_report_names_who_cannot_win(tmp_path, source):
    mixes = {"stocks": {"SPY": 1.0}, "bonds": {"TLT": 1.0}, "middle": {"SPY": 0.5, "TLT": 0.5}, "low": {"SPY": 0.1}}
    folder = prepared(tmp_path, source, strategies=mixes)
    report = json.loads((folder / "report.json").read_text())
    assert report["never_best"]["strategies"] == ["middle"]
    assert "middle" in report["never_seen"]
    assert "Can never be best, whatever the symbols earn (they are mixtures of others): middle." in (
        folder / "report.md"
    ).read_text("utf-8")
    assert sum(report["class_shares"]["strategy"].values()) == pytest.approx(1)


def test_the_dead_band_lets_them_in_by_name(tmp_path, source):
    mixes = {"middle": {"SPY": 0.5, "TLT": 0.5}, "stocks": {"SPY": 1.0}, "bonds": {"TLT": 1.0}}
    folder = prepared(tmp_path, source, strategies=mixes, dead_band=0.01)
    report = json.loads((folder / "report.json").read_text())
    assert report["never_best"]["strategies"] == ["middle"]
    assert report["class_shares"]["strategy"]["middle"] > 0.1


def test_a_failed_prepare_leaves_the_earlier_one(tmp_path, source):
    folder = prepared(tmp_path, source)
    before = sha256_tree(folder)
    (source / "TLT.csv").write_text("Date,Close\n2020-01-01,-5\n")
    with pytest.raises(EquipoiseError):
        prepared(tmp_path, source)
    assert sha256_tree(folder) == before
    assert not list(tmp_path.glob(".out*"))


def test_changed_arrays_are_not_believed(tmp_path, source):
    folder = prepared(tmp_path, source)
    values = np.load(folder / "train" / "pnl.npy")
    np.save(folder / "train" / "pnl.npy", values + 1)
    with pytest.raises(EquipoiseError, match="E_MANIFEST"):
        samples(folder, "train")


def test_an_unknown_split_is_refused(tmp_path, source):
    with pytest.raises(EquipoiseError, match="one of train, validation, test"):
        samples(prepared(tmp_path, source), "dev")


def test_neither_torch_nor_pandas_is_needed(tmp_path):
    code = (
        "import sys; from pathlib import Path; from tests.workloads.trading.small_bars import section;"
        "from components.workloads.trading.data import generate, prepare;"
        "s = section(source='raw', symbols=['SPY', 'TLT', 'BIL'], exogenous={'VIX': 0}, embedded='planted',"
        "holdout_from='2018-01-01'); generate(s, Path('raw')); prepare(s, Path('out'));"
        "print(sorted({'torch', 'pandas', 'arch', 'mlflow', 'prefect'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_the_embedded_market_prepares_by_the_shipped_parameters(tmp_path):
    from components.config import load_config

    shipped = load_config(ROOT / "params.yaml").trading
    raw = tmp_path / "raw"
    data = shipped.data.model_copy(update={"source": str(raw), "format": "auto", "embedded": "market"})
    settings = shipped.model_copy(update={"data": data})
    generate(settings, raw)
    report = prepare(settings, tmp_path / "out")
    assert {"70/20/10", "80/15/5", "85/15/0"} <= set(report["never_seen"])
    assert report["splits"]["test"]["days"] > 700


EIGHT = {
    "20/50/30": {"SPY": 0.2, "TLT": 0.5, "BIL": 0.3},
    "40/30/30": {"SPY": 0.4, "TLT": 0.3, "BIL": 0.3},
    "60/20/20": {"SPY": 0.6, "TLT": 0.2, "BIL": 0.2},
    "70/20/10": {"SPY": 0.7, "TLT": 0.2, "BIL": 0.1},
    "80/15/5": {"SPY": 0.8, "TLT": 0.15, "BIL": 0.05},
    "90/10/0": {"SPY": 0.9, "TLT": 0.1},
    "85/15/0": {"SPY": 0.85, "TLT": 0.15},
    "75/25/0": {"SPY": 0.75, "TLT": 0.25},
}
YEARS = {
    "symbols": ["SPY", "TLT", "BIL"],
    "exogenous": {"VIX": 0, "DGS3MO": 1, "DGS20": 1},
    "strategies": EIGHT,
    "label_from": "2002-07-30",
    "holdout_from": "2016-01-01",
}


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.is_dir(), reason="the public price files are not beside the project")
class TestTwentyYears:
    """SPY, TLT, BIL with dividends, 2002-2022: the published shares and returns of the eight mixes."""

    @pytest.fixture(scope="class")
    def report(self, tmp_path_factory):
        folder = tmp_path_factory.mktemp("years")
        return prepare(section(source=str(REAL), **YEARS), folder / "out")

    def test_shares(self, report):
        shares = [round(100 * share, 2) for share in report["all"]["shares"].values()]
        assert shares == [40.20, 2.32, 1.38, 0, 0, 50.59, 0, 5.51]
        assert report["all"]["days"] == 4916
        assert report["never_best"]["strategies"] == report["never_seen"] == ["70/20/10", "80/15/5", "85/15/0"]

    def test_returns(self, report):
        found = [round(100 * mean, 3) for mean in report["all"]["mean_return"].values()]
        assert found == [0.121, 0.140, 0.171, 0.193, 0.208, 0.224, 0.219, 0.209]
        assert round(100 * report["all"]["lead_median"], 2) == 0.14
        assert round(100 * report["all"]["spread_mean"], 2) == 1.47
        assert round(report["all"]["same_as_last_accuracy"], 3) == 0.394

    def test_hold_out(self, report):
        test = report["splits"]["test"]
        assert (test["first"], test["last"]) == ("2016-01-04", "2022-02-04")
        assert report["majority"] == test["best_static"] == "90/10/0"
        assert round(test["majority_accuracy"], 3) == 0.530
        assert round(100 * test["mean_return"]["90/10/0"], 3) == 0.307
        assert round(100 * test["mean_return"]["75/25/0"], 3) == 0.272
        assert round(100 * test["oracle_return"], 3) == 0.874

    @pytest.mark.parametrize(
        ("horizon", "cash", "days", "shares"),
        [
            (5, False, 4916, [39.97, 2.26, 1.22, 0, 0, 50.81, 0, 5.74]),
            (1, True, 4920, [43.25, 2.83, 1.42, 0, 0, 48.09, 0, 4.41]),
            (20, True, 4901, [34.40, 2.00, 1.12, 0, 0, 54.87, 0, 7.61]),
        ],
    )
    def test_other_horizons_and_cash_that_earns_nothing(self, horizon, cash, days, shares):
        panel = read_panel(section(source=str(REAL), **YEARS).data, 1)
        held = {name: {s: w for s, w in mix.items() if cash or s != "BIL"} for name, mix in EIGHT.items()}
        found = best(horizon_returns(panel.close, weight_matrix(held, panel.symbols), horizon, 0.0), 0.0)
        found = found[len(panel) - horizon - days :]
        assert str(panel.dates[len(panel) - horizon - days]) == "2002-07-30"
        assert [round(100 * count / days, 2) for count in np.bincount(found, minlength=8).tolist()] == shares

    def test_a_basis_point_of_cost_moves_little(self, tmp_path, report):
        dear = prepare(section(source=str(REAL), cost=1.0, **YEARS), tmp_path / "out")
        for name, share in dear["all"]["shares"].items():
            assert share == pytest.approx(report["all"]["shares"][name], abs=0.002)
            lost = report["all"]["mean_return"][name] - dear["all"]["mean_return"][name]
            assert 0 < lost < 2e-6


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.is_dir(), reason="the public price files are not beside the project")
def test_lean_files_are_a_second_reader(tmp_path):
    mixes = {"stocks": {"SPY": 1.0}, "small": {"IWM": 1.0}, "half": {"SPY": 0.5}}
    report = prepare(
        section(
            source=str(REAL), format="lean", symbols=["SPY", "IWM"], strategies=mixes, exogenous={"VIX": 0},
            volume=True, holdout_from="2016-01-01", label_from="2001-01-02",
        ),
        tmp_path / "out",
    )  # fmt: skip
    assert report["bars"]["last"] == "2021-03-31"
    assert report["bars"]["largest_moves"]["IWM"]["return"] == pytest.approx(-0.133, abs=0.001)
