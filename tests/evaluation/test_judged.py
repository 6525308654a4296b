"""Heads that are no means, slices, daily accounts: every statistic by hand, and on the same draws as the shares."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from components.config_parts import GateConfig
from components.errors import EquipoiseError
from components.evaluation.judged import examine
from components.evaluation.judged_series import Account, paired_account


def config(*heads: tuple[str, str], **changes) -> GateConfig:
    listed = [{"head": h, "metric": m, "role": "primary", "margin": 0.05, "direction": "higher"} for h, m in heads]
    values = {"policy": "improve", "alpha": 0.05, "resamples": 200, "seed": 1, "cluster": "user", "heads": listed}
    return GateConfig.model_validate(values | changes)


def table(label: list, said: list, probability: list[float] | None = None, users: list | None = None) -> pl.DataFrame:
    n = len(label)
    frame = pl.DataFrame(
        {
            "id": [str(i) for i in range(n)],
            "user": users or [str(i) for i in range(n)],
            "kind_label": label,
            "kind_prediction": said,
            "kind/accuracy/hit": [float(a == b) for a, b in zip(label, said, strict=True)],
            "kind/accuracy/of": [1.0] * n,
        }
    )
    return frame if probability is None else frame.with_columns(kind_probability=pl.Series(probability))


def answer(ours: pl.DataFrame, theirs: pl.DataFrame, settings: GateConfig, number: int = 0):
    return examine(ours, theirs, settings).answers(settings.resamples)[number]


def test_macro_f1_by_hand() -> None:
    """Ours: F1 of a 2 / (1 + 2), of b 4 / (3 + 2); theirs is perfect. The row without a label has no say."""
    label = ["a", "a", "b", "b", None]
    found = answer(
        table(label, ["a", "b", "b", "b", "a"]), table(label, [*label[:4], "b"]), config(("kind", "macro_f1"))
    )
    assert found.pair.value_a == pytest.approx((2 / 3 + 4 / 5) / 2) and found.pair.value_b == 1.0
    assert found.pair.difference == pytest.approx(11 / 15 - 1)
    assert (found.samples, found.pair.bootstrap.clusters, found.pair.differing) == (4, 4, 1)


def test_auroc_by_hand() -> None:
    """Positives .9 and .4, negatives .9 and .1: of four pairs a tie, two wins and a loss."""
    label = [1, 0, 1, 0]
    ours, theirs = table(label, label, [0.9, 0.9, 0.4, 0.1]), table(label, label, [0.9, 0.2, 0.8, 0.1])
    found = answer(ours, theirs, config(("kind", "auroc")))
    assert (found.pair.value_a, found.pair.value_b, found.pair.difference) == (0.625, 1.0, -0.375)
    assert found.pair.differing == 2


def test_ece_by_hand() -> None:
    """Two bins. Ours: .9 and .7 with one positive, |1.6 - 1| / 3, and .3 without, .3 / 3. Theirs: all in one bin."""
    label = [1, 0, 0]
    ours, theirs = table(label, label, [0.9, 0.7, 0.3]), table(label, label, [0.6, 0.6, 0.6])
    found = answer(ours, theirs, config(("kind", "ece"), calibration_bins=2))
    assert found.pair.value_a == pytest.approx((0.6 + 0.3) / 3)
    assert found.pair.value_b == pytest.approx(abs(1.8 - 1) / 3)


def test_ece_of_confidences_asks_whether_the_answer_was_right() -> None:
    label = ["a", "b", "a", "b"]
    ours = table(label, ["a", "b", "b", "b"]).with_columns(kind_confidence=pl.lit(0.9))
    found = answer(ours, ours, config(("kind", "ece")))
    assert found.pair.value_a == pytest.approx(0.9 - 0.75) and found.pair.differing == 0


def test_a_whole_statistic_sees_the_draws_of_the_shares() -> None:
    """Certain of every answer, the calibration error is 1 - accuracy: its draws are those of the accuracy, negated."""
    generator = np.random.default_rng(3)
    users = [f"u{i}" for i in generator.integers(30, size=150)]
    sides = [table(["x"] * 150, list(np.where(generator.random(150) < 0.7, "x", "y")), users=users) for _ in range(2)]
    sure = [side.with_columns(kind_confidence=pl.lit(1.0)) for side in sides]
    settings = config(("kind", "accuracy"), ("kind", "ece"))
    share, error = examine(*sure, settings).answers(300)
    assert error.pair.bootstrap.draws == pytest.approx(-share.pair.bootstrap.draws)
    assert error.pair.bootstrap.jackknife == pytest.approx(-share.pair.bootstrap.jackknife)
    assert (error.pair.low, error.pair.high) == pytest.approx((-share.pair.high, -share.pair.low), abs=0.02)


def account(*net: float, cash: float = 0.0) -> Account:
    return Account(np.arange(len(net)), np.array(net), np.full(len(net), cash), overlap=1)


def test_drawdown_and_sharpe_by_hand() -> None:
    """From 1.1 down to .55 is half; from 1.1 to .88 a fifth. Means over deviations: .02 / .01 and .01 / .01."""
    deep, shallow = account(0.1, -0.5, 0.2), account(0.1, -0.2, 0.0)
    found = paired_account("drawdown", deep, shallow, 200, 0.95, 1)
    assert (found.value_a, found.value_b, found.difference) == pytest.approx((-0.5, -0.2, -0.3))
    good, fair = account(0.02, 0.03, 0.04, cash=0.01), account(0.01, 0.02, 0.03, cash=0.01)
    found = paired_account("sharpe", good, fair, 200, 0.95, 1)
    assert (found.value_a, found.value_b) == pytest.approx((2 * math.sqrt(252), math.sqrt(252)))


def test_an_account_that_earns_more_every_day_is_shown_to_be_better() -> None:
    market = np.random.default_rng(5).normal(0, 0.01, 400)
    days, cash = np.arange(400), np.zeros(400)
    ours, theirs = Account(days, market + 0.001, cash, 5), Account(days, market, cash, 5)
    found = paired_account("sharpe", ours, theirs, 300, 0.95, 1)
    assert 0 < found.low < found.difference < found.high and found.bootstrap.clusters <= 80


def test_accounts_of_other_days_are_refused() -> None:
    other = Account(np.arange(1, 3), np.zeros(2), np.zeros(2), 1)
    with pytest.raises(EquipoiseError, match="accounts must be of the same days") as caught:
        paired_account("sharpe", account(0.1, 0.2), other, 200, 0.95, 1)
    assert caught.value.code == "E_GATE_PAIRS"


def test_slices_come_smallest_first_and_small_ones_are_named() -> None:
    users = ["a", "a", "b", "c", "d", "e", "f"]
    said = ["x", "y", "x", "x", "x", "y", "x"]
    shop = pl.Series("shop", ["big", "big", "big", "mid", "mid", "tiny", None])
    frame = table(["x"] * 7, said, users=users).with_columns(shop)
    other = table(["x"] * 7, ["x"] * 7, users=users).with_columns(shop)
    slices = [{"column": "shop", "minimum": 2, "margin": 0.1}]
    asked = examine(frame, other, config(("kind", "accuracy"), slices=slices))
    # big: users a and b; mid: c and d; both have two, in the order of their names. The last row belongs to none.
    assert [q.name for q in asked.questions] == [
        "kind accuracy", "kind accuracy of shop big", "kind accuracy of shop mid"]  # fmt: skip
    assert [(s.slice, s.clusters) for s in asked.skipped] == [("shop tiny", 1)]
    whole, big, mid = asked.answers(200)
    assert (whole.samples, big.samples, mid.samples) == (7, 3, 2)
    assert (big.pair.value_a, big.pair.value_b, mid.pair.difference) == (pytest.approx(2 / 3), 1.0, 0.0)
    assert (big.question.head.role, big.question.head.margin) == ("guard", 0.1)


def test_a_slice_of_a_whole_statistic_is_that_of_its_rows() -> None:
    label, said = ["a", "b", "a", "b", "a", "b"], ["a", "b", "b", "b", "a", "a"]
    where = pl.Series("shop", ["n", "n", "n", "s", "s", "s"])
    ours, theirs = table(label, said).with_columns(where), table(label, label).with_columns(where)
    slices = [{"column": "shop", "minimum": 2, "margin": 0.1}]
    settings = config(("kind", "macro_f1"), slices=slices)
    _, north, _ = examine(ours, theirs, settings).answers(200)
    assert north.question.slice == "shop n"
    # F1 of a: 2 / (1 + 2); of b: 2 / (2 + 1).
    assert north.pair.value_a == pytest.approx(2 / 3) and north.pair.value_b == 1.0


PLAIN = table(["a", "b"], ["a", "b"])
UNUSABLE = [
    ("kind", "f7", {}, PLAIN, "column kind/f7/hit must be there"),
    ("kind", "auroc", {}, PLAIN, "column kind_probability must be there"),
    ("tone", "macro_f1", {}, PLAIN, "column tone_label must be there"),
    ("return", "sharpe", {}, PLAIN, "a daily account must be there"),
    ("kind", "ece", {}, PLAIN.with_columns(kind_probability=pl.Series([0.5, 1.5])), "must hold probabilities"),
    ("kind", "ece", {}, PLAIN.with_columns(kind_probability=pl.Series([0.5, None])), "must hold probabilities"),
    ("kind", "accuracy", {"slices": [{"column": "shop", "minimum": 2, "margin": 0.1}]}, PLAIN, "a column with values"),
]


@pytest.mark.parametrize(("head", "metric", "changes", "frame", "rule"), UNUSABLE)
def test_what_cannot_be_judged_is_named(head: str, metric: str, changes: dict, frame: pl.DataFrame, rule: str) -> None:
    with pytest.raises(EquipoiseError, match=rule) as caught:
        examine(frame, frame, config((head, metric), **changes))
    assert (caught.value.code, caught.value.exit_code) == ("E_GATE_SCORES", 65)


def test_a_slice_must_not_depend_on_the_model() -> None:
    slices = [{"column": "kind_prediction", "minimum": 2, "margin": 0.1}]
    other = table(["a", "b"], ["b", "b"])
    with pytest.raises(EquipoiseError, match="must not depend on the model") as caught:
        examine(PLAIN, other, config(("kind", "accuracy"), slices=slices))
    assert caught.value.code == "E_GATE_PAIRS"
