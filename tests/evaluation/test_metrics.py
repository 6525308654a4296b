"""Metrics from sums against hand-worked numbers and scikit-learn; intervals against each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from components.config import EvaluationConfig
from components.evaluation import metrics as measures
from components.evaluation.statistics import macro_f1, ratios, resampled_counts


def value(label, prediction, classes, statistic):
    return measures.value_of(measures.class_parts(label, prediction, classes), statistic)


def test_hand_worked_f1():
    # right 1, predicted 2, labelled 3: precision 1/2, recall 1/3, F1 = 2/5
    label, said = [1, 1, 1, 0, 0], [1, 0, 0, 1, 0]
    assert measures.class_parts(label, said, [1]).sum(axis=0).tolist() == [1, 2, 3]
    assert value(label, said, [1], measures.precision) == pytest.approx(1 / 2)
    assert value(label, said, [1], measures.recall) == pytest.approx(1 / 3)
    assert value(label, said, [1], measures.f1) == pytest.approx(2 / 5)
    # class 0: right 1, predicted 3, labelled 2: F1 = 2/5 too
    assert value(label, said, [0, 1], macro_f1) == pytest.approx(2 / 5)


def test_hand_worked_auroc_with_a_tie():
    # pairs (positive, negative): (.9, .4) 1, (.9, .1) 1, (.4, .4) 1/2, (.4, .1) 1 -> 3.5 / 4
    assert measures.auroc(np.array([1, 1, 0, 0]), np.array([0.9, 0.4, 0.4, 0.1])) == pytest.approx(3.5 / 4)


@pytest.mark.parametrize("label", [[0, 0], [1, 1], []])
def test_auroc_needs_both_classes(label):
    assert np.isnan(measures.auroc(np.array(label), np.linspace(0, 1, len(label))))


def test_what_is_undefined_is_nan_and_an_empty_sum_too():
    assert np.isnan(value([0], [0], [1], measures.precision))
    assert np.isnan(value([1], [None], [0], measures.recall))
    assert np.isnan(value([], [], [0, 1], macro_f1))


LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


@settings(max_examples=100, deadline=None)
@given(pairs=LABELS)
def test_classes_equal_scikit_learn(pairs):
    label, said = [a for a, _ in pairs], [b for _, b in pairs]
    assert value(label, said, range(4), macro_f1) == pytest.approx(f1_score(label, said, average="macro"))
    binary = [v == 2 for v in label], [v == 2 for v in said]
    for ours, oracle in (
        (measures.f1, f1_score),
        (measures.precision, precision_score),
        (measures.recall, recall_score),
    ):
        assert np.nan_to_num(value(label, said, [2], ours)) == pytest.approx(oracle(*binary, zero_division=0))


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=40))
def test_auroc_equals_scikit_learn_with_ties(rows):
    label, probability = (np.array(column, float) for column in zip(*rows, strict=True))
    if 0 < label.sum() < len(label):
        assert measures.auroc(label, probability / 6) == pytest.approx(roc_auc_score(label, probability))
    else:
        assert np.isnan(measures.auroc(label, probability))


def config(resamples=400, confidence=0.9, seed=9):
    return EvaluationConfig(
        resamples=resamples, confidence=confidence, seed=seed, calibration_bins=10, minimum_slice=10
    )


def table(samples=300, clusters=40, seed=5):
    random = np.random.default_rng(seed)
    hard = random.random(clusters)
    cluster = random.integers(0, clusters, samples)
    label = random.integers(0, 2, samples)
    probability = np.where(random.random(samples) < hard[cluster], label, random.random(samples)).round(1)
    return label, probability, cluster


def test_the_interval_of_auroc_holds_that_of_scikit_learn_on_the_same_draws():
    label, probability, cluster = table()
    value, low, high = measures.interval_of_auroc(label, probability, cluster, config())
    assert value == pytest.approx(roc_auc_score(label, probability))
    drawn = []
    for counts in resampled_counts(40, 400, 9):
        for row in counts:
            weight = row[np.unique(cluster, return_inverse=True)[1]]
            drawn.append(roc_auc_score(label, probability, sample_weight=weight))
    spread = np.std(drawn)
    assert np.quantile(drawn, 0.05) - low == pytest.approx(0, abs=spread)
    assert high - np.quantile(drawn, 0.95) == pytest.approx(0, abs=spread)
    assert low < value < high


def test_the_interval_of_f1_is_around_its_value_and_wider_for_fewer_clusters():
    label, probability, cluster = table()
    parts = measures.class_parts(label.tolist(), (probability >= 0.5).astype(int).tolist(), [1])
    many = measures.interval_of(parts, np.arange(300), measures.f1, config())
    few = measures.interval_of(parts, cluster % 8, measures.f1, config())
    assert many.value == few.value == pytest.approx(f1_score(label, probability >= 0.5))
    assert few.low < many.low < many.value < many.high < few.high


def test_the_difference_of_a_model_to_itself_is_zero_and_certain():
    label, probability, cluster = table()
    parts = measures.class_parts(label.tolist(), (probability >= 0.5).astype(int).tolist(), [1])
    both = np.concatenate([parts, parts], axis=1)
    assert tuple(measures.interval_of(both, cluster, measures.minus(measures.f1, 3), config())) == (0, 0, 0)


def test_a_share_without_errors_keeps_an_honest_lower_bound():
    parts = np.ones((60, 2))
    value, low, high = measures.interval_of(parts, np.arange(60), ratios, config())
    assert (value, high) == (1.0, 1.0)
    assert 0.9 < low < 1.0


def test_what_is_undefined_has_no_interval():
    parts = np.zeros((5, 3))
    assert all(np.isnan(measures.interval_of(parts, np.arange(5), measures.precision, config())))
    assert all(np.isnan(measures.interval_of_auroc(np.ones(5), np.ones(5), np.arange(5), config())))
