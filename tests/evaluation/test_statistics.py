"""Bootstrap, tests and Holm against SciPy, statsmodels, closed forms, and simulated data with a known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn.metrics import f1_score, roc_auc_score
from statsmodels.stats.multitest import multipletests

from components.errors import EquipoiseError
from components.evaluation import statistics
from components.evaluation.metrics import auroc_of_counts
from components.evaluation.statistics import (
    Bootstrap,
    Interval,
    acceleration,
    bca_interval,
    bca_level,
    bootstrap_of_counts,
    bootstrap_of_sums,
    calibration_error,
    cluster_sums,
    clusters_needed,
    documents,
    holm,
    interval,
    macro_f1,
    p_above,
    paired_difference,
    paired_differences,
    ratios,
    resampled_counts,
)


def conversations(seed: int, count: int, difference: float = 0.0) -> tuple[np.ndarray, ...]:
    """Hits of two models on `count` conversations of 1-8 turns whose turns succeed together; a's true share is
    `difference` above b's. Returns hit_a, hit_b, of, clusters."""
    rng = np.random.default_rng(seed)
    turns = rng.integers(1, 9, size=count)
    clusters = np.repeat(np.arange(count), turns)
    ease = np.repeat(rng.beta(6, 2, size=count), turns)
    shift = difference / 2
    hit_a = rng.random(len(clusters)) < np.clip(ease + shift, 0, 1)
    hit_b = rng.random(len(clusters)) < np.clip(ease - shift, 0, 1)
    return hit_a.astype(float), hit_b.astype(float), np.ones(len(clusters)), clusters


def test_a_hand_worked_difference() -> None:
    """a: 3 of 4, b: 2 of 4 in two conversations: .75 - .50; left-one-out: 1 - 1/2 and 1/2 - 1/2."""
    found = paired_difference([1, 1, 1, 0], [1] * 4, [1, 0, 1, 0], [1] * 4, ["x", "x", "y", "y"], 500, 0.9, 1)
    assert (found.value_a, found.value_b, found.difference) == (0.75, 0.5, 0.25)
    assert sorted(found.bootstrap.jackknife) == [0.0, 0.5]
    assert set(np.unique(found.bootstrap.draws)) == {0.0, 0.25, 0.5}
    assert (found.bootstrap.clusters, found.differing) == (2, 1)


def test_sums_per_cluster_by_hand() -> None:
    columns = np.array([[1.0, 1], [0, 1], [0.5, 2], [1, 0]])
    assert cluster_sums(columns, ["b", "a", "b", "c"]).tolist() == [[0, 1], [1.5, 3], [1, 0]]


def test_counts_are_draws_with_replacement() -> None:
    counts = np.concatenate(list(resampled_counts(40, 5000, 3)))
    assert counts.shape == (5000, 40)
    assert (counts.sum(axis=1) == 40).all()
    # Multinomial: mean 1, variance 1 - 1/n, covariance -1/n.
    assert counts.mean(axis=0) == pytest.approx(np.ones(40), abs=0.06)
    assert counts.var(axis=0).mean() == pytest.approx(1 - 1 / 40, abs=0.02)
    assert np.cov(counts[:, 0], counts[:, 1])[0, 1] == pytest.approx(-1 / 40, abs=0.05)


def test_counts_of_many_clusters_are_poisson() -> None:
    counts = np.concatenate(list(resampled_counts(1203, 400, 3)))
    assert counts.shape == (400, 1203)
    seen = np.bincount(counts.astype(int).ravel(), minlength=6)[:6] / counts.size
    assert seen == pytest.approx(stats.poisson.pmf(np.arange(6), 1), abs=0.002)
    assert statistics.POISSON.shape == (65_536,)
    assert statistics.POISSON.mean() == 1.0
    assert abs(np.corrcoef(counts[:, 0], counts[:, 1])[0, 1]) < 0.15


