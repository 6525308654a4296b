"""The gate's verdicts and decisions on per-sample scores whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components.config import GateConfig
from components.errors import EquipoiseError
from components.files import sha256_json
from components.registry.gate import judge
from components.registry.gate_report import GateReport, draw_forest

# What the level of a sample looks like in the long run: a threshold on it gives a true probability of being right.
LEVELS = np.array([0.4, 0.4, 0.2]) @ np.random.default_rng(0).random((3, 200_000))
HEADS = ("decision/accuracy", "tool/accuracy", "arguments/exact_match")


def config(**changes) -> GateConfig:
    heads = [
        {"head": "decision", "metric": "accuracy", "role": "primary", "margin": 0.02, "direction": "higher"},
        {"head": "tool", "metric": "accuracy", "role": "primary", "margin": 0.02, "direction": "higher"},
        {"head": "arguments", "metric": "exact_match", "role": "guard", "margin": 0.03, "direction": "higher"},
    ]
    values = {
        "policy": "improve",
        "alpha": 0.05,
        "resamples": 1000,
        "seed": 3,
        "cluster": "conversation",
        "heads": heads,
    }
    return GateConfig.model_validate(values | changes)


def scores(
    seed: int, *, conversations: int = 400, turns: int = 6, gains: tuple[float, float, float] = (0, 0, 0)
) -> pl.DataFrame:
    """Per-sample scores: the same samples for every seed, right with probability .8 + gain, alike within conversations.

    The ease of a sample is drawn from a seed of its own, so two models of different seeds fail on much the same turns.
    """
    n = conversations * turns
    names = np.repeat(np.arange(conversations), turns)
    columns: dict[str, object] = {"id": [f"s{i}" for i in range(n)], "conversation": [f"c{i}" for i in names]}
    for j, (head, gain) in enumerate(zip(HEADS, gains, strict=True)):
        ease, own = np.random.default_rng([99, j]), np.random.default_rng([seed, j])
        level = 0.4 * ease.random(conversations)[names] + 0.4 * ease.random(n) + 0.2 * own.random(n)
        columns[f"{head}/hit"] = (level <= np.quantile(LEVELS, 0.8 + gain)).astype(float)
        columns[f"{head}/of"] = np.ones(n)
    return pl.DataFrame(columns)


def verdicts(report: GateReport) -> list[str]:
    return [head.verdict for head in report.heads]


def test_a_better_candidate_is_promoted() -> None:
    report = judge(scores(1, gains=(0.06, 0, 0.06)), scores(2), config())
    assert report.decision == "PROMOTE"
    assert verdicts(report)[0] == "better"
    assert "undecided" not in verdicts(report)
    head = report.heads[0]
    assert head.difference == pytest.approx(head.candidate - head.champion, abs=1e-8)
    assert 0 < head.low < head.difference < head.high
    assert (head.samples, head.clusters, report.needed, head.needed) == (2400, 400, None, None)


def test_a_damaged_head_rejects_whatever_the_others_win() -> None:
    for damaged in range(3):
        gains = [0.06, 0.06, 0.06]
        gains[damaged] = -0.15
        report = judge(scores(1, gains=(gains[0], gains[1], gains[2])), scores(2), config())
        assert report.decision == "REJECT"
        assert verdicts(report)[damaged] == "worse"
        assert report.reason.startswith(HEADS[damaged].replace("/", " "))


def test_a_twin_is_held_under_improve_and_passes_under_refresh() -> None:
    twin, champion = scores(1, conversations=2500), scores(2, conversations=2500)
    held = judge(twin, champion, config())
    assert (held.decision, verdicts(held)) == ("HOLD", ["not worse"] * 3)
    assert held.reason.startswith("no primary head shown better")
    assert judge(twin, champion, config(policy="refresh")).decision == "PROMOTE"


def test_a_better_guard_promotes_nothing() -> None:
    report = judge(scores(1, gains=(0, 0, 0.08)), scores(2), config())
    assert (report.decision, verdicts(report)[2]) == ("HOLD", "better")


def test_too_few_conversations_hold_and_say_how_many_would_decide() -> None:
    small = config()
    report = judge(scores(1, conversations=40, gains=(0.02, 0.02, 0)), scores(2, conversations=40), small)
    assert report.decision == "HOLD"
    assert report.needed is not None and report.needed > 40
    assert f"about {report.needed} conversations in all" in report.reason
    assert max(h.needed or 0 for h in report.heads) >= report.needed


def test_an_unclear_loss_holds_and_is_not_called_harm() -> None:
    report = judge(scores(1, conversations=60, gains=(0.1, 0.1, -0.03)), scores(2, conversations=60), config())
    assert (report.decision, verdicts(report)[2]) == ("HOLD", "undecided")
    assert "arguments exact_match not shown to stay within the margin" in report.reason


def test_a_copy_on_a_handful_of_conversations_shows_nothing() -> None:
    """No resample of equal scores ever differs, yet four conversations cannot show that 2% harm is absent."""
    few = scores(1, conversations=4)
    report = judge(few, few, config(policy="refresh"))
    assert (report.decision, verdicts(report)) == ("HOLD", ["undecided"] * 3)
    enough = scores(1, conversations=400)
    assert judge(enough, enough, config(policy="refresh")).decision == "PROMOTE"


def test_three_lucky_turns_are_no_superiority() -> None:
    """Three conversations that differ, all for the candidate: an exact sign test says 1 in 8."""
    champion = scores(1, conversations=300)
    wrong = np.flatnonzero(champion["decision/accuracy/hit"].to_numpy() == 0)
    picked = [wrong[0], wrong[len(wrong) // 2], wrong[-1]]
    assert champion["conversation"].gather(picked).n_unique() == 3
    hits = champion["decision/accuracy/hit"].to_numpy().copy()
    hits[picked] = 1
    report = judge(champion.with_columns(pl.Series("decision/accuracy/hit", hits)), champion, config())
    assert report.heads[0].low < 0 < report.heads[0].difference  # no draw goes below zero, but three are not many
    better = report.heads[0].p_better
    assert better is not None and better >= 0.125
    assert report.decision == "HOLD"


def test_where_less_is_better_the_margin_lies_above() -> None:
    heads = [{"head": "decision", "metric": "accuracy", "role": "primary", "margin": 0.02, "direction": "lower"}]
    better, worse = scores(1, gains=(-0.08, 0, 0)), scores(1, gains=(0.08, 0, 0))
    promoted = judge(better, scores(2), config(heads=heads))
    assert (promoted.decision, promoted.heads[0].verdict) == ("PROMOTE", "better")
    assert promoted.heads[0].high < 0
    assert judge(worse, scores(2), config(heads=heads)).decision == "REJECT"


def test_equal_models_are_promoted_or_rejected_no_more_often_than_alpha_says() -> None:
    """A/A: 200 pairs of equal recipes. A promotion under `improve` is a false claim, as is a rejection; comparing the
    decision head's points alone would promote about half."""
    few = config(resamples=300)
    reports = [judge(scores(2 * s, conversations=80), scores(2 * s + 1, conversations=80), few) for s in range(200)]
    decisions = [report.decision for report in reports]
    assert decisions.count("PROMOTE") / 200 <= 0.05 + 0.03
    assert decisions.count("REJECT") / 200 <= 0.05 + 0.03
    assert 0.35 < np.mean([report.heads[0].difference > 0 for report in reports]) < 0.65


