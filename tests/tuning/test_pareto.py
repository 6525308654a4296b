"""The front by hand and by its definition, the best candidate, rank correlations."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from components.tuning.campaign import Campaign
from components.tuning.pareto import best, dominates, draw, front, importances
from components.tuning.space import Knob
from components.tuning.trial import Candidate

POINTS = [(0.5, 0.5), (0.6, 0.4), (0.4, 0.4), (0.6, 0.4), (0.5, 0.45), (0.1, 0.9)]


def candidate(number, objectives, weight=1.0, failure=None):
    return Candidate(number, {"a.weight": weight}, objectives, objectives, {}, 1, 0.0, failure)


def campaign_of(candidates, objectives=("x/acc", "y/acc")):
    space = (Knob("a.weight", 0.1, 10.0, 1.0),)
    return Campaign("p/w/c", Path("unused"), "nowhere", space, objectives, tuple(candidates))


def test_front_by_hand():
    # (.4, .4) and (.5, .45) lie below (.5, .5); the two equal points stay
    assert front(POINTS) == [0, 1, 3, 5]
    assert front([]) == [] and front([(1.0,), (2.0,), (2.0,)]) == [1, 2]


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=20))
def test_nobody_dominates_the_front_and_it_dominates_the_rest(points):
    kept = front(points)
    assert kept
    for i, point in enumerate(points):
        assert (i in kept) != any(dominates(points[j], point) for j in kept)


def test_the_best_has_the_highest_mean_and_the_default_wins_ties():
    equal = [candidate(n, {"x/acc": x, "y/acc": 1 - x}) for n, x in enumerate((0.5, 0.25, 0.75))]
    assert best(equal).number == 0
    assert best([*equal, candidate(3, {"x/acc": 0.6, "y/acc": 0.5})]).number == 3


def test_rank_correlation_by_hand():
    # y falls as the weight rises: -1. x has ranks 1 2 3 5 4 against 1..5: 1 - 6 * 2 / (5 * 24) = .9
    x = (0.1, 0.2, 0.3, 0.5, 0.4)
    some = [candidate(n, {"x/acc": x[n], "y/acc": 0.9 - n / 10}, weight=0.2 + n**2) for n in range(5)]
    found = importances(campaign_of([*some, candidate(5, {}, failure="E_NONFINITE")]))
    assert found == {"a.weight": {"x/acc": 0.9, "y/acc": -1.0}}
    assert importances(campaign_of(some[:4])) == {"a.weight": {"x/acc": None, "y/acc": None}}
    flat = [candidate(n, {"x/acc": 0.5, "y/acc": 0.5}, weight=n + 1) for n in range(6)]
    assert importances(campaign_of(flat)) == {"a.weight": {"x/acc": None, "y/acc": None}}


def test_a_picture_of_one_objective_and_of_three(tmp_path):
    for names in (("x/acc",), ("x/acc", "y/acc", "z/acc")):
        some = [candidate(n, dict.fromkeys(names, n / 10)) for n in range(3)]
        draw(campaign_of(some, names), some[2], tmp_path / "front.png")
        assert (tmp_path / "front.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
