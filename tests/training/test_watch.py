"""The curves are judged as they grow: an alarm is raised once, by the line that shows it, kill and resume included."""

from __future__ import annotations

from typing import Any

import pytest

from components.losses.health import Alarm, Line, alarms, growing
from components.training.watch import OFTEN, Watch

RULE = growing(2, ("a cause",), ("a remedy",), times=3.0)


def line(step: int, loss: float, epoch: int = 1) -> dict[str, Any]:
    return {"step": step, "epoch": epoch, "progress": 0.5, "loss": loss}


CURVE = [line(n, loss) for n, loss in enumerate((1.0, 0.5, 0.8, 1.2, 1.5, 4.0), 1)]


def test_the_line_that_shows_it_raises_it_and_no_later_one() -> None:
    watch = Watch([RULE])
    raised = [watch.judge(each) for each in CURVE]
    assert [[row["step"] for row in rows] for rows in raised] == [[], [], [], [4], [], []]
    assert watch.raised == raised[3] == [alarm.as_row() for alarm in alarms(CURVE, [RULE])]


@pytest.mark.parametrize("kept", range(len(CURVE) + 1))
def test_a_resumed_run_raises_what_is_left(kept: int) -> None:
    whole, written = Watch([RULE]), []
    for each in CURVE:
        rows = whole.judge(each)
        written.append({**each, "alarms": rows} if rows else each)
    resumed = Watch([RULE])
    resumed.recall(written[:kept])
    again = [resumed.judge(each) for each in CURVE[kept:]]
    assert [bool(rows) for rows in again] == ["alarms" in each for each in written[kept:]]
    assert resumed.raised == whole.raised


def test_a_long_run_is_judged_in_proportion_and_at_every_epochs_end() -> None:
    judged: list[int] = []

    def rule(lines: Any) -> list[Alarm]:
        judged.append(len(lines))
        return []

    watch, count = Watch([rule]), 6 * OFTEN
    for n in range(1, count):
        watch.judge(line(n, 1.0))
    assert judged[: 2 * OFTEN - 1] == list(range(1, 2 * OFTEN))
    assert len(judged) < 4 * OFTEN
    watch.judge({**line(count, 1.0), "validation": {}})
    assert judged[-1] == count


def test_without_rules_nothing_is_raised() -> None:
    watch = Watch(())
    assert [watch.judge(each) for each in CURVE] == [[]] * len(CURVE)


def test_several_alarms_of_one_line_keep_their_order() -> None:
    def late(lines: Any) -> list[Alarm]:
        return [Alarm("late", "x", _last(lines)["step"], 1.0, "m", (), ())] if len(lines) > 3 else []

    def early(lines: Any) -> list[Alarm]:
        return [Alarm("early", "x", 1, 1.0, "m", (), ())] if len(lines) > 3 else []

    watch = Watch([late, early])
    for each in CURVE:
        watch.judge(each)
    assert [row["rule"] for row in watch.raised] == ["early", "late"]


def _last(lines: Any) -> Line:
    return lines[-1]