def test_harm_of_twice_the_margin_is_never_promoted() -> None:
    few, gains = config(resamples=300), (0.05, -0.04, 0.0)
    pairs = [(scores(2 * s, conversations=150, gains=gains), scores(2 * s + 1, conversations=150)) for s in range(40)]
    decisions = [judge(candidate, champion, few).decision for candidate, champion in pairs]
    assert "PROMOTE" not in decisions
    assert "REJECT" in decisions


def test_the_report_is_json_and_the_same_for_the_same_scores() -> None:
    candidate, champion = scores(1, gains=(0.06, 0, 0)), scores(2)
    report = judge(candidate, champion, config())
    document = report.document()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert report.sha256() == sha256_json(document) == judge(candidate, champion, config()).sha256()
    assert judge(candidate, champion, config(seed=4)).sha256() != report.sha256()
    assert {"head", "metric", "difference", "low", "high", "verdict", "margin", "role"} <= set(document["heads"][0])


def test_the_paragraph_and_the_picture_say_the_same(tmp_path: Path) -> None:
    report = judge(scores(1, gains=(0.06, 0, -0.2)), scores(2), config())
    text = report.text()
    assert text.startswith(
        "REJECT: arguments exact_match shown worse than the margin. On 2400 samples of 400 conversations"
    )
    assert "\n" not in text
    for head in report.heads:
        assert f"{head.difference:+.4f}" in text
    draw_forest(report, tmp_path / "gate.png")
    draw_forest(report, tmp_path / "again.png")
    assert (tmp_path / "gate.png").read_bytes() == (tmp_path / "again.png").read_bytes()
    with Image.open(tmp_path / "gate.png") as picture:
        assert picture.size[0] > 600
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 20