def test_both_kinds_of_counts_give_the_same_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    hit_a, hit_b, of, clusters = conversations(6, 1500, 0.02)
    poisson = paired_difference(hit_a, of, hit_b, of, clusters, 4000, 0.95, 1)
    monkeypatch.setattr(statistics, "MANY", 10**9)
    multinomial = paired_difference(hit_a, of, hit_b, of, clusters, 4000, 0.95, 1)
    width = multinomial.high - multinomial.low
    assert (poisson.low, poisson.high) == pytest.approx((multinomial.low, multinomial.high), abs=0.05 * width)
    assert stats.ks_2samp(poisson.bootstrap.draws, multinomial.bootstrap.draws).statistic < 0.04


@pytest.mark.parametrize("clusters", [30, 1030])
def test_chunks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch, clusters: int) -> None:
    whole = np.concatenate(list(resampled_counts(clusters, 101, 5)))
    monkeypatch.setattr(statistics, "CELLS", 7 * clusters)
    parts = list(resampled_counts(clusters, 101, 5))
    assert len(parts) > 10
    assert np.array_equal(np.concatenate(parts), whole)


def test_draws_have_the_distribution_of_scipys() -> None:
    hit_a, hit_b, of, clusters = conversations(1, 80, 0.05)
    a, b, n = cluster_sums(np.column_stack([hit_a, hit_b, of]), clusters).T

    def difference(a, b, n, axis=-1):
        return a.sum(axis=axis) / n.sum(axis=axis) - b.sum(axis=axis) / n.sum(axis=axis)

    theirs = stats.bootstrap(
        (a, b, n), difference, paired=True, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1)
    )
    ours = paired_difference(hit_a, of, hit_b, of, clusters, 20_000, 0.95, 2)
    assert ours.difference == pytest.approx(difference(a, b, n))
    assert stats.ks_2samp(ours.bootstrap.draws, theirs.bootstrap_distribution).statistic < 0.02
    assert np.std(ours.bootstrap.draws, ddof=1) == pytest.approx(theirs.standard_error, rel=0.03)


def test_bca_levels_are_scipys_on_the_same_draws() -> None:
    """Without the expansion for few clusters the bounds are those of scipy.stats.bootstrap, draw for draw."""
    rng = np.random.default_rng(7)
    sample = rng.exponential(size=25)
    theirs = stats.bootstrap((sample,), np.mean, n_resamples=4000, method="BCa", confidence_level=0.9, rng=rng)
    jackknife = (sample.sum() - sample) / 24
    bootstrap = Bootstrap(sample.mean(), theirs.bootstrap_distribution, jackknife, 25)
    z = stats.norm.ppf(0.95)
    bounds = np.quantile(bootstrap.draws, [bca_level(bootstrap, -z), bca_level(bootstrap, z)])
    assert bounds == pytest.approx([theirs.confidence_interval.low, theirs.confidence_interval.high], abs=1e-12)
    low, high = bca_interval(bootstrap, 0.9)
    assert low < bounds[0] and high > bounds[1]


def test_acceleration_of_a_mean_is_its_skewness_over_six_root_n() -> None:
    sample = np.random.default_rng(2).gamma(2, size=300)
    jackknife = (sample.sum() - sample) / 299
    assert acceleration(jackknife) == pytest.approx(stats.skew(sample) / (6 * math.sqrt(300)), rel=1e-9)
    assert acceleration(np.full(9, 0.3)) == 0.0


def test_the_interval_of_a_symmetric_mean_is_students() -> None:
    sample = stats.norm.ppf((np.arange(60) + 0.5) / 60) * 0.1 + 0.5
    found = interval(sample, np.ones(60), np.arange(60), 40_000, 0.95, 3)
    theirs = stats.t.interval(0.95, 59, sample.mean(), sample.std(ddof=1) / math.sqrt(60))
    assert (found.low, found.high) == pytest.approx(theirs, abs=0.002)


def test_p_values_are_the_interval_turned_round() -> None:
    """The bound of a 90% interval is the threshold whose one-sided p-value is .05."""
    hit_a, hit_b, of, clusters = conversations(4, 120, 0.03)
    bootstrap = paired_difference(hit_a, of, hit_b, of, clusters, 20_000, 0.9, 5).bootstrap
    low, high = bca_interval(bootstrap, 0.9)
    assert p_above(bootstrap, low) == pytest.approx(0.05, abs=0.002)
    assert p_above(bootstrap.negated(), -high) == pytest.approx(0.05, abs=0.002)
    thresholds = np.linspace(-0.2, 0.2, 41)
    values = [p_above(bootstrap, t) for t in thresholds]
    assert values == sorted(values)
    assert values[0] < 0.001 and values[-1] > 0.999


