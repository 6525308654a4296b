"""The verdict: an edge that is there is found, one that is not there is not claimed, and the words fit the numbers."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from components.errors import EquipoiseError
from components.evaluation.edge import Settings, Track, judge_edge

SETTINGS = Settings(resamples=300, confidence=0.95, seed=1, overlap=5, parts=8)
SHARES = (0.2, 0.4, 0.6, 0.7, 0.9)


def market(seed: int, ratio: float, days: int = 1000) -> tuple[dict[str, Track], dict[str, np.ndarray], np.ndarray]:
    """A candidate that shifts between 20% and 90% stocks every five days by a signal, beside five static mixes.

    The signal tells so much of the stocks' return that the candidate's daily information ratio over the mix of 55% is
    `ratio`; at 0 it is a coin.

    Returns:
        candidates, statics, cash of `judge_edge`.
    """
    rng = np.random.default_rng(seed)
    signal = np.repeat(rng.choice([-1.0, 1.0], days // 5 + 1), 5)[:days]
    cash = np.full(days, 0.00005)
    stocks = cash + rng.normal(0, 0.01, days) + signal * 0.01 * ratio
    statics = {f"mix {share:.0%}": share * stocks + (1 - share) * cash for share in SHARES}
    candidates = {}
    for name, chosen in (("model", signal), ("coin", np.random.default_rng(seed + 999).permutation(signal))):
        share = 0.55 + 0.35 * chosen
        candidates[name] = Track(cash + share * (stocks - cash), cash + share.mean() * (stocks - cash))
    return candidates, statics, cash


def verdicts(ratio: float) -> list[str]:
    return [judge_edge("model", *market(seed, ratio), SETTINGS).verdict for seed in range(20)]


def test_a_planted_edge_is_found_in_most_worlds() -> None:
    assert verdicts(0.15).count("edge") >= 16


def test_no_edge_is_claimed_where_there_is_none() -> None:
    assert verdicts(0.0).count("edge") <= 1


def test_trials_are_taken_off() -> None:
    """The same returns that are an edge for one candidate are none for the best of a million."""
    world = market(3, 0.15)
    alone = judge_edge("model", *world, SETTINGS)
    searched = judge_edge("model", *world, replace(SETTINGS, trials=1_000_000))
    assert (alone.verdict, searched.verdict) == ("edge", "no edge")
    assert alone.deflated is not None and searched.deflated is not None
    assert alone.deflated > 0.95 > searched.deflated
    assert "best candidate's net Sharpe" in searched.sentence and "after 1000000 trials" in searched.sentence
    assert "the candidate's" in alone.sentence and "after 1 trial." in alone.sentence


def test_a_costly_candidate_is_worse() -> None:
    candidates, statics, cash = market(4, 0.0)
    churned = {"model": replace(candidates["model"], returns=candidates["model"].returns - 0.002)}
    found = judge_edge("model", churned, statics, cash, SETTINGS)
    assert found.verdict == "worse"
    assert found.high is not None and found.high < 0
    assert found.sentence.startswith("Worse than standing still: ") and found.sentence.endswith("The champion stays.")


def test_a_candidate_that_is_the_best_static_mix_shows_nothing() -> None:
    _, statics, cash = market(5, 0.0)
    best = max(statics, key=lambda name: statics[name].mean())
    found = judge_edge("model", {"model": Track(statics[best], statics[best])}, statics, cash, SETTINGS)
    assert (found.verdict, found.benchmark, found.timing, found.deflated) == ("no edge", best, 0.0, None)
    assert "deflated Sharpe undefined" in found.sentence


def test_rounding_is_no_timing() -> None:
    """A candidate that holds one mix differs from that mix by the last digits only: no Sharpe ratio in that."""
    _, statics, cash = market(5, 0.0)
    best = max(statics, key=lambda name: statics[name].mean())
    for wobble in (2e-16, -2e-16):
        own = Track(statics[best] * (1 + wobble), statics[best])
        found = judge_edge("model", {"model": own}, statics, cash, SETTINGS)
        assert (found.verdict, found.timing, found.low, found.high, found.deflated) == ("no edge", 0.0, 0.0, 0.0, None)
        assert found.spa == 1.0
    tiny = Track(statics[best] + 1e-9, statics[best])
    assert tiny.timing == pytest.approx(1e-9)  # a hundred-thousandth of a basis point is still money


def test_the_sentence_says_what_was_measured() -> None:
    found = judge_edge("model", *market(6, 0.0), replace(SETTINGS, trials=100))
    shape = (
        r"No edge shown: best candidate's net Sharpe -?\d*\.\d\d against -?\d*\.\d\d for the static mix mix \d\d%; "
        r"timing [+-]\d+\.\d\d basis points a day \[[+-]\d+\.\d\d, [+-]\d+\.\d\d\]; SPA p = 1?\.\d\d; "
        r"deflated Sharpe \.\d\d after 100 trials\. The champion stays\."
    )
    assert re.fullmatch(shape, found.sentence), found.sentence
    assert found.document()["verdict"] == "no edge"


def test_an_exposure_that_paid_is_not_an_edge() -> None:
    """Always 90% stocks, in years when stocks rose: above the lesser mixes, but nothing was timed."""
    _, statics, cash = market(10, 0.0)
    rising = {name: values + 0.002 * share for (name, values), share in zip(statics.items(), SHARES, strict=True)}
    most = rising["mix 90%"] + 1e-6
    found = judge_edge("model", {"model": Track(most, most)}, rising, cash, SETTINGS)
    assert found.verdict == "no edge" and found.difference is not None and found.difference > 0


def test_timing_that_ends_below_a_static_mix_is_not_an_edge() -> None:
    """Well timed, but holding so little of what rose that a static mix earned more."""
    candidates, statics, cash = market(11, 0.3)
    rising = {**statics, "all in": cash + 0.005}
    found = judge_edge("model", candidates, rising, cash, SETTINGS)
    assert found.low is not None and found.low > 0 and found.difference is not None and found.difference < 0
    assert (found.verdict, found.benchmark) == ("no edge", "all in")


def test_the_benchmark_is_the_best_mix_in_hindsight() -> None:
    candidates, statics, cash = market(7, 0.0)
    found = judge_edge("model", candidates, statics, cash, SETTINGS)
    best = max(statics.values(), key=np.mean)
    assert found.difference == pytest.approx((candidates["model"].returns.mean() - best.mean()) * 1e4)


def test_a_handful_of_days_is_not_judged() -> None:
    candidates, statics, cash = market(8, 1.0, days=20)
    found = judge_edge("model", candidates, statics, cash, SETTINGS)
    assert (found.verdict, found.low, found.days) == ("no edge", None, 20)
    assert "20 days are too few" in found.sentence


def test_broken_returns_are_an_error() -> None:
    candidates, statics, cash = market(9, 0.0)
    candidates["coin"].returns[3] = np.nan
    with pytest.raises(EquipoiseError, match=r"E_RETURNS coin: .* on day 3"):
        judge_edge("model", candidates, statics, cash, SETTINGS)
