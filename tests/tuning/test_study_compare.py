"""How settings are compared: hand-worked errors, planted differences, Holm, and false claims."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from components.errors import EquipoiseError
from components.tuning.study_compare import Difference, Scores, adjusted, differences

METRIC = ("x/acc",)


def scores(hits, clusters=None, of=None):
    """Scores of one metric: hits [seeds][n]; every sample a cluster of its own unless told."""
    hit = np.asarray(hits, dtype=np.float64)[..., None]
    names = np.arange(hit.shape[1]) if clusters is None else np.asarray(clusters)
    return Scores(names, hit, np.ones_like(hit) if of is None else np.asarray(of, dtype=np.float64)[..., None])


def compared(a, b, resamples=4000, confidence=0.95, seed=3):
    return differences(a, b, METRIC, resamples, confidence, seed)[0]


def test_of_samples_alone_it_is_the_standard_error_of_a_mean():
    """40 samples, all seeds alike: the setting is right where the reference is, and in 20 more."""
    right = [1.0] * 10 + [0.0] * 30
    found = compared(scores([[1.0] * 30 + [0.0] * 10] * 3), scores([right] * 3))
    # 20 differences of 1 and 20 of 0: variance with n - 1 is 10 / 39, standard error sqrt(10 / 39 / 40) = .0801
    assert found.value == pytest.approx(0.5) and found.seeds_error == 0
    assert found.samples_error == pytest.approx(math.sqrt(10 / 39 / 40), rel=0.05)
    reach = stats.t.ppf(0.975, 39) * found.samples_error
    assert (found.low, found.high) == pytest.approx((0.5 - reach, 0.5 + reach))


def test_of_seeds_alone_it_is_the_paired_t_test_over_seeds():
    """Every sample agrees within a seed, so drawing samples changes nothing: differences .5, .25 and .75 by seed."""
    reference = [[0.25] * 20, [0.5] * 20, [0.0] * 20]
    setting = [[0.75] * 20, [0.75] * 20, [0.75] * 20]
    found = compared(scores(setting), scores(reference))
    expected = stats.ttest_rel([0.75] * 3, [0.25, 0.5, 0.0])
    assert found.samples_error == pytest.approx(0, abs=1e-9)
    assert found.seeds_error == pytest.approx(0.25 / math.sqrt(3))
    assert found.p == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_the_reaches_of_both_add_up_as_squares_and_p_is_where_the_interval_touches_0():
    draw = np.random.default_rng(1)
    a, b = (scores((draw.random((4, 200)) < p).astype(float)) for p in (0.7, 0.6))
    found = compared(a, b)
    reach = math.hypot(stats.t.ppf(0.975, 199) * found.samples_error, stats.t.ppf(0.975, 3) * found.seeds_error)
    assert (found.high - found.value, found.value - found.low) == pytest.approx((reach, reach))
    assert 0.001 < found.p < 0.5
    touching = compared(a, b, confidence=1 - found.p)
    assert touching.low == pytest.approx(0, abs=1e-9) and touching.p == pytest.approx(found.p)


def test_whole_clusters_are_drawn():
    """The 40 samples again, now 4 clusters of ten equal ones: a hundred samples that agree are one observation."""
    ahead, behind = [1.0] * 30 + [0.0] * 10, [1.0] * 10 + [0.0] * 30
    alone = compared(scores([ahead] * 3), scores([behind] * 3))
    grouped = compared(scores([ahead] * 3, np.arange(40) // 10), scores([behind] * 3, np.arange(40) // 10))
    assert grouped.samples_error > 2.5 * alone.samples_error
    assert grouped.p >= 2 * 0.5**2, "two clusters differ: four ways to sign them, two as extreme"


def test_alike_is_exactly_no_difference():
    same = scores(np.random.default_rng(2).integers(0, 2, (3, 50)))
    (found,) = adjusted(differences(same, same, METRIC, 400, 0.95, 1), 0.95)
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1) and found.verdict == "no difference shown"


@pytest.mark.parametrize(
    ("p_setting", "lower", "verdict"),
    [(0.8, False, "better"), (0.4, False, "worse"), (0.8, True, "worse"), (0.4, True, "better")],
)
def test_a_planted_difference_is_found_and_its_direction_is_the_metrics(p_setting, lower, verdict):
    draw = np.random.default_rng(5)
    a, b = (scores((draw.random((3, 600)) < p).astype(float)) for p in (p_setting, 0.6))
    (found,) = adjusted([compared(a, b)], 0.95, frozenset(METRIC) if lower else frozenset())
    assert found.verdict == verdict


def test_what_the_next_seed_would_turn_round_is_not_shown():
    """Thousands of samples make the draws certain; the seeds disagree about the sign, and that decides."""
    rates = [(0.80, 0.60), (0.60, 0.66), (0.70, 0.65)]
    a, b = (scores([[1.0] * round(5000 * r[i]) + [0.0] * round(5000 * (1 - r[i])) for r in rates]) for i in (0, 1))
    (found,) = adjusted([compared(a, b, resamples=400)], 0.95)
    assert abs(found.value) > 4 * found.samples_error, "by the samples alone it would be called a difference"
    assert found.verdict == "no difference shown" and found.low < 0 < found.high


def test_nothing_is_called_something_no_more_often_than_said():
    """Both settings draw their rate anew with each seed: 300 studies of 3 seeds, in which nothing is there."""
    draw = np.random.default_rng(11)
    claims = naive = 0
    for _ in range(300):
        rates = 0.7 + 0.03 * draw.normal(size=(2, 3, 1))
        a, b = (scores((draw.random((3, 300)) < rate).astype(float)) for rate in rates)
        found = compared(a, b, resamples=200)
        claims += found.p <= 0.05
        naive += abs(found.value) > 1.96 * found.samples_error
    assert claims / 300 <= 0.05, claims
    assert naive / 300 > 0.12, "the seeds' part is needed"


def difference(p, value=0.1, metric="x/acc"):
    return Difference(metric, value, 0, 0, 0, 0, p, p, "no difference shown")


@pytest.mark.parametrize("size", [1, 2, 5, 12])
def test_the_family_is_holms(size):
    p_values = np.random.default_rng(size).random(size) ** 4
    found = adjusted([difference(p) for p in p_values], 0.95)
    rejected, expected = multipletests(p_values, alpha=0.05, method="holm")[:2]
    assert [each.adjusted for each in found] == pytest.approx(list(expected))
    assert [each.verdict == "better" for each in found] == rejected.tolist()


def test_a_claim_that_stands_alone_falls_in_a_family():
    assert adjusted([difference(0.03)], 0.95)[0].verdict == "better"
    family = adjusted([difference(0.03), difference(0.5), difference(0.001, -0.2)], 0.95)
    assert [each.verdict for each in family] == ["no difference shown", "no difference shown", "worse"]
    assert [each.adjusted for each in family] == pytest.approx([0.06, 0.5, 0.003])


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (scores([[1, 0], [1, 1]], ["c", "c"]), scores([[0, 0], [1, 1]], ["c", "c"])),
        (scores([[1, 0]] * 2, of=[[0, 0]] * 2), scores([[0, 0]] * 2, of=[[0, 0]] * 2)),
        (scores([[1, 0]] * 2, of=[[1, 1], [0, 0]]), scores([[0, 0]] * 2)),
    ],
    ids=["one cluster", "nothing labelled", "a run that nothing can be said of"],
)
def test_what_cannot_be_judged_is_refused(a, b):
    with pytest.raises(EquipoiseError) as refused:
        compared(a, b, resamples=50)
    assert refused.value.code == "E_STUDY_SCORES" and "x/acc" in str(refused.value)
