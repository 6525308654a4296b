"""Budgets by hand, slices and whole statistics through the gate's own rule, and what is refused before it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from mlflow.models import Model

from components.config_parts import GateConfig
from components.registry.gate import judge
from components.registry.gate_budgets import Cost, budget_tests, latencies, median_interval, megabytes
from components.registry.gate_refusals import Refused, check_alarms, check_fields, check_serves
from components.registry.packaging import signature


def config(**changes) -> GateConfig:
    heads = [{"head": "tool", "metric": "accuracy", "role": "primary", "margin": 0.03, "direction": "higher"}]
    values = {"policy": "improve", "alpha": 0.05, "resamples": 800, "seed": 3, "cluster": "user", "heads": heads}
    return GateConfig.model_validate(values | changes)


def scores(seed: int, gain: float = 0.0, harm: float = 0.0, users: int = 400) -> pl.DataFrame:
    """Right with probability .7 + gain, two samples a user; in the fourth of the shops `harm` is lost instead."""
    n = 2 * users
    ease, own = np.random.default_rng(9).random(n), np.random.default_rng([seed, 1]).random(n)
    shop = np.arange(n) // 2 % 4
    level = 0.8 * ease + 0.2 * own
    right = level < np.where((shop == 3) & (harm > 0), 0.7 - harm, 0.7 + gain)
    label = np.random.default_rng(8).integers(0, 2, n)
    sure = np.clip(np.where(right, 0.75, 0.65), 0, 1)
    return pl.DataFrame(
        {
            "id": [str(i) for i in range(n)],
            "user": [f"u{i // 2:04}" for i in range(n)],
            "shop": [f"s{i}" for i in shop],
            "tool/accuracy/hit": right.astype(float),
            "tool/accuracy/of": np.ones(n),
            "tool_label": label,
            "tool_prediction": np.where(right, label, 1 - label),
            "tool_confidence": sure,
        }
    )


def cost(budget: float, candidate: list[float], name: str = "latency") -> Cost:
    return Cost(name, "ms", budget, np.array(candidate), np.array([1.0] * len(candidate)))


def test_the_sign_test_of_a_budget_by_hand() -> None:
    """Of ten requests one is over: P(at most one of ten coins) = 11 / 1024; nine are not: 1 - P(at most 0) = 1023."""
    within, over = budget_tests(cost(20, [5.0] * 9 + [50.0]))
    assert within == pytest.approx(11 / 1024) and over == pytest.approx(1 - 1 / 1024)
    assert budget_tests(cost(20, [19.0], "size")) == (0.0, 1.0) and budget_tests(cost(20, [21.0], "size")) == (1.0, 0.0)


def test_the_interval_of_a_median_by_hand() -> None:
    """P(Bin(10, 1/2) <= 1) = .0107 and <= 2 is .0547: the second and the ninth of ten. One number is its own."""
    assert median_interval(np.arange(10.0)[::-1], 0.95) == (1.0, 8.0)
    assert median_interval(np.array([3.0]), 0.95) == (3.0, 3.0)


def test_both_models_are_timed_in_turn_on_the_same_samples() -> None:
    asked: list[tuple[str, int]] = []
    taken = latencies([lambda s: asked.append(("a", s)), lambda s: asked.append(("b", s))], [1, 2], repeats=4)
    assert [len(each) for each in taken] == [4, 4] and all((each >= 0).all() for each in taken)
    assert asked[:4] == [("a", 1), ("b", 1), ("a", 2), ("b", 2)] and len(asked) == 2 * (3 + 4)


def test_the_size_of_a_folder_is_that_of_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a").write_bytes(b"x" * 1_500_000)
    (tmp_path / "deep" / "b").write_bytes(b"x" * 500_000)
    assert megabytes(tmp_path).tolist() == [2.0]


def test_a_budget_prevents_and_costs_the_heads_nothing_where_it_is_exact() -> None:
    better, champion = scores(1, gain=0.08), scores(2)
    plain = judge(better, champion, config())
    paid = judge(better, champion, config(), costs=[cost(5, [4.0], "size")])
    assert plain.decision == paid.decision == "PROMOTE"
    one, other = plain.heads[0], paid.heads[0]
    assert (one.p_better, one.p_not_worse, one.verdict) == (other.p_better, other.p_not_worse, other.verdict)
    broken = judge(better, champion, config(), costs=[cost(5, [6.0], "size")])
    assert (broken.decision, broken.reason) == ("REJECT", "shown over its budget: size 6 ms, 5 allowed")
    open_ = judge(better, champion, config(), costs=[cost(5, [4.0, 6.0] * 10)])
    assert open_.decision == "HOLD" and "latency not shown to stay within the budget" in open_.reason
    assert "Latency 5 ms (4 to 6; champion 1), undecided the budget of 5" in open_.text()
    assert json.loads(json.dumps(open_.document(), allow_nan=False)) == open_.document()


def test_harm_in_a_slice_rejects_what_the_whole_would_promote() -> None:
    champion, hidden = scores(2), scores(1, gain=0.15, harm=0.3)
    assert judge(hidden, champion, config()).decision == "PROMOTE"
    slices = [{"column": "shop", "minimum": 50, "margin": 0.1}]
    report = judge(hidden, champion, config(slices=slices))
    assert report.decision == "REJECT" and report.reason == "tool accuracy of shop s3 shown worse than the margin"
    assert [head.slice for head in report.heads] == [None, "shop s0", "shop s1", "shop s2", "shop s3"]
    assert {head.p_better for head in report.heads[1:]} == {None}
    few = judge(hidden, champion, config(slices=[slices[0] | {"minimum": 101}]))
    assert len(few.not_judged) == 4 and "Not judged, too few users: tool accuracy of shop s0 (100)" in few.text()


def test_a_miscalibrated_gain_is_kept_out_by_a_guard() -> None:
    champion, better = scores(2), scores(1, gain=0.1)
    guard = {"head": "tool", "metric": "ece", "role": "guard", "margin": 0.1, "direction": "lower"}
    heads = [*config().model_dump()["heads"], guard]
    boasting = better.with_columns(tool_confidence=pl.lit(1.0) * 0.4)
    assert judge(better, champion, config(heads=heads)).decision == "PROMOTE"
    report = judge(boasting, champion, config(heads=heads))
    assert (report.decision, report.heads[1].verdict) == ("REJECT", "worse")


def test_equal_models_judged_by_macro_f1_are_promoted_no_more_often_than_alpha_says() -> None:
    heads = [{"head": "tool", "metric": "macro_f1", "role": "primary", "margin": 0.2, "direction": "higher"}]
    settings = config(heads=heads, resamples=300)
    decisions = [
        judge(scores(2 * s, users=60), scores(2 * s + 1, users=60), settings).decision for s in range(100, 220)
    ]
    assert decisions.count("PROMOTE") / 120 <= 0.0304 + 0.03 and decisions.count("REJECT") == 0


def test_whatever_the_champion_serves_must_stay() -> None:
    with pytest.raises(Refused, match="no emoji may be no longer served, got 🍕, 🚗") as caught:
        check_serves("keyboard version 3", {"emoji": ["👍"]}, {"emoji": ["👍", "🚗", "🍕"]})
    assert (caught.value.code, caught.value.exit_code, caught.value.decision) == ("E_GATE_SCHEMA", 11, "REJECT")
    check_serves("w", {"emoji": ["a", "b"]}, {"emoji": ["a"]})
    check_serves("w", {}, {"tool": ["a"]})  # a model that reads descriptions answers with any tool
    with pytest.raises(Refused, match="got t0, t1, t2, t3, t4 and 2 more"):
        check_serves("w", {"tool": []}, {"tool": [f"t{i}" for i in range(7)]})


def artefact(folder: Path, asked: dict, answered: dict, optional: tuple[str, ...] = ()) -> Path:
    folder.mkdir()
    Model(signature=signature([asked], [answered], optional)).save(str(folder / "MLmodel"))
    return folder


def test_a_request_of_today_is_one_tomorrow(tmp_path: Path) -> None:
    served = artefact(tmp_path / "served", {"text": "a", "tools": []}, {"tool": "x"}, ("slots",))
    same = artefact(tmp_path / "same", {"text": "a"}, {"tool": "x", "sure": 0.5}, ("tools", "slots", "more"))
    check_fields("w", same, served)
    for name, asked, answered, optional, rule in (
        ("dropped", {"text": "a", "tools": []}, {"tool": "x"}, (), "no longer taken, got slots"),
        ("needs", {"text": "a", "tools": [], "slots": []}, {"tool": "x"}, (), "newly required, got slots"),
        ("silent", {"text": "a", "tools": []}, {"sure": 0.5}, ("slots",), "no longer given, got tool"),
    ):
        with pytest.raises(Refused, match=rule):
            check_fields("w", artefact(tmp_path / name, asked, answered, optional), served)


def test_an_alarm_of_the_training_holds(tmp_path: Path) -> None:
    row = {"rule": "growing", "subject": "loss", "message": "the loss grew threefold"}
    (tmp_path / "model.json").write_text(json.dumps({"alarms": [row]}))
    check_alarms("w", tmp_path, ("stuck",))
    with pytest.raises(Refused, match="growing loss: the loss grew threefold") as caught:
        check_alarms("w", tmp_path, ("stuck", "growing"))
    assert (caught.value.code, caught.value.decision) == ("E_GATE_ALARM", "HOLD")
    (tmp_path / "model.json").write_text("{}")
    check_alarms("w", tmp_path, ("growing",))
