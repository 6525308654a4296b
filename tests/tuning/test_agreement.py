"""Rank agreement of two stages, by hand and against SciPy."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from components.tuning.agreement import between, spearman


def test_by_hand():
    screen = {0: 0.1, 3: 0.2, 5: 0.3, 7: 0.5, 9: 0.4, 11: 0.9}
    full = {0: 0.5, 3: 0.6, 5: 0.7, 7: 0.8, 9: 0.9, 4: 0.0}
    # over 0, 3, 5, 7, 9 the ranks are 1 2 3 5 4 and 1 2 3 4 5: 1 - 6 * 2 / (5 * 24) = .9
    found = between(screen, full)
    assert (found.spearman, found.count, found.agrees) == (0.9, 5, True)
    assert found.sentence == "ranks of the screen hold at full length: Spearman 0.90 over 5 candidates"


def test_turned_round_they_do_not_agree():
    values = {n: n / 10 for n in range(4)}
    found = between(values, {n: -v for n, v in values.items()}, 0.5, ("3 epochs", "10 epochs"))
    assert (found.spearman, found.count, found.agrees) == (-1.0, 4, False)
    assert found.sentence == ("ranks of 3 epochs do not hold at 10 epochs: Spearman -1.00 over 4 candidates, below 0.5")


def test_the_least_is_the_callers():
    screen, full = dict(enumerate((1, 2, 3, 4))), dict(enumerate((1, 3, 2, 4)))  # 1 - 6 * 2 / (4 * 15) = .8
    assert between(screen, full, 0.8).agrees and not between(screen, full, 0.81).agrees


@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_say_nothing(count):
    found = between({n: float(n) for n in range(count)}, {n: -float(n) for n in range(9)})
    assert (found.spearman, found.count, found.agrees) == (None, count, True)
    assert "at least 4 are needed" in found.sentence


def test_values_that_are_all_alike_say_nothing():
    found = between(dict.fromkeys(range(6), 0.5), {n: float(n) for n in range(6)})
    assert found.spearman is None and found.agrees and "all values are alike" in found.sentence


@pytest.mark.parametrize("seed", range(5))
def test_ties_share_their_mean_rank_as_in_scipy(seed):
    a, b = np.random.default_rng(seed).integers(0, 5, (2, 12))
    assert spearman(a, b) == pytest.approx(float(spearmanr(a, b).statistic), abs=1e-4)


def test_less_than_two_have_no_ranks():
    assert spearman([], []) is None is spearman([1.0], [2.0])
