"""Drift: hand-worked effects, silence where nothing changed, noise of one size however many samples a cluster has."""

import numpy as np
import polars as pl
import pytest

from components.errors import EquipoiseError
from components.evaluation.drift import compare


def frame(n: int, seed: int, shift: float = 0.0, share: float = 0.5, **more) -> pl.DataFrame:
    """n samples of as many clusters: a confidence, a prediction of two classes, a label and a score."""
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "id": [f"s{i}" for i in range(n)],
            "user": [f"u{i}" for i in range(n)],
            "confidence": random.normal(shift, 1.0, n),
            "prediction": np.where(random.random(n) < share, "call", "answer"),
            "tool_label": np.where(random.random(n) < 0.5 + shift, "a", "b"),
            "tool/accuracy/hit": random.random(n),
            **more,
        }
    )


def test_effects_by_hand():
    """Half of [0, 1] against [1, 2]: the distribution functions are 1/2 apart; shares .5/.5 against .75/.25: .25."""
    values = {"id": list("abcd"), "user": list("abcd")}
    one = pl.DataFrame(values | {"x": [0.0, 0.0, 1.0, 1.0], "kind": ["a", "a", "b", "b"]})
    other = pl.DataFrame(values | {"x": [1.0, 1.0, 2.0, 2.0], "kind": ["a", "a", "a", "b"]})
    found = {each.column: each for each in compare(one, other, "user", 0.01, 0.1).columns}
    assert found["x"].effect == 0.5 and found["x"].kind == "number"
    assert found["kind"].effect == 0.25 and found["kind"].kind == "category"
    assert not found["x"].drifted  # four samples show nothing


def test_labels_scores_ids_and_free_text_are_not_compared():
    texts = {"text": [f"text {i}" for i in range(200)]}
    found = compare(frame(200, 1, **texts), frame(200, 2, **texts), "user", 0.01, 0.1)
    assert {each.column for each in found.columns} == {"confidence", "prediction"}


def test_a_second_name_of_the_clusters_is_not_compared():
    """Months go on: their names differ, however few there are, and that is no drift."""
    then, now = ({"month": [f"m{i + start}" for i in range(30)]} for start in (0, 30))
    found = compare(frame(30, 1, **then), frame(30, 2, **now), "user", 0.01, 0.1)
    assert {each.column for each in found.columns} == {"confidence", "prediction"}


@pytest.mark.parametrize(
    ("change", "columns"),
    [({"shift": 0.5}, ["confidence"]), ({"share": 0.8}, ["prediction"]), ({"shift": 1.0, "share": 0.9}, None)],
)
def test_a_real_change_is_named(change, columns):
    found = compare(frame(800, 1), frame(800, 2, **change), "user", 0.01, 0.1)
    assert found.drifted == (columns or ["confidence", "prediction"])
    assert found.drifted[0] in found.sentence and found.sentence.startswith("drift in")


def test_a_change_smaller_than_asked_is_no_drift():
    """Twenty thousand samples show a difference of .05, which nobody asked for."""
    found = compare(frame(20_000, 1), frame(20_000, 2, share=0.55), "user", 0.01, 0.1)
    (prediction,) = [each for each in found.columns if each.column == "prediction"]
    assert prediction.p_value < 1e-6 and not prediction.drifted and found.sentence.startswith("no drift")


def test_equal_worlds_are_rarely_told_apart():
    """At alpha .05, 200 pairs of equal worlds: at most 19 are expected with probability .997 (binomial)."""
    false = sum(bool(compare(frame(150, 2 * i), frame(150, 2 * i + 1), "user", 0.05, 0.0).drifted) for i in range(200))
    assert false <= 19


def test_many_samples_of_one_user_count_once():
    """Ten copies of each sample are not ten times the evidence."""
    one, other = frame(60, 1), frame(60, 2, shift=0.3)
    copies = [pl.concat([f.with_columns(pl.col("id") + f"-{k}") for k in range(10)]) for f in (one, other)]
    single, tenfold = compare(one, other, "user", 0.01, 0.1), compare(*copies, "user", 0.01, 0.1)
    assert (tenfold.reference, tenfold.current) == (60, 60)
    assert [(c.column, c.p_value) for c in tenfold.columns] == [(c.column, c.p_value) for c in single.columns]


def test_the_order_of_rows_says_nothing():
    one, other = frame(100, 1), frame(100, 2)
    shuffled = other.sample(fraction=1.0, shuffle=True, seed=5)
    assert compare(one, other, "user", 0.05, 0.0) == compare(one.reverse(), shuffled, "user", 0.05, 0.0)


def test_new_categories_and_rare_ones():
    """A tool that was never called before is a drift; three rare ones together are one category."""
    one = frame(300, 1).with_columns(prediction=pl.lit("a"))
    other = frame(300, 2).with_columns(
        prediction=pl.when(pl.int_range(300) < 90).then(pl.lit("new")).otherwise(pl.lit("a"))
    )
    assert compare(one, other, "user", 0.01, 0.1).drifted == ["prediction"]
    rare = frame(300, 3).with_columns(
        prediction=pl.when(pl.int_range(300) < 3).then(pl.format("r{}", pl.int_range(300))).otherwise(pl.lit("a"))
    )
    assert compare(one, rare, "user", 0.05, 0.0).drifted == []


@pytest.mark.parametrize("sides", [(frame(0, 1), frame(5, 1)), (frame(5, 1), frame(0, 1))])
def test_nothing_to_compare_is_said(sides):
    with pytest.raises(EquipoiseError, match="E_DRIFT drift: both sides must have samples") as refused:
        compare(*sides, "user", 0.01, 0.1)
    assert refused.value.exit_code == 65