def test_the_paired_test_agrees_with_students_on_clusters_of_one() -> None:
    rng = np.random.default_rng(11)
    a, b = rng.random(200) * 0.5 + 0.28, rng.random(200) * 0.5 + 0.25
    found = paired_difference(a, np.ones(200), b, np.ones(200), np.arange(200), 40_000, 0.95, 1)
    theirs = stats.ttest_rel(a, b, alternative="greater").pvalue
    assert p_above(found.bootstrap, 0.0) == pytest.approx(theirs, abs=0.01)


@pytest.mark.parametrize("count,width", [(20, 0.035), (60, 0.03)])
def test_intervals_cover_the_truth_and_equal_models_rarely_win(count: int, width: float) -> None:
    """400 evaluation sets with two models that are truly equal: a 95% interval misses 0 in about 5% of them and the
    one-sided test at .05 claims "better" in about 5%, also with few clusters of unequal sizes."""
    misses = claims = 0
    for seed in range(400):
        hit_a, hit_b, of, clusters = conversations(seed, count)
        found = paired_difference(hit_a, of, hit_b, of, clusters, 400, 0.95, seed)
        misses += not found.low <= 0 <= found.high
        claims += p_above(found.bootstrap, 0.0) <= 0.05
    assert abs(misses / 400 - 0.05) <= width
    assert abs(claims / 400 - 0.05) <= width


def test_ignoring_clusters_would_be_too_sure() -> None:
    """Why whole conversations are drawn: where the turns of a conversation are alike, turns alone look too certain."""
    rng = np.random.default_rng(3)
    hit = np.repeat(rng.random(50) < 0.7, 10).astype(float)
    of = np.ones(500)
    whole = interval(hit, of, np.repeat(np.arange(50), 10), 2000, 0.95, 1)
    turns = interval(hit, of, np.arange(500), 2000, 0.95, 1)
    assert whole.high - whole.low > 2.5 * (turns.high - turns.low)


def test_single_intervals_at_the_ends_are_exact_binomial_ones() -> None:
    clusters = np.repeat(np.arange(30), 2)
    perfect = interval(np.ones(60), np.ones(60), clusters, 300, 0.95, 1)
    theirs = stats.binomtest(30, 30).proportion_ci(0.95, method="exact")
    assert perfect == pytest.approx((1.0, theirs.low, 1.0))
    nothing = interval(np.zeros(60), np.ones(60), clusters, 300, 0.95, 1)
    assert nothing == pytest.approx((0.0, 0.0, 1 - theirs.low))


def test_samples_without_a_label_have_no_say() -> None:
    hit, of = np.array([1.0, 0, 1, 0, 0, 0]), np.array([1.0, 1, 1, 1, 0, 0])
    clusters = np.array(["a", "a", "b", "b", "c", "d"])
    assert interval(hit, of, clusters, 500, 0.9, 1) == interval(hit[:4], of[:4], clusters[:4], 500, 0.9, 1)
    assert all(math.isnan(v) for v in interval(hit, np.zeros(6), clusters, 500, 0.9, 1))
    assert all(math.isnan(v) for v in interval([], [], [], 500, 0.9, 1))
    one = interval([1, 0], [1, 1], ["a", "a"], 500, 0.9, 1)
    assert one.value == 0.5 and math.isnan(one.low)


def test_the_order_of_rows_and_the_names_of_columns_do_not_matter() -> None:
    hit_a, hit_b, of, clusters = conversations(9, 40, 0.02)
    shuffled = np.random.default_rng(1).permutation(len(of))
    found = paired_difference(hit_a, of, hit_b, of, clusters, 400, 0.95, 1)
    again = paired_difference(
        hit_a[shuffled], of[shuffled], hit_b[shuffled], of[shuffled], clusters[shuffled], 400, 0.95, 1
    )
    assert found[:5] == again[:5]


