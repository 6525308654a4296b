"""Evaluation end to end on generated markets: the files, the verdict, and what a leak does to it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from components.config_trading import TradingConfig
from components.errors import EquipoiseError
from components.evaluation.edge import Settings, judge_edge
from components.evaluation.predictions import read_predictions
from components.files import sha256_tree
from components.workloads.trading import baseline as b
from components.workloads.trading import evaluate as e
from components.workloads.trading.accounts import Accounts
from components.workloads.trading.leakage import Leakage
from components.workloads.trading.walk import walk

from .prepared_market import market, replace_array

FILES = {
    "predictions.parquet",
    "metrics.json",
    "report.json",
    "report.md",
    "slices.json",
    "equity.png",
    "reliability.png",
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[TradingConfig, Path, Path, dict]:
    """Section, prepared data, evaluation folder and what evaluating softmax regression returned."""
    folder = tmp_path_factory.mktemp("planted")
    section, prepared = market(folder, seed=1, edge=0.15)
    b.write(b.fit_softmax(section, prepared), prepared, folder / "checkpoint")
    return (
        section,
        prepared,
        folder / "out",
        e.evaluate(section, prepared, folder / "checkpoint", folder / "out", b.load),
    )


def test_every_file_is_there_and_says_the_same(planted: tuple[TradingConfig, Path, Path, dict]) -> None:
    section, prepared, out, result = planted
    assert {path.name for path in out.iterdir()} == FILES | {"baseline"}
    assert json.loads((out / "metrics.json").read_text()) == result
    frame = read_predictions(out / "predictions.parquet")
    assert frame.height == result["n"] == len(np.load(prepared / "test" / "day.npy"))
    report = json.loads((out / "report.json").read_text())
    assert report["verdict"] == result["verdict"] and report["sentence"] == result["sentence"]
    assert result["sentence"] in (out / "report.md").read_text()
    assert isinstance(b.load(out / "baseline"), b.Softmax)
    names = list(section.data.strategies)
    rules = {"softmax", "momentum", "majority", "static", *names, "buy_and_hold", "sixty_forty", "equal_weight"}
    assert set(result["baselines"]) == rules
    assert {"70/20/10", "80/15/5", "85/15/0"} <= set(report["never_best"])
    assert all(of["test/pnl/sharpe"] for of in result["baselines"].values())


def test_the_planted_edge_is_called_an_edge(planted: tuple[TradingConfig, Path, Path, dict]) -> None:
    *_, result = planted
    evidence = result["evidence"]
    assert result["verdict"] == "edge" and result["sentence"].startswith("Edge shown: ")
    assert 0 < evidence["low"] < evidence["timing"] < evidence["high"]
    assert not result["leakage"]["alarm"]
    assert result["metrics"]["test/regret/static"] < 0
    assert result["metrics"]["test/strategy/accuracy"] > result["baselines"]["majority"]["test/strategy/accuracy"]


def test_the_accounts_are_those_of_the_predictions(planted: tuple[TradingConfig, Path, Path, dict]) -> None:
    """The model is softmax regression here, so both accounts are one; the static mix is the strategy of its name."""
    section, prepared, out, result = planted
    own = {key: value for key, value in result["metrics"].items() if "/pnl/" in key}
    assert own == {key: value for key, value in result["baselines"]["softmax"].items() if "/pnl/" in key}
    held = list(section.data.strategies)[b.fit_static(prepared).strategy]
    assert result["baselines"]["static"]["test/pnl/total"] == result["baselines"][held]["test/pnl/total"]
    close = np.load(prepared / "close.npy")
    days = np.load(prepared / "test" / "day.npy")
    growth = close[days[-1] + 1, 0] / close[days[0], 0] * (1 - section.data.cost * 1e-4)
    assert result["baselines"]["buy_and_hold"]["test/pnl/total"] == pytest.approx(growth - 1)
    assert read_predictions(out / "predictions.parquet")["returns"].list.len().unique().to_list() == [8]


def test_the_same_evaluation_gives_the_same_bytes(planted: tuple[TradingConfig, Path, Path, dict]) -> None:
    section, prepared, out, _ = planted
    e.evaluate(section, prepared, out.parent / "checkpoint", out.parent / "again", b.load)
    assert sha256_tree(out) == sha256_tree(out.parent / "again")


def test_more_trials_take_the_edge_away(planted: tuple[TradingConfig, Path, Path, dict]) -> None:
    section, prepared, out, _ = planted
    frame = pl.read_parquet(out / "predictions.parquet")
    section = section.model_copy(update={"evaluation": section.evaluation.model_copy(update={"trials": 10**9})})
    found = e.evidence_of(section, e.run_accounts(section, prepared, {"model": frame}), list(section.data.strategies))
    assert found.trials == 10**9 and found.deflated is not None
    single = judge_edge_alone(section, prepared, frame)
    assert found.deflated < single


def judge_edge_alone(section: TradingConfig, prepared: Path, frame: pl.DataFrame) -> float:
    accounts = e.run_accounts(section, prepared, {"model": frame})
    statics = {name: accounts.net[name] for name in section.data.strategies}
    settings = Settings(300, 0.95, 1, trials=1, overlap=5, parts=8)
    found = judge_edge("model", accounts.tracks, statics, accounts.cash, settings)
    assert found.deflated is not None
    return found.deflated


def test_a_leak_is_no_edge(planted: tuple[TradingConfig, Path, Path, dict]) -> None:
    section, prepared, out, _ = planted
    accounts = e.run_accounts(section, prepared, {"model": pl.read_parquet(out / "predictions.parquet")})
    evidence = e.evidence_of(section, accounts, list(section.data.strategies))
    assert evidence.verdict == "edge"
    caught = Leakage(True, 0.2, {}, [], "Leakage alarm: the model knows tomorrow.")
    told = e.verdict(evidence, caught)
    assert told["verdict"] == "no edge"
    assert told["sentence"] == "Leakage alarm: the model knows tomorrow. No edge is claimed before it is explained."
    assert e.verdict(replace(evidence, verdict="worse"), caught)["verdict"] == "worse"


def test_the_walk_forward_trains_on_the_past_only(
    planted: tuple[TradingConfig, Path, Path, dict], tmp_path: Path
) -> None:
    """Labels and returns of the last block can be anything: rows of the earlier blocks stay the same."""
    import shutil

    section, prepared, *_ = planted
    table = walk(section, prepared, tmp_path, b.load).rows
    assert [row["fold"] for row in table] == sorted(row["fold"] for row in table)
    assert {row["rule"] for row in table} == {"majority", "static", "momentum", "softmax", "oracle"}
    assert all(row["accuracy"] == 1.0 for row in table if row["rule"] == "oracle")
    changed = tmp_path / "prepared"
    shutil.copytree(prepared, changed)
    for name in ("label", "returns"):
        values = np.load(changed / "validation" / f"{name}.npy")
        replace_array(changed, f"validation/{name}.npy", values[::-1].copy())
    last = max(row["fold"] for row in table)
    again = walk(section, changed, tmp_path, b.load).rows
    assert [row for row in table if row["fold"] < last] == [row for row in again if row["fold"] < last]
    assert [row for row in table if row["fold"] == last] != [row for row in again if row["fold"] == last]


@pytest.mark.parametrize("days", [1, 3, 40])
def test_a_short_hold_out_claims_nothing(
    days: int, planted: tuple[TradingConfig, Path, Path, dict], tmp_path: Path
) -> None:
    import shutil

    section, prepared, out, _ = planted
    short = tmp_path / "prepared"
    shutil.copytree(prepared, short)
    for path in (short / "test").glob("*.npy"):
        replace_array(short, f"test/{path.name}", np.load(path)[:days])
    result = e.evaluate(section, short, out.parent / "checkpoint", tmp_path / "out", b.load)
    assert result["n"] == days and result["verdict"] == "no edge"
    assert f"{days} days are too few to judge" in result["sentence"]
    assert "nan" not in (tmp_path / "out" / "report.md").read_text()


def test_a_hold_out_without_days_is_refused(planted: tuple[TradingConfig, Path, Path, dict], tmp_path: Path) -> None:
    import shutil

    section, prepared, out, _ = planted
    empty = tmp_path / "prepared"
    shutil.copytree(prepared, empty)
    for path in (empty / "test").glob("*.npy"):
        replace_array(empty, f"test/{path.name}", np.load(path)[:0])
    with pytest.raises(EquipoiseError, match="E_EVALUATION"):
        e.evaluate(section, empty, out.parent / "checkpoint", tmp_path / "out", b.load)
    assert not (tmp_path / "out").exists()


def test_no_interval_of_a_drawdown_promises_less_than_no_fall(planted: tuple[TradingConfig, Path, Path, dict]) -> None:
    """One fall of 3% in 250 quiet days, met in some draws once, in some twice, in some never: symmetric around it, the
    interval would end above zero."""
    net = np.full(250, 0.0005) + np.random.default_rng(1).normal(0, 1e-5, 250)
    net[120] = -0.03
    accounts = Accounts(np.arange(250), {"model": net}, {"model": net * 0}, {}, net * 0)
    found = e.account_intervals(accounts, planted[0])["drawdown"]
    assert found.value == pytest.approx(-0.03, abs=1e-6)
    assert -1 < found.low < found.value and found.high == 0.0
