"""Evaluation sets of known truth: what is drawn, and that a planted change is as large as asked."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.config_parts import GateConfig
from components.evaluation.judged import examine
from components.evaluation.self_test_world import HIT, OF, World, chances, drawn_set, world


def config(margin: float = 0.1, direction: str = "higher") -> GateConfig:
    heads = [
        {"head": "tool", "metric": "accuracy", "role": "primary", "margin": margin, "direction": direction},
        {"head": "span", "metric": "f1", "role": "guard", "margin": margin, "direction": "higher"},
    ]
    values = {"policy": "improve", "alpha": 0.05, "resamples": 200, "seed": 1, "cluster": "user", "heads": heads}
    return GateConfig.model_validate(values)


def table(tool: list[float], span: list[float], of: list[float], users: list[str]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id": [str(i) for i in range(len(tool))],
            "user": users,
            "tool/accuracy/hit": tool,
            "tool/accuracy/of": [1.0] * len(tool),
            "span/f1/hit": span,
            "span/f1/of": of,
        }
    )


def made(ours: pl.DataFrame, theirs: pl.DataFrame, settings_: GateConfig) -> World:
    return world(examine(ours, theirs, settings_))


def small_world(settings_: GateConfig) -> World:
    """Users b, a, b, c, four samples: the rows of a user need not stand together, nor users in order."""
    users = ["b", "a", "b", "c"]
    ours = table([1, 1, 0, 0], [0.5, 0, 1, 0], [1, 0, 2, 1], users)
    theirs = table([1, 0, 0, 0], [0.25, 0, 2, 1], [1, 0, 2, 1], users)
    return made(ours, theirs, settings_)


@pytest.fixture
def small() -> World:
    return small_world(config())


def test_sums_share_and_room_by_hand(small: World) -> None:
    assert (small.clusters, small.starts.tolist(), small.sizes.tolist()) == (3, [0, 1, 3], [1, 2, 1])
    assert small.sums[:, 0, HIT].tolist() == [[1, 0], [1, 1.5], [0, 0]]
    assert small.sums[:, 1, HIT].tolist() == [[0, 0], [1, 2.25], [0, 1]]
    assert small.sums[:, 0, OF].tolist() == small.sums[:, 1, OF].tolist() == [[1, 0], [2, 3], [1, 1]]
    # tool: 3 hits of 8 samples on both sides; span: 4.75 of 8.
    assert small.share.tolist() == [3 / 8, 4.75 / 8]
    assert small.room.tolist() == [5 / 8, 3.25 / 8]


def test_the_chance_of_a_change_by_hand() -> None:
    once = small_world(config(0.15))
    assert chances(once, np.array([-1.0, 0.0])).tolist() == [pytest.approx(-0.15 / 0.375), 0.0]
    assert chances(once, np.array([2.0, 0.0]))[0] == pytest.approx(0.3 / 0.625)
    # A margin of .2 cannot be lost twice from a score of .375; where less is better, a loss is a rise.
    assert np.isnan(chances(small_world(config(0.2)), np.array([-2.0, 0.0]))[0])
    assert chances(small_world(config(0.15, "lower")), np.array([-1.0, 0.0]))[0] == pytest.approx(0.15 / 0.625)


def test_a_drawn_set_holds_whole_users_and_swaps_whole_users(small: World) -> None:
    drawn = drawn_set(small, np.zeros(2), 4000, np.random.default_rng(0))
    known = [*small.sums, *small.sums[:, ::-1]]
    found = [sum(np.array_equal(row, each) for row in drawn) for each in known]
    assert found == [pytest.approx(4000 / 6, abs=110)] * 6 and sum(found) == 4000


def test_who_loses_everything_has_nothing_and_who_wins_everything_is_full(small: World) -> None:
    drawn = drawn_set(small, np.array([-1.0, 1.0]), 60, np.random.default_rng(0))
    assert not drawn[:, 0, HIT, 0].any() and drawn[:, 1, HIT, 0].any()
    assert drawn[:, 0, HIT, 1].tolist() == pytest.approx(drawn[:, 0, OF, 1].tolist())
    assert (drawn[:, 1, HIT, 1] < drawn[:, 1, OF, 1]).any()


def test_a_user_drawn_twice_is_damaged_twice_by_itself() -> None:
    """Damage done once to the real table would make two draws of one user one draw that counts as two."""
    one = table([1.0] * 40, [1.0] * 40, [1.0] * 40, ["a"] * 40)
    of = made(one, one, config())
    drawn = drawn_set(of, np.array([-0.5, 0.0]), 50, np.random.default_rng(0))
    assert len(set(drawn[:, 0, HIT, 0].tolist())) > 5
    assert set(drawn[:, 1, HIT, 0].tolist()) == {40.0}


@settings(max_examples=25, deadline=None)
@given(margins=st.tuples(st.floats(-2, 2), st.floats(-2, 2)), seed=st.integers(0, 99), lower=st.booleans())
def test_the_true_difference_is_what_was_asked(margins: tuple[float, float], seed: int, lower: bool) -> None:
    generator = np.random.default_rng(seed)
    users = [f"u{i}" for i in generator.integers(30, size=200)]
    of = np.asarray(generator.integers(0, 4, size=200), float)
    ours, theirs = (table(list((generator.random(200) < p) * 1.0), list(of * generator.random(200)), list(of), users)
                    for p in (0.5, 0.7))  # fmt: skip
    settings_ = config(0.1, "lower" if lower else "higher")
    real = made(ours, theirs, settings_)
    moved = chances(real, np.array(margins))
    drawn = drawn_set(real, moved, 6000, np.random.default_rng(seed)).sum(axis=0)
    difference = drawn[0, HIT] / drawn[0, OF] - drawn[1, HIT] / drawn[1, OF]
    wanted = [margins[0] * (-0.1 if lower else 0.1), margins[1] * 0.1]
    assert difference.tolist() == pytest.approx(wanted, abs=0.025)


def test_harm_in_a_slice_is_as_large_as_asked_and_stays_inside() -> None:
    """All rows gain, the slice loses: outside the gain is whole, inside the loss takes its place."""
    generator = np.random.default_rng(4)
    users = [f"u{i}" for i in generator.integers(40, size=400)]
    sides = [
        table(list((generator.random(400) < 0.6) * 1.0), [0.5] * 400, [1.0] * 400, users).with_columns(
            kind=pl.Series(["rare" if i % 4 == 0 else "plain" for i in range(400)])
        )
        for _ in range(2)
    ]
    slices = ({"column": "kind", "minimum": 2, "margin": 0.2},)
    settings_ = GateConfig.model_validate(config(0.1).model_dump() | {"slices": slices})
    of = made(*sides, settings_)
    assert [q.name for q in of.questions] == ["tool accuracy", "span f1", "tool accuracy of kind rare",
                                              "tool accuracy of kind plain"]  # fmt: skip
    assert of.sums[:, 0, OF, 2].sum() == 100 and of.sums[:, 0, OF, 3].sum() == 300
    moved = chances(of, np.array([1.0, 0.0, -1.0, 0.0]))
    drawn = drawn_set(of, moved, 6000, np.random.default_rng(1)).sum(axis=0)
    head, span, rare, plain = (drawn[0, HIT] / drawn[0, OF] - drawn[1, HIT] / drawn[1, OF]).tolist()
    assert rare == pytest.approx(-0.2, abs=0.02) and span == 0
    assert plain == pytest.approx(0.1, abs=0.02)  # the chance of a gain of .1 on all samples
    assert head == pytest.approx(0.75 * plain + 0.25 * rare, abs=0.01)
