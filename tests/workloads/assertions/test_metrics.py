"""How right assertions are: worked numbers, spacing that does not matter, heads over the rows they speak of."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.config_parts import EvaluationConfig
from components.errors import EquipoiseError
from components.workloads.assertions.answers import Prediction
from components.workloads.assertions.metrics import (
    differences,
    edit_similarity,
    metrics,
    score,
    token_f1,
    validation_metrics,
    values,
)
from components.workloads.assertions.pairs import Pair

SETTINGS = EvaluationConfig(resamples=100, confidence=0.9, seed=1, calibration_bins=5, minimum_slice=2)


def pair(number: int, assertion: str | None, prior: int = 0) -> Pair:
    kind = None if assertion is None else assertion.partition("(")[0]
    return Pair(
        id=str(number),
        project="p",
        path=f"{number % 3}.java",
        test_class="ATest",
        test_name="t",
        focal_class="A",
        focal_method="f",
        focal_code="int f() { return 1; }",
        test_prefix="A a = new A();",
        assertion=assertion,
        assert_type=kind,
        n_prior_asserts=prior,
    )


LABELLED = [
    pair(0, "assertEquals(1, a.f());"),
    pair(1, 'assertEquals("b", a.f());', 1),
    pair(2, "assertTrue(a.f() > 0);", 2),
]
SAID = [
    Prediction("assertEquals( 1,a.f( ) ) ;", 0.5),
    Prediction("assertTrue(a.f());", 0.2),
    Prediction("assertTrue(a.f(", 0.1),
]


def test_heads_by_hand():
    frame = score(LABELLED, SAID, frozenset({'assertEquals("b", a.f());'}))
    found = values(frame)
    assert found["exact_match/all"] == pytest.approx(1 / 3)
    assert found["exact_match/copyable"] == 1.0  # "b" and > stand nowhere in the input
    assert found["exact_match/unseen"] == pytest.approx(1 / 2)
    assert found["exact_match/with_prior"] == 0.0
    assert found["exact_match/without_prior"] == 1.0
    assert found["type/accuracy"] == pytest.approx(2 / 3)
    assert found["syntax/valid"] == pytest.approx(2 / 3)
    assert frame["type_prediction"].to_list() == ["assertEquals", "assertTrue", "assertTrue"]
    assert frame["similarity/tokens/hit"][0] == frame["similarity/pans/hit"][0] == 1.0
    objective = validation_metrics(frame)["objective"]
    assert objective == pytest.approx((found["similarity/tokens"] + found["type/accuracy"]) / 2)


def test_intervals_and_differences():
    frame = score(LABELLED, SAID)
    found = metrics(frame, SETTINGS)
    assert "test/exact_match/unseen" not in found  # nobody said what training holds
    low, value, high = (getattr(found["test/type/accuracy"], part) for part in ("low", "value", "high"))
    assert low <= value <= high
    assert all(tuple(each) == (0.0, 0.0, 0.0) for each in differences(frame, frame, SETTINGS).values())
    with pytest.raises(ValueError, match="same samples"):
        differences(frame, frame.reverse(), SETTINGS)
    assert metrics(frame.clear(), SETTINGS) == {}
    assert validation_metrics(frame.clear())["objective"] == 0.0


def test_a_sample_without_label_is_refused():
    with pytest.raises(EquipoiseError, match="E_LABELS sample 7"):
        score([pair(7, None)], SAID[:1])


def test_token_f1_by_hand():
    assert token_f1(list("aab"), list("abc")) == pytest.approx(4 / 6)
    assert token_f1([], []) == 1.0
    assert token_f1(list("a"), []) == 0.0


def plain_distance(left: str, right: str) -> int:
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


@settings(max_examples=100, deadline=None)
@given(st.text("abc", max_size=9), st.text("abc", max_size=9))
def test_edit_similarity_is_the_plain_distance(left, right):
    longest = max(len(left), len(right), 1)
    assert edit_similarity(left, right) == pytest.approx(1 - plain_distance(left, right) / longest)