SWAPPED = scores(1).with_columns(id=scores(1)["id"].shuffle(seed=1))
UNUSABLE = [
    ("E_GATE_PAIRS", "column id must be the same", scores(1)[:-1]),
    ("E_GATE_PAIRS", "column id must be the same", SWAPPED),
    ("E_GATE_PAIRS", "column conversation must be the same", scores(1).with_columns(conversation=pl.lit("c"))),
    ("E_GATE_SCORES", "column id must be there", scores(1).drop("id")),
    ("E_GATE_SCORES", "column conversation must be there", scores(1).drop("conversation")),
    ("E_GATE_SCORES", "column tool/accuracy/of must be there", scores(1).drop("tool/accuracy/of")),
    ("E_GATE_SCORES", "must be finite", scores(1).with_columns(pl.lit(float("nan")).alias("tool/accuracy/hit"))),
    ("E_GATE_SCORES", "must be finite", scores(1).with_columns(pl.lit(None, pl.Float64).alias("tool/accuracy/hit"))),
    ("E_GATE_SCORES", "not negative", scores(1).with_columns(pl.lit(-1.0).alias("tool/accuracy/hit"))),
    ("E_GATE_SCORES", "at least two", scores(1).with_columns(pl.lit(0.0).alias("tool/accuracy/of"))),
    ("E_GATE_SCORES", "every id must be given", scores(1).with_columns(id=pl.lit(None, pl.String))),
]


@pytest.mark.parametrize("code,rule,candidate", UNUSABLE)
def test_scores_that_cannot_be_compared_are_refused(code: str, rule: str, candidate: pl.DataFrame) -> None:
    with pytest.raises(EquipoiseError) as caught:
        judge(candidate, scores(2), config())
    assert caught.value.code == code
    assert rule in str(caught.value)
    assert caught.value.exit_code == 65
    assert "\n" not in str(caught.value)


def test_ids_that_stand_twice_and_empty_sets_are_refused() -> None:
    twice = scores(1).with_columns(id=pl.lit("s"))
    for frame in (twice, scores(1)[:0]):
        with pytest.raises(EquipoiseError, match="there must be samples, each once"):
            judge(frame, frame, config())


def test_one_conversation_cannot_be_judged() -> None:
    one = scores(1, conversations=1)
    with pytest.raises(EquipoiseError, match="at least two conversations must have a labelled sample, got 1"):
        judge(one, one, config())


@settings(max_examples=40, deadline=None)
@given(
    hits=st.lists(st.tuples(*[st.sampled_from([0.0, 0.5, 1.0])] * 2), min_size=6, max_size=60),
    margin=st.floats(0.005, 0.5),
    policy=st.sampled_from(["improve", "refresh"]),
)
def test_verdicts_never_contradict_each_other(hits: list[tuple[float, float]], margin: float, policy: str) -> None:
    """Whatever the scores: better lies above worse, swapping never promotes both, decisions follow verdicts."""
    names = [f"c{i // 2}" for i in range(len(hits))]
    frame = pl.DataFrame({"id": [str(i) for i in range(len(hits))], "conversation": names})
    a, b = (
        frame.with_columns(
            pl.Series("decision/accuracy/hit", [h[side] for h in hits]), pl.lit(1.0).alias("decision/accuracy/of")
        )
        for side in (0, 1)
    )
    heads = [{"head": "decision", "metric": "accuracy", "role": "primary", "margin": margin, "direction": "higher"}]
    settings_ = config(policy=policy, heads=heads, resamples=200)
    there, back = judge(a, b, settings_), judge(b, a, settings_)
    head = there.heads[0]
    assert head.low <= head.high
    assert not (head.verdict == "better" and head.difference <= 0)
    assert not (head.verdict == "worse" and head.difference >= -margin)
    assert {there.heads[0].verdict, back.heads[0].verdict} != {"better"}
    assert (there.decision == "REJECT") == (head.verdict == "worse")
    passes = head.verdict == "better" or (policy == "refresh" and head.verdict == "not worse")
    assert (there.decision == "PROMOTE") == passes
