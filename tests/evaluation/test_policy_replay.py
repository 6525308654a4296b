"""Policies replayed with a learner whose every answer is known: scores, costs and ages by hand."""

from __future__ import annotations

import numpy as np
import pytest

from components.evaluation.policy_picture import draw_policies
from components.evaluation.policy_replay import Answers, Day, Replay, decision_days, judge, replay, score_over_time

START = np.datetime64("2020-01-01")
END = START + np.timedelta64(100, "D")
WEIGHT = 2.0


def day(number: int) -> Day:
    return START + np.timedelta64(number, "D")


class Fading:
    """Scores 1 - age / 100 on each day, with denominators of 2; training on day n takes n + 1 seconds."""

    def __init__(self) -> None:
        self.asked: list[Day] = []

    def train(self, day: Day) -> float:
        self.asked.append(day)
        return float((day - START) / np.timedelta64(1, "D")) + 1

    def answers(self, trained: Day, since: Day, until: Day) -> Answers:
        assert trained <= since, "nobody answers before it was trained"
        days = np.arange(since, until)
        age = (days - trained).astype(float)
        return Answers(days, WEIGHT * (1 - age / 100), np.full(len(days), WEIGHT))


def never(today: Day, newest: Day) -> tuple[bool, str]:
    return False, "no"


def always(today: Day, newest: Day) -> tuple[bool, str]:
    return True, "yes"


def after_30(today: Day, newest: Day) -> tuple[bool, str]:
    return bool(today - newest >= np.timedelta64(30, "D")), "by age"


DAYS = decision_days(START, END, 20)


def played(**rules) -> list[Replay]:
    return [replay(name, rule, DAYS, END, Fading()) for name, rule in rules.items()]


def test_decision_days_end_before_the_end():
    assert [day(0), day(20), day(40), day(60), day(80)] == DAYS
    assert decision_days(START, day(81), 20)[-1] == day(80) and decision_days(START, day(80), 20)[-1] == day(60)


def test_scores_costs_and_ages_by_hand():
    first, second, third = played(never=never, always=always, aged=after_30)
    # ages 0..99; 0..19 five times; 0..39 twice and 0..19
    assert [each.ages.mean() for each in (first, second, third)] == pytest.approx([49.5, 9.5, (2 * 780 + 190) / 100])
    assert [each.trainings for each in (first, second, third)] == [1, 5, 3]
    assert [each.cpu_seconds for each in (first, second, third)] == [1, 1 + 21 + 41 + 61 + 81, 1 + 41 + 81]
    assert [d.retrained for d in third.decisions] == [True, False, True, False, True]
    assert third.decisions[0].why == "nothing has been trained yet" and third.decisions[1].why == "by age"
    for each in (first, second, third):
        assert score_over_time(each.answers, DAYS, END).mean() == pytest.approx(1 - each.ages.mean() / 100)


def test_a_policy_sees_today_and_the_day_of_the_newest_training():
    seen = []

    def watching(today: Day, newest: Day) -> tuple[bool, str]:
        seen.append((today, newest))
        return len(seen) == 2, ""

    replay("watching", watching, DAYS, END, Fading())
    assert seen == [(day(20), day(0)), (day(40), day(0)), (day(60), day(40)), (day(80), day(40))]


def test_judged_over_days_with_the_first_as_the_reference():
    first, second = judge(played(never=never, always=always), 1, 500, 0.95, 3)
    assert first.score.value == pytest.approx(0.505) and first.difference is None
    assert second.score.value == pytest.approx(0.905) and second.score.low < 0.905 < second.score.high
    assert second.difference is not None and second.difference.value == pytest.approx(0.4)
    assert 0 < second.difference.low < 0.4 < second.difference.high


def test_policies_that_train_alike_do_not_differ_and_draws_are_seeded():
    twice = [judge(played(never=never, alike=never), 1, 200, 0.95, 3) for _ in range(2)]
    assert twice[0] == twice[1] and twice[0][1].difference == (0.0, 0.0, 0.0)
    assert judge(played(never=never, always=always), 1, 200, 0.95, 4) != twice[0]


def test_a_period_in_which_nothing_was_asked_has_no_score():
    answers = Answers(np.array([day(1), day(45)]), np.array([1.0, 0.0]), np.array([2.0, 1.0]))
    values = score_over_time(answers, DAYS, END)
    assert values[[0, 2]].tolist() == [0.5, 0.0] and np.isnan(values[[1, 3, 4]]).all()


def test_the_picture_is_the_same_for_the_same_replays(tmp_path):
    paths = [tmp_path / "one.png", tmp_path / "two.png"]
    for path in paths:
        draw_policies(played(never=never, aged=after_30), DAYS, END, "toy score", path)
    assert paths[0].read_bytes() == paths[1].read_bytes() and paths[0].read_bytes().startswith(b"\x89PNG")