def test_metrics_judged_together_are_those_judged_alone() -> None:
    hit_a, hit_b, of, clusters = conversations(9, 40, 0.02)
    sparse = (np.arange(len(of)) % 3 == 0).astype(float)
    together = paired_differences(
        np.column_stack([hit_a, hit_a * sparse]),
        np.column_stack([of, sparse]),
        np.column_stack([hit_b, hit_b * sparse]),
        np.column_stack([of, of]),
        clusters,
        300,
        0.9,
        4,
    )
    first = paired_difference(hit_a, of, hit_b, of, clusters, 300, 0.9, 4)
    second = paired_difference(hit_a * sparse, sparse, hit_b * sparse, of, clusters, 300, 0.9, 4)
    assert together[0][:5] == pytest.approx(first[:5])
    assert together[1][:5] == pytest.approx(second[:5])
    assert second.value_b == pytest.approx((hit_b * sparse).sum() / of.sum())


shares = hnp.arrays(float, st.integers(3, 60), elements=st.floats(0, 1, width=32))


@settings(max_examples=60, deadline=None)
@given(shares, st.integers(1, 12), st.integers(0, 5))
def test_a_single_interval_holds_its_value_and_stays_a_share(hit: np.ndarray, clusters: int, seed: int) -> None:
    names = np.arange(len(hit)) % clusters
    found = interval(hit, np.ones(len(hit)), names, 200, 0.9, seed)
    assert found.value == pytest.approx(hit.mean())
    if len(np.unique(names)) > 1:
        assert 0 <= found.low <= found.high <= 1


@settings(max_examples=60, deadline=None)
@given(shares, st.integers(0, 5))
def test_swapping_the_models_turns_the_difference_round(hit: np.ndarray, seed: int) -> None:
    of, names, other = np.ones(len(hit)), np.arange(len(hit)), hit[::-1]
    one = paired_difference(hit, of, other, of, names, 200, 0.9, seed)
    two = paired_difference(other, of, hit, of, names, 200, 0.9, seed)
    assert one.difference == pytest.approx(-two.difference, abs=1e-12)
    assert (one.low, one.high) == pytest.approx((-two.high, -two.low), abs=0.02)
    same = paired_difference(hit, of, hit, of, names, 200, 0.9, seed)
    assert (same.difference, same.low, same.high, same.differing) == (0, 0, 0, 0)


@pytest.mark.parametrize("seed", range(10))
def test_holm_is_statsmodels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p_values = np.round(rng.beta(0.5, 5, size=rng.integers(1, 20)), 2)  # rounded: with ties
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]


def test_macro_f1_of_sums_is_scikit_learns() -> None:
    rng = np.random.default_rng(5)
    labels, predictions, clusters = rng.integers(3, size=200), rng.integers(3, size=200), rng.integers(25, size=200)
    classes = np.arange(3)
    one_hot, chosen = labels[:, None] == classes, predictions[:, None] == classes
    sums = cluster_sums(np.hstack([one_hot & chosen, chosen, one_hot]).astype(float), clusters)
    by_sums = bootstrap_of_sums(sums, macro_f1, 50, 6)[0]
    assert by_sums.value == pytest.approx(f1_score(labels, predictions, average="macro"))

    def of_counts(counts: np.ndarray) -> np.ndarray:
        rows = (np.repeat(np.arange(200), row[clusters].astype(int)) for row in counts)
        return np.array([[f1_score(labels[r], predictions[r], average="macro")] for r in rows])

    by_counts = bootstrap_of_counts(of_counts, 25, 50, 6)[0]
    assert by_sums.draws == pytest.approx(by_counts.draws)
    assert by_sums.jackknife == pytest.approx(by_counts.jackknife)


def test_calibration_error_by_hand() -> None:
    """Two bins: 2 samples, confidence 1.6, 1 hit; 2 samples, confidence .6, 1 hit: (.6 + .4) / 4."""
    assert calibration_error(np.array([[2, 2, 1.6, 0.6, 1, 1]])).item() == pytest.approx(0.25)


