"""`gate --self-test`: the gate's own verdicts, its rates where the truth is known, and what it refuses to judge."""

from __future__ import annotations

import json
import shutil

import numpy as np
import polars as pl
import pytest

from components.config import GateConfig
from components.errors import EquipoiseError
from components.evaluation.judged import Answer, examine
from components.evaluation.self_test import Measured, Scenario, Sizing, broken, compared, measure, rate, scenarios
from components.evaluation.self_test_world import HIT, OF, World, chances, drawn_set, world
from components.registry.gate import conclude, judge
from components.workloads.tool_calling.baseline import fit_baseline
from flows.self_test import refusal, self_test, status, text
from tests.flows.projects import command

W = "tool_calling"
HEADS = (("decision", "accuracy", "primary"), ("tool", "accuracy", "primary"), ("arguments", "exact_match", "guard"))


def config(margin: float = 0.03, **changes) -> GateConfig:
    heads = [
        {"head": head, "metric": metric, "role": role, "margin": margin, "direction": "higher"}
        for head, metric, role in HEADS
    ]
    values = {"policy": "improve", "alpha": 0.05, "resamples": 300, "seed": 3, "cluster": "conversation"}
    return GateConfig.model_validate(values | {"heads": heads} | changes)


def scores(seed: int, conversations: int, agreement: float = 0.9) -> pl.DataFrame:
    """A model right on 80% of the samples, 4 a conversation: models of any seed agree on most of them."""
    n = 4 * conversations
    columns: dict[str, object] = {"id": [str(i) for i in range(n)]}
    columns["conversation"] = [f"c{i // 4:05}" for i in range(n)]
    for j, (head, metric, _) in enumerate(HEADS):
        common, own = np.random.default_rng([99, j]), np.random.default_rng([seed, j])
        alike = common.random(n) < agreement
        right = np.where(alike, common.random(n), own.random(n)) < 0.8
        columns[f"{head}/{metric}/hit"] = right.astype(float)
        columns[f"{head}/{metric}/of"] = np.ones(n)
    return pl.DataFrame(columns)


def quiet(_line: object) -> None:
    pass


def frame(drawn: np.ndarray, side: int) -> pl.DataFrame:
    """One side of a drawn set as the table that `judge` reads, a row a cluster."""
    columns: dict[str, object] = {"id": [str(i) for i in range(len(drawn))]}
    columns["conversation"] = [f"c{i:05}" for i in range(len(drawn))]
    for j, (head, metric, _) in enumerate(HEADS):
        columns[f"{head}/{metric}/hit"] = drawn[:, side, HIT, j]
        columns[f"{head}/{metric}/of"] = drawn[:, side, OF, j]
    return pl.DataFrame(columns)


def made(settings: GateConfig, size: int) -> World:
    return world(examine(scores(1, size), scores(2, size), settings))


def concluded(settings: GateConfig, of: World, pairs, size: int):
    answers = [Answer(question, pair, size) for question, pair in zip(of.questions, pairs, strict=True)]
    return conclude(settings, answers, size, size)


@pytest.mark.parametrize("size", [220, 1100])  # counts are drawn in another way from 1,000 clusters on
def test_a_replay_is_what_the_gate_says_of_the_same_tables(size):
    """Every number of the report, for sets with and without harm; all of them resampled in one go."""
    settings, generator = config(resamples=1000), np.random.default_rng(1)
    of = made(settings, 200)
    truths = [(0.0, 0.0, 0.0), (0.0, -1.0, 0.0), (-1.0, -1.0, 0.0), (6.0, 6.0, 6.0), (2.0, 2.0, -4.0)]
    sets = [drawn_set(of, chances(of, np.array(truth)), size, generator) for truth in truths]
    decisions = set()
    for drawn, pairs in zip(sets, compared(np.stack(sets), settings), strict=True):
        alone = judge(frame(drawn, 0), frame(drawn, 1), settings)
        assert concluded(settings, of, pairs, size).document() == alone.document()
        decisions.add(alone.decision)
    assert decisions == {"PROMOTE", "HOLD", "REJECT"}


@pytest.fixture(scope="module")
def enough():
    """Replays of 700 conversations, which suffice for a margin of .03."""
    return self_test(scores(1, 700), scores(2, 700), config(), 200, None, W, quiet)


def rates(document, name):
    (found,) = [each for each in document["scenarios"] if each["name"] == name]
    return found["decisions"]


def test_equal_models_are_promoted_and_rejected_within_alpha():
    """A thousand sets in which both sides are the same by construction."""
    settings = config()
    of = made(settings, 400)
    equal = scenarios(of, settings)[0][0]

    def verdict(pairs):
        return concluded(settings, of, pairs, 400).decision

    found = measure(of, settings, verdict, equal, 400, 1000, (settings.seed,))
    assert found.rates["PROMOTE"].value <= 0.05 and found.rates["REJECT"].value <= 0.05
    assert broken(found, settings.alpha) == []
    assert found.differences.mean(axis=0) == pytest.approx([0, 0, 0], abs=0.001)  # fair coins: no side is better


def test_the_size_the_noise_and_the_score_of_a_head_that_suffices(enough):
    assert enough["error"] is None and status(enough, quiet) == 0 and enough["impossible"] == []
    for head in enough["heads"]:
        assert head["detectable"] <= head["margin"] and head["needed"] <= 700
        assert head["score"] == pytest.approx(0.8, abs=0.03)
        # Each side is right on its own in a tenth of the samples: 2 x .1 x .8 x .2 of them differ, 2,800 in all.
        assert head["noise"] == pytest.approx((2 * 0.1 * 0.8 * 0.2 / 2800) ** 0.5, rel=0.2)


