"""Is there an edge: what a candidate's decisions earned that holding still would not have, by evidence that survives
the search.

A candidate is compared with its own average mix, held still over the same days. What exposure alone earns (more stocks
in good years) is in both, so the difference is what its timing earned, and its noise is that of the timing alone.
`edge` needs four things: the interval of the mean daily difference lies above zero; Hansen's SPA rejects "none of all
that was tried times better than standing still"; the Sharpe ratio of the difference stays significant once deflated by
the number of trials; and the candidate ends above every static mix, chosen in hindsight. `worse`: the interval lies
below zero. Everything else is `no edge`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from components.evaluation.performance import BASIS_POINTS, checked, sharpe
from components.evaluation.sharpe_evidence import deflated_sharpe, overfitting_probability
from components.evaluation.statistics import bca_interval, p_above
from components.evaluation.time_bootstrap import block_length, stationary_bootstrap, superior_ability

Floats = NDArray[np.float64]
Verdict = Literal["edge", "no edge", "worse"]

ROUNDING = 1e-12  # of the largest return
MINIMUM_DAYS = 60  # a quarter of a year: below it no block bootstrap is worth its name
OPENING = {"edge": "Edge shown", "no edge": "No edge shown", "worse": "Worse than standing still"}


@dataclass(frozen=True)
class Track:
    """Daily returns after costs of a candidate, [T], and of its own average mix held still."""

    returns: Floats
    still: Floats

    @property
    def timing(self) -> Floats:
        """[T] what changing its mind earned; exactly 0 where only rounding tells the two apart."""
        difference = self.returns - self.still
        dust = ROUNDING * max(np.abs(self.returns).max(initial=0.0), np.abs(self.still).max(initial=0.0))
        return np.where(np.abs(difference) > dust, difference, 0.0)


@dataclass(frozen=True)
class Settings:
    """How strict the evidence is.

    Attributes:
        resamples, confidence, seed: of the bootstrap; the error level of the tests is 1 - confidence.
        trials: candidates that were tried to find the judged one, for example those of a tuning campaign.
        overlap: days over which decisions overlap, the shortest block.
        parts: into which the days are cut for the probability of overfitting.
        trial_variance: of the trials' daily Sharpe ratios; None: that of ratios without skill.
    """

    resamples: int
    confidence: float
    seed: int
    trials: int = 1
    overlap: int = 1
    parts: int = 16
    trial_variance: float | None = None


@dataclass(frozen=True)
class Evidence:
    """What was found; numbers that are not defined are None, differences are basis points a day.

    Attributes:
        verdict: `edge`, `no edge` or `worse`.
        sentence: the same in words, with the numbers it rests on.
        benchmark: name of the static mix that earned most on these days.
        timing: mean over the candidate's own average mix held still; `low` and `high` its interval, `p` one-sided.
        difference: mean over the benchmark; `difference_low` and `difference_high` its interval.
        sharpe, benchmark_sharpe: annual, over cash, after costs.
        spa: consistent p-value over all candidates.
        deflated: deflated Sharpe ratio of the timing, a probability.
        overfitting: probability that picking the best of candidates and mixes by its past picks less than the median.
        block: mean block length in days.
    """

    verdict: Verdict
    sentence: str
    benchmark: str
    days: int
    trials: int
    timing: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    sharpe: float | None = None
    benchmark_sharpe: float | None = None
    spa: float | None = None
    deflated: float | None = None
    overfitting: float | None = None
    block: float | None = None

    def document(self) -> dict[str, Any]:
        return asdict(self)


def judge_edge(
    judged: str, candidates: Mapping[str, Track], statics: Mapping[str, Floats], cash: Floats, settings: Settings
) -> Evidence:
    """The verdict on one candidate.

    Args:
        judged: its name in `candidates`.
        candidates: everything that was tried on these days.
        statics: name -> [T] daily returns after costs of the static mixes, at least one.
        cash: [T] what cash earned.

    Raises:
        EquipoiseError: E_RETURNS (65) for returns that are not finite.
    """
    mixes = {name: checked(values, name) for name, values in statics.items()}
    tracks = {name: Track(checked(t.returns, name), checked(t.still, name)) for name, t in candidates.items()}
    days = len(cash)
    benchmark = max(mixes, key=lambda name: float(mixes[name].mean()) if days else 0.0)
    if days < MINIMUM_DAYS:
        text = f"No edge shown: {days} days are too few to judge, {MINIMUM_DAYS} are needed. The champion stays."
        return Evidence("no edge", text, benchmark, days, settings.trials)
    numbers = _numbers(tracks[judged], tracks, mixes, benchmark, cash, settings)
    verdict = _verdict(numbers, settings)
    defined = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
    sentence = _sentence(verdict, benchmark, defined, settings)
    return Evidence(verdict, sentence, benchmark, days, settings.trials, **defined)


def _numbers(
    own: Track,
    tracks: Mapping[str, Track],
    mixes: Mapping[str, Floats],
    benchmark: str,
    cash: Floats,
    settings: Settings,
) -> dict[str, float]:
    timed = own.timing
    pair = np.column_stack([timed, own.returns - mixes[benchmark]])
    block = block_length(timed, settings.overlap)
    timing, over = stationary_bootstrap(pair, lambda rows: rows.mean(axis=0), block, settings.resamples, settings.seed)
    low, high = bca_interval(timing, settings.confidence)
    over_low, over_high = bca_interval(over, settings.confidence)
    tried = np.column_stack([track.timing for track in tracks.values()])
    everything = np.column_stack([*(t.returns for t in tracks.values()), *mixes.values()])
    ratios = [float(sharpe(returns - cash)) for returns in (own.returns, mixes[benchmark])]
    return {
        "timing": timing.value * BASIS_POINTS,
        "low": low * BASIS_POINTS,
        "high": high * BASIS_POINTS,
        "p": p_above(timing, 0.0),
        "difference": over.value * BASIS_POINTS,
        "difference_low": over_low * BASIS_POINTS,
        "difference_high": over_high * BASIS_POINTS,
        "sharpe": ratios[0],
        "benchmark_sharpe": ratios[1],
        "spa": superior_ability(np.zeros(len(cash)), tried, block, settings.resamples, settings.seed),
        "deflated": deflated_sharpe(timed, settings.trials, settings.trial_variance),
        "overfitting": overfitting_probability(everything, settings.parts) if everything.shape[1] > 1 else math.nan,
        "block": block,
    }


def _verdict(numbers: Mapping[str, float], settings: Settings) -> Verdict:
    level = 1 - settings.confidence
    lucky = numbers["low"] <= 0 or numbers["spa"] >= level or not numbers["deflated"] > settings.confidence
    if not lucky and numbers["difference"] > 0:
        return "edge"
    return "worse" if numbers["high"] < 0 else "no edge"


def _sentence(verdict: Verdict, benchmark: str, numbers: Mapping[str, float | None], settings: Settings) -> str:
    who = "best candidate" if settings.trials > 1 else "the candidate"
    trials = f"{settings.trials} trial{'s' if settings.trials != 1 else ''}"
    interval = f"[{_signed(numbers['low'])}, {_signed(numbers['high'])}]"
    parts = [
        f"{OPENING[verdict]}: {who}'s net Sharpe {_short(numbers['sharpe'])} against "
        f"{_short(numbers['benchmark_sharpe'])} for the static mix {benchmark}",
        f"timing {_signed(numbers['timing'])} basis points a day {interval}",
        f"SPA p = {_short(numbers['spa'])}",
        f"deflated Sharpe {_short(numbers['deflated'])} after {trials}",
    ]
    return f"{'; '.join(parts)}.{'' if verdict == 'edge' else ' The champion stays.'}"


def _short(value: float | None) -> str:
    """Two places without the zero before the point, as ratios and probabilities are printed here."""
    if value is None:
        return "undefined"
    text = f"{value:.2f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def _signed(value: float | None) -> str:
    return "undefined" if value is None else f"{value:+.2f}"
