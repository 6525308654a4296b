"""Who stops at a rung, by hand and by the properties that keep a campaign safe."""

import math

from hypothesis import given
from hypothesis import strategies as st

from components.tuning.pareto import front
from components.tuning.pruner import stopped

POINTS = st.lists(st.tuples(*[st.integers(0, 20).map(lambda n: n / 20)] * 2), min_size=1, max_size=12)
MARGIN = st.floats(0, 0.5)


def test_by_hand():
    # 3 beats 1 by .2 and .2, and 2 by .05 and .3: beyond a margin of .1 only 1 stops
    values = {0: (0.1, 0.1), 1: (0.4, 0.4), 2: (0.55, 0.3), 3: (0.6, 0.6), 4: (0.2, 0.9)}
    assert stopped(values, 0.1, {0}) == {1: [3]}
    assert stopped(values, 0.0, {0}) == {1: [3], 2: [3]}
    # without a word for the default, 1, 2 and 3 beat it; 4 beats it by .1 only in one objective
    assert stopped(values, 0.1, ()) == {0: [1, 2, 3], 1: [3]}
    assert stopped(values, 0.3, {0}) == {}


def test_each_objective_may_have_its_own_margin():
    values = {1: (0.5, 100.0), 2: (0.52, 130.0)}
    assert stopped(values, (0.01, 20), ()) == {1: [2]}
    assert stopped(values, (0.01, 40), ()) == {} == stopped(values, (0.03, 20), ())


def test_equal_ones_and_a_single_one_go_on():
    assert stopped({1: (0.5, 0.5), 2: (0.5, 0.5)}, 0.0, ()) == {}
    assert stopped({7: (0.1,)}, 0.0, ()) == {} == stopped({}, 0.0, ())


def test_what_is_not_a_number_decides_nothing():
    assert stopped({1: (0.1, math.nan), 2: (0.9, 0.9), 3: (math.nan, 0.99), 4: (0.2, 0.2)}, 0.0, ()) == {4: [2]}


def test_one_objective_is_plain_halving_by_a_margin():
    assert stopped({n: (n / 10,) for n in range(5)}, 0.25, ()) == {0: [3, 4], 1: [4]}


@given(POINTS, MARGIN)
def test_nobody_on_the_front_stops_and_a_survivor_stands_over_everyone_who_does(points, margin):
    found = stopped(dict(enumerate(points)), margin, ())
    assert not found.keys() & set(front(points))
    for number, dominators in found.items():
        assert set(dominators) - found.keys(), number
        for other in dominators:
            assert all(b - a > margin for a, b in zip(points[number], points[other], strict=True))


@given(POINTS, MARGIN, st.sets(st.integers(0, 11)))
def test_the_default_and_whoever_is_kept_never_stop_and_keeping_saves_nobody_else(points, margin, kept):
    values = dict(enumerate(points))
    found = stopped(values, margin, {0, *kept})
    assert not found.keys() & {0, *kept}
    assert found == {n: d for n, d in stopped(values, margin, ()).items() if n not in {0, *kept}}


@given(POINTS, MARGIN, MARGIN)
def test_more_margin_stops_fewer(points, one, other):
    few, many = (stopped(dict(enumerate(points)), margin, ()) for margin in (max(one, other), min(one, other)))
    assert few.keys() <= many.keys() and all(set(few[n]) <= set(many[n]) for n in few)