def test_harm_of_the_margin_passes_within_alpha_and_of_twice_the_margin_is_caught(enough):
    for head, metric, _ in HEADS:
        once = rates(enough, f"{head} {metric} worse by its margin")
        assert once["PROMOTE"]["low"] <= 0.05 and once["REJECT"]["low"] <= 0.05
        twice = rates(enough, f"{head} {metric} worse by twice its margin")
        assert twice["REJECT"]["low"] >= 0.95 and twice["PROMOTE"]["count"] == 0


def test_an_improvement_is_seen_the_more_the_larger_it_is(enough):
    for head in ("decision", "tool"):
        once, twice = (
            rates(enough, f"{head} accuracy better by {size}") for size in ("its margin", "twice its margin")
        )
        assert twice["PROMOTE"]["low"] >= 0.9 and twice["PROMOTE"]["value"] >= once["PROMOTE"]["value"]
        assert once["REJECT"]["count"] == twice["REJECT"]["count"] == 0


def test_too_few_conversations_are_refused_with_the_number_that_would_do():
    document = self_test(scores(1, 60), scores(2, 60), config(), 100, None, W, quiet)
    error, needed = document["error"], max(head["needed"] for head in document["heads"])
    assert (error["code"], error["exit_code"]) == ("E_GATE_POWER", 78)
    assert f"Judge on about {needed} conversations in all" in error["message"] and needed > 60
    said = []
    assert status(document, said.append) == 78 and said == [error["message"]]
    # The number is not idle: sets of that size, drawn from the same 60 conversations, are no longer refused.
    larger = self_test(scores(1, 60), scores(2, 60), config(), 100, round(1.2 * needed), W, quiet)
    assert larger["error"] is None and larger["replayed_clusters"] > needed


def test_a_gate_that_breaks_its_promise_is_refused_before_one_that_sees_too_little():
    settings = config()
    of = made(settings, 20)
    truth = Scenario("equal", None, (0.0,) * 3, ("PROMOTE", "REJECT"), None)

    def found(promoted: int) -> Measured:
        counts = {"PROMOTE": promoted, "HOLD": 1000 - promoted, "REJECT": 0}
        return Measured(truth, {name: rate(n, 1000) for name, n in counts.items()}, np.zeros((1000, 3)))

    weak, strong = Sizing(0.02, 0.06, 900), Sizing(0.005, 0.015, 200)
    error = refusal(of, settings, [found(90)], [strong, weak, strong], 300, W)
    assert error is not None and (error.code, int(error.exit_code)) == ("E_GATE_SIZE", 78)
    assert "PROMOTE in 0.090 (0.073 to 0.109) of replays: equal" in str(error)
    error = refusal(of, settings, [found(30)], [strong, weak, strong], 300, W)
    assert error is not None and error.code == "E_GATE_POWER" and "tool accuracy" in error.place
    assert "900 conversations" in error.hint
    assert refusal(of, settings, [found(30)], [strong] * 3, 300, W) is None


def test_the_same_seed_gives_the_same_document_and_another_does_not():
    pair = scores(1, 80), scores(2, 80)
    first, again = (self_test(*pair, config(), 20, None, W, quiet) for _ in range(2))
    assert first == again == json.loads(json.dumps(first, allow_nan=False))
    assert self_test(*pair, config(seed=4), 20, None, W, quiet)["scenarios"] != first["scenarios"]


def test_two_models_that_score_alike_have_no_noise_to_measure():
    with pytest.raises(EquipoiseError, match="E_GATE_SELF_TEST") as caught:
        self_test(scores(1, 60), scores(1, 60), config(), 100, None, W, quiet)
    assert caught.value.exit_code == 78


def test_the_text_says_what_the_document_says():
    document = self_test(scores(1, 60), scores(2, 60), config(0.15), 100, None, W, quiet)
    shown = text({"workload": W, "version": "version 2", "against": "version 1", **document})
    assert shown.startswith(
        "tool_calling: version 2 and version 1, 100 replays of 60 conversations, policy improve, alpha 0.0304 of 0.05"
    )
    assert "cannot be planted, the score leaves no room: decision accuracy better by twice its margin" in shown
    for each in document["scenarios"]:
        (line,) = [line for line in shown.splitlines() if line.startswith(each["name"] + "  ")]
        assert f"{each['decisions']['PROMOTE']['value']:.3f} (" in line


def test_the_trained_model_is_measured_against_the_baseline_where_nothing_is_registered(fitted, tmp_path):
    project = tmp_path / "project"
    shutil.copytree(fitted.project, project)
    section = fitted.config().tool_calling
    weaker = section.evaluation.baseline.model_copy(update={"strength": 1e-3})
    other = section.model_copy(update={"evaluation": section.evaluation.model_copy(update={"baseline": weaker})})
    fit_baseline(other, project / "data" / "prepared" / W, project / "checkpoints" / W)
    done = command(project, "gate", W, "--self-test", "--replays", "100", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["error"]["code"]) == (78, "E_GATE_POWER"), done.stderr
    assert (document["version"], document["against"]) == ("checkpoint", "baseline")
    assert document["error"]["message"] in done.stderr
    kept = project / ".equipoise" / "gates" / W / "self_test.json"
    assert json.loads(kept.read_text(encoding="utf-8")) == document


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [((), "a version must be named"), (("2", "--replays", "200"), "--replays and --clusters go with --self-test")],
)
def test_a_judgement_needs_a_version_and_no_replays(plain, arguments, rule):
    done = command(plain.project, "gate", W, *arguments)
    assert done.returncode == 2 and rule in done.stderr and "E_USAGE" in done.stderr
