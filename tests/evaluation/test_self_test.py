"""Rates, sizes and scenarios of the gate's self-test, against numbers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, norm

from components.evaluation.self_test import Measured, Scenario, broken, compared, rate, scenarios, sizing
from components.evaluation.self_test_world import drawn_set
from components.evaluation.statistics import paired_difference
from tests.evaluation.test_self_test_world import config, made, table


def test_the_interval_of_a_rate_is_clopper_and_pearsons() -> None:
    none, some, every = rate(0, 1000), rate(50, 1000), rate(20, 20)
    # No event in n: the upper end is 1 - .025^(1/n). All of n: the lower end is .025^(1/n).
    assert (none.value, none.low, none.high) == (0.0, 0.0, pytest.approx(1 - 0.025 ** (1 / 1000)))
    assert (every.low, every.high) == (pytest.approx(0.025 ** (1 / 20)), 1.0)
    # In between each end is the rate at which as much or more (as much or less) has a chance of .025.
    assert binom.sf(49, 1000, some.low) == pytest.approx(0.025, rel=1e-6)
    assert binom.cdf(50, 1000, some.high) == pytest.approx(0.025, rel=1e-6)


def test_a_rate_is_broken_only_when_its_interval_lies_above_alpha() -> None:
    truth = Scenario("equal", None, (0.0,), ("PROMOTE", "REJECT"), None)

    def found(promoted: int, rejected: int) -> Measured:
        counts = {"PROMOTE": promoted, "HOLD": 1000 - promoted - rejected, "REJECT": rejected}
        return Measured(truth, {name: rate(n, 1000) for name, n in counts.items()}, np.zeros((1000, 1)))

    assert broken(found(60, 0), 0.05) == []  # 6.0% (4.6 to 7.7)
    assert broken(found(70, 64), 0.05) == ["PROMOTE"]  # 7.0% (5.5 to 8.8); 6.4% (5.0 to 8.1)
    assert broken(found(0, 900), 0.05) == ["REJECT"]


def test_the_smallest_detectable_effect_by_hand() -> None:
    differences = np.array([-0.01, 0.01] * 500)  # standard deviation .01 (.010005 with n - 1)
    found = sizing(differences, margin=0.02, size=400, labelled=1.0, level=0.05 / 6)
    z = norm.ppf(1 - 0.05 / 6) + norm.ppf(0.8)  # 2.394 + .842
    assert found.noise == pytest.approx(0.010005, abs=1e-6)
    assert found.detectable == pytest.approx(z * found.noise) == pytest.approx(0.03237, abs=1e-4)
    assert found.needed == np.ceil(400 * (found.detectable / 0.02) ** 2) == 1048


def test_harm_that_hides_in_few_clusters_needs_as_many_as_meet_it() -> None:
    """Without any noise: (1 - .02)^n <= .05 / 6 from n = 237 on, and twice as many where half the clusters count."""
    still = np.zeros(1000)
    assert sizing(still, 0.02, 400, 1.0, 0.05 / 6).needed == 237
    half = sizing(still, 0.02, 400, 0.5, 0.05 / 6)
    assert half.needed == 474 and half.detectable > 0.02
    assert sizing(still, 0.02, 474, 0.5, 0.05 / 6).detectable == pytest.approx(0.02, abs=1e-4)


def test_scenarios_plant_what_there_is_room_for() -> None:
    users = [f"u{i}" for i in range(20)]
    right = [1.0] * 17 + [0.0] * 3  # .85: may gain one margin of .1 but not two
    of = made(table(right, [0.1] * 20, [1.0] * 20, users), table(right, [0.2] * 20, [1.0] * 20, users), config())
    possible, impossible = scenarios(of, config())
    assert impossible == ["span f1 worse by twice its margin", "tool accuracy better by twice its margin"]
    names = [each.name for each in possible]
    assert names == ["equal", "tool accuracy worse by its margin", "span f1 worse by its margin",
                     "tool accuracy worse by twice its margin", "tool accuracy better by its margin"]  # fmt: skip
    hidden = possible[2]  # the guard is worse while the primary head gains all it can
    assert hidden.margins == (pytest.approx(1.5), -1.0) and hidden.false == ("PROMOTE", "REJECT")
    assert [each.sought for each in possible] == [None, None, None, "REJECT", "PROMOTE"]


def test_promoting_an_equal_model_is_false_under_improve_alone() -> None:
    users = ["a", "b"]
    same = table([1.0, 0.0], [0.5, 0.5], [1.0, 1.0], users)
    of = made(same, same, config())
    assert scenarios(of, config())[0][0].false == ("PROMOTE", "REJECT")
    assert scenarios(of, config().model_copy(update={"policy": "refresh"}))[0][0].false == ("REJECT",)


def test_many_replays_at_once_are_each_the_comparison_made_alone() -> None:
    users = [f"u{i % 30}" for i in range(120)]
    generator = np.random.default_rng(5)
    ours, theirs = (
        table(list((generator.random(120) < 0.7) * 1.0), list(generator.random(120)), [1.0] * 120, users)
        for _ in range(2)
    )
    of, settings = made(ours, theirs, config()), config()
    sets = np.stack([drawn_set(of, np.array([-0.2, 0.0]), 30, generator) for _ in range(5)])
    together = list(compared(sets, settings))
    assert len(together) == 5
    for each, pairs in zip(sets, together, strict=True):
        for head, pair in enumerate(pairs):
            a, a_of, b, b_of = (each[:, side, part, head] for side in (0, 1) for part in (0, 1))
            alone = paired_difference(a, a_of, b, b_of, np.arange(30), settings.resamples, 0.95, settings.seed)
            assert (alone.value_a, alone.value_b, alone.differing) == (pair.value_a, pair.value_b, pair.differing)
            assert (pair.low, pair.high) == pytest.approx((alone.low, alone.high), abs=1e-12)
            assert pair.bootstrap.draws == pytest.approx(alone.bootstrap.draws, abs=1e-12)
            assert pair.bootstrap.jackknife == pytest.approx(alone.bootstrap.jackknife, abs=1e-12)
