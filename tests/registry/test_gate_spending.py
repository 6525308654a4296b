"""A hold-out that wears out: what each look may spend, and that twenty looks together keep the promise of one."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from components.config_parts import GateConfig
from components.evaluation.judged import Answer, Question
from components.evaluation.statistics import paired_differences
from components.registry.gate import MOST_DRAWS, conclude, draws_for, judge
from components.registry.gate_spending import alpha_left, alpha_of_look

LOOKS, SAMPLES, HOLDOUTS = 20, 200, 100
HEADS = (("decision", "accuracy"), ("tool", "accuracy"))


def config(**changes) -> GateConfig:
    heads = [{"head": h, "metric": m, "role": "primary", "margin": 0.3, "direction": "higher"} for h, m in HEADS]
    values = {"policy": "improve", "alpha": 0.05, "resamples": 400, "seed": 3, "cluster": "conversation"}
    return GateConfig.model_validate(values | {"heads": heads} | changes)


def test_what_each_look_may_spend_by_hand() -> None:
    # alpha 6 / (pi^2 k^2): .05 x .607927 = .030396, a quarter of it, a ninth of it.
    spent = [alpha_of_look(look, 0.05, "harmonic") for look in (1, 2, 3)]
    assert spent == pytest.approx([0.0303964, 0.0075991, 0.0033774], abs=1e-7)
    assert [alpha_of_look(look, 0.05, "none") for look in (1, 7)] == [0.05, 0.05]


def test_all_looks_together_spend_alpha_and_no_more() -> None:
    assert alpha_left(0, 0.05, "harmonic") == 0.05
    assert alpha_left(3, 0.05, "harmonic") == pytest.approx(0.05 - 0.0303964 - 0.0075991 - 0.0033774, abs=1e-7)
    # What is left after n looks is about alpha 6 / (pi^2 n): it never runs out and never goes below nothing.
    assert alpha_left(1000, 0.05, "harmonic") == pytest.approx(0.05 * 6 / (math.pi**2 * 1000), rel=1e-3)
    assert alpha_left(9, 0.05, "none") is None


def test_a_later_look_draws_more_because_it_asks_for_stronger_evidence() -> None:
    questions = [Question(head) for head in config().heads]
    # Four claims at .0304 / 4 = .0076: five draws beyond it are 658 draws; at look 5 a 25th of that level.
    assert draws_for(config(), questions, look=1) == math.ceil(5 * 4 / 0.0303964) == 658
    assert draws_for(config(), questions, look=5) == math.ceil(5 * 4 * 25 / 0.0303964)
    assert draws_for(config(resamples=4000), questions, look=1) == 4000
    assert draws_for(config(), questions, look=10_000) == MOST_DRAWS


def holdout(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Champion [samples, heads] and candidates [samples, looks, heads] of equal skill on one hold-out, a sample a
    conversation: what is easy is easy for all of them."""
    ease = np.random.default_rng([seed, 0]).random((SAMPLES, 1, 2))
    own = np.random.default_rng([seed, 1]).random((SAMPLES, LOOKS + 1, 2))
    right = (0.5 * ease + 0.5 * own < 0.55).astype(float)
    return right[:, 0], right[:, 1:]


def promotions(seed: int) -> tuple[bool, bool]:
    """Whether any of twenty candidates, one after the other on one hold-out, is promoted: with spending, without.

    What is not promoted at the whole of alpha is not promoted at a part of it, nor what is far from that part with ten
    times the draws; so only the rest is judged as a look, with all the draws that this takes.
    """
    champion, candidates = holdout(seed)
    lucky = [look for look, p in enumerate(chances(champion, candidates, 400), start=1) if p <= 0.05]
    near = [
        look
        for look in lucky
        if chances(champion, candidates[:, look - 1 : look], 4000)[0] <= 3 * alpha_of_look(look, 0.05, "harmonic")
    ]
    kept = any(judge(table(candidates[:, k - 1]), table(champion), config(), k).decision == "PROMOTE" for k in near)
    return kept, bool(lucky)


def chances(champion: np.ndarray, candidates: np.ndarray, resamples: int) -> list[float]:
    """Of each candidate the smallest adjusted p-value of "better" on so many draws; 1 where it is not promoted."""
    careless, many = config(spending="none"), candidates.reshape(SAMPLES, -1)
    ones, base = np.ones_like(many), np.tile(champion, candidates.shape[1])
    pairs = paired_differences(many, ones, base, ones, np.arange(SAMPLES), resamples, 0.95, careless.seed)
    found = []
    for first in range(0, len(pairs), 2):
        answers = [
            Answer(Question(head), pair, SAMPLES)
            for head, pair in zip(careless.heads, pairs[first : first + 2], strict=True)
        ]
        report = conclude(careless, answers, SAMPLES, SAMPLES)
        best = min(head.p_better for head in report.heads if head.p_better is not None)
        found.append(best if report.decision == "PROMOTE" else 1.0)
    return found


def table(right: np.ndarray) -> pl.DataFrame:
    columns: dict[str, object] = {"id": [str(i) for i in range(len(right))]}
    columns["conversation"] = [f"c{i:03}" for i in range(len(right))]
    for j, (head, metric) in enumerate(HEADS):
        columns |= {f"{head}/{metric}/hit": right[:, j], f"{head}/{metric}/of": np.ones(len(right))}
    return pl.DataFrame(columns)


def test_twenty_equal_candidates_on_one_holdout_keep_the_promise_of_one() -> None:
    """A promotion of an equal model is false. Without spending the alphas of the twenty add up."""
    promoted = np.array([promotions(seed) for seed in range(HOLDOUTS)]).mean(axis=0)
    assert promoted[0] <= 0.05
    assert promoted[1] > 0.15
