"""Retraining policies replayed on dated data: what each would have trained, when, and how well that did afterwards.

On every decision day a policy is asked whether to retrain; it and the training see what was known on that day alone.
The newest model answers until the next decision day. A gate takes no part: a model that was trained serves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from components.evaluation.statistics import Bootstrap, Interval, bca_interval
from components.evaluation.time_bootstrap import block_length, stationary_bootstrap

Day = np.datetime64
Days = NDArray[np.datetime64]
Floats = NDArray[np.float64]
Rule = Callable[[Day, Day], tuple[bool, str]]  # (today, day of the newest training) -> whether to retrain, and why


class Answers(NamedTuple):
    """Scored answers in order of time: their days, and the numerator and denominator [n] of each one's score."""

    days: Days
    hit: Floats
    of: Floats


class Learner(Protocol):
    """Trains on a day's knowledge, once however many policies ask, and scores what such a model answered."""

    def train(self, day: Day) -> float:
        """Processor seconds that training on what was known on `day` takes."""
        ...

    def answers(self, trained: Day, since: Day, until: Day) -> Answers:
        """Scores of the model trained on that day over the samples with `since` <= day < `until`."""
        ...


class Decision(NamedTuple):
    """Whether a policy retrained on a day, and why or why not."""

    day: Day
    retrained: bool
    why: str


@dataclass(frozen=True)
class Replay:
    """What a policy did and how that did.

    Attributes:
        trained: [n] the day on which the model that gave each answer was trained.
        cpu_seconds: of all its trainings, as if nobody else had asked for them.
    """

    policy: str
    decisions: tuple[Decision, ...]
    answers: Answers
    trained: Days
    cpu_seconds: float

    @property
    def trainings(self) -> int:
        """How often it trained."""
        return sum(each.retrained for each in self.decisions)

    @property
    def ages(self) -> Floats:
        """[n] days between the training of a model and each of its answers."""
        return (self.answers.days - self.trained).astype(np.float64)


def decision_days(first: Day, until: Day, every: int) -> list[Day]:
    """`first` and every `every` days later, before `until`."""
    return list(np.arange(first, until, np.timedelta64(every, "D")))


def replay(policy: str, rule: Rule, days: Sequence[Day], until: Day, learner: Learner) -> Replay:
    """Lets a policy decide on each of `days`, which rise; on the first of them everybody trains.

    Args:
        until: the day before which the last period ends.
    """
    decisions, parts, trained, seconds = [], [], [], 0.0
    newest = days[0]
    for today, following in zip(days, [*days[1:], until], strict=True):
        due, why = (True, "nothing has been trained yet") if not decisions else rule(today, newest)
        if due:
            seconds += learner.train(today)
            newest = today
        decisions.append(Decision(today, due, why))
        part = learner.answers(newest, today, following)
        parts.append(part)
        trained.append(np.full(len(part.days), newest, "datetime64[D]"))
    joined = Answers(*(np.concatenate([part[i] for part in parts]) for i in range(3)))
    return Replay(policy, tuple(decisions), joined, np.concatenate(trained), seconds)


class Judged(NamedTuple):
    """A policy's score over the whole time, and its difference to the first policy's (None: it is that), with
    intervals."""

    score: Interval
    difference: Interval | None


def judge(replays: Sequence[Replay], overlap: int, resamples: int, confidence: float, seed: int) -> list[Judged]:
    """One for each replay of the same days; all see the same draws of a stationary bootstrap over days.

    Args:
        overlap: days over which the labels of neighbouring samples overlap: the shortest blocks.
    """
    sums = np.concatenate([_daily(each.answers) for each in replays], axis=1)
    count = len(replays)

    def statistic(rows: Floats) -> Floats:
        totals = rows.sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = totals[0::2] / totals[1::2]
        return np.concatenate([scores, scores - scores[0]])

    residuals = sums[:, 0::2] - statistic(sums)[:count] * sums[:, 1::2]
    block = block_length(residuals, overlap)
    found = stationary_bootstrap(sums, statistic, block, resamples, seed)
    scores, differences = ([_interval(each, confidence) for each in part] for part in (found[:count], found[count:]))
    return [Judged(score, differences[i] if i else None) for i, score in enumerate(scores)]


def _interval(found: Bootstrap, confidence: float) -> Interval:
    if not np.ptp(found.draws):  # the same model all the time
        return Interval(found.value, found.value, found.value)
    return Interval(found.value, *bca_interval(found, confidence))


def _daily(answers: Answers) -> Floats:
    """[days, 2] sums of numerators and denominators of each day that has answers."""
    _, codes = np.unique(answers.days, return_inverse=True)
    sums = [np.bincount(codes, weights=column) for column in (answers.hit, answers.of)]
    return np.column_stack(sums).astype(np.float64)


def score_over_time(answers: Answers, days: Sequence[Day], until: Day) -> Floats:
    """[periods] score of each period between decision days; nan where nothing was asked."""
    edges = np.array([*days, until], "datetime64[D]")
    period = np.searchsorted(edges, answers.days, side="right") - 1
    hit, of = (np.bincount(period, weights=column, minlength=len(days)) for column in (answers.hit, answers.of))
    return np.divide(hit, of, out=np.full(len(days), np.nan), where=of > 0)