def test_auroc_is_resampled_as_a_whole() -> None:
    rng = np.random.default_rng(8)
    labels, clusters = rng.integers(2, size=150), rng.integers(40, size=150)
    scores = labels + rng.normal(size=150)
    found = bootstrap_of_counts(auroc_of_counts(labels, scores, clusters, 40), 40, 200, 1)[0]
    assert found.value == pytest.approx(roc_auc_score(labels, scores))
    low, high = bca_interval(found, 0.95)
    assert 0.5 < low < found.value < high < 1
    # Hanley & McNeil 1982, eq. 1: the standard error of an AUROC, turns taken as independent as they are here.
    a, positives, negatives = found.value, labels.sum(), (1 - labels).sum()
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    variance = (a * (1 - a) + (positives - 1) * (q1 - a * a) + (negatives - 1) * (q2 - a * a)) / (positives * negatives)
    assert np.std(found.draws) == pytest.approx(math.sqrt(variance), rel=0.25)


def test_the_number_of_clusters_needed_is_the_sample_size_formula() -> None:
    """One-sided z-test: n = ((1.645 + .842) sd / distance)^2, sd = .5, distance .05 -> 618 clusters."""
    rng = np.random.default_rng(1)
    sample = rng.permutation(np.repeat([0.0, 1.0], 200))
    bootstrap = bootstrap_of_sums(np.column_stack([sample, np.ones(400)]), ratios, 20_000, 2)[0]
    assert clusters_needed(bootstrap, 400, 0.05, 0.05) == pytest.approx(618, rel=0.03)
    assert clusters_needed(bootstrap, 400, -0.05, 0.05) == clusters_needed(bootstrap, 400, 0.05, 0.05)
    assert clusters_needed(bootstrap, 400, 0.0, 0.05) is None


def test_that_number_does_decide() -> None:
    """With the clusters it names, about four in five fresh evaluation sets show the true difference."""
    pilot = conversations(1, 400, 0.05)
    bootstrap = paired_difference(pilot[0], pilot[2], pilot[1], pilot[2], pilot[3], 2000, 0.95, 1).bootstrap
    needed = clusters_needed(bootstrap, 400, 0.05, 0.05)
    assert needed is not None
    shown = 0
    for seed in range(200):
        hit_a, hit_b, of, clusters = conversations(1000 + seed, needed, 0.05)
        shown += p_above(paired_difference(hit_a, of, hit_b, of, clusters, 400, 0.95, seed).bootstrap, 0.0) <= 0.05
    assert 0.68 <= shown / 200 <= 0.92


@pytest.mark.parametrize("hit,clusters", [([1.0], ["a", "b"]), ([], []), ([math.nan], ["a"]), ([math.inf], ["a"])])
def test_unusable_input_is_answered(hit: list[float], clusters: list[str]) -> None:
    ones = np.ones(len(hit))
    with pytest.raises(EquipoiseError, match="E_DATA bootstrap") as caught:
        paired_difference(hit, ones, hit, ones, clusters, 100, 0.9, 1)
    assert caught.value.exit_code == 65


def test_rare_labels_leave_undefined_draws_out() -> None:
    """One conversation in six has a label: the draws without it have no value and do not count as zero."""
    hit, of = np.array([1.0, 1, 0, 0, 0, 0, 0]), np.array([1.0, 1, 0, 0, 0, 0, 0])
    found = paired_difference(hit, of, hit * 0, of, np.array([0, 1, 2, 3, 4, 5, 6]), 500, 0.9, 1)
    assert 0 < len(found.bootstrap.draws) < 500
    assert set(found.bootstrap.draws) == {1.0}
    assert found.bootstrap.clusters == 2


def test_an_end_that_no_draw_defines_is_null():
    found = {"a": Interval(0.5, 0.25, 0.75), "b": Interval(0.5, math.nan, math.nan)}
    assert documents(found) == {
        "a": {"value": 0.5, "low": 0.25, "high": 0.75},
        "b": {"value": 0.5, "low": None, "high": None},
    }
