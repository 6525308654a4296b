"""The specification's warning signs of the keyboard: each is planted and seen, a healthy run raises none."""

from __future__ import annotations

import math

import pytest

from components.losses.health import alarms
from components.workloads.keyboard.loss import HEALTH

EPOCHS, REPORTS, SCREENS = 3, 6, 20
START = {
    "encoder/align": math.log(SCREENS),
    "encoder/contrastive": math.log(SCREENS),
    "decoder/text": 7.6,
    "decoder/task": math.log(3),
    "decoder/layout": math.log(5),
    "decoder/consistency": math.log(5),
    "decoder/load": 0.05,
}


def curve(least=0.1, **planted):
    """Terms fall; `planted`: the last part of a term's name -> (epoch, report) -> raw."""
    lines = []
    for epoch in range(1, EPOCHS + 1):
        for report in range(REPORTS):
            at = (epoch - 1) * REPORTS + report
            raws = {name: start * (0.3 + 0.7 * math.exp(-at / 4)) for name, start in START.items()}
            raws |= {name: planted[name[8:]](epoch, report) for name in START if name[8:] in planted}
            terms = {n: {"raw": raw, "weight": 1.0, "share": raw, "n_valid": 10 * SCREENS} for n, raw in raws.items()}
            progress = (at + 1) / (EPOCHS * REPORTS)
            line = {"step": 10 * (at + 1), "epoch": epoch, "progress": progress, "terms": terms}
            lines.append(line | {"loss": sum(raws.values())})
        lines.append({**lines[-1], "validation": {"experts/least": least, "objective": 0.5}})
        del lines[-1]["terms"], lines[-1]["loss"]
    return lines


def seen(lines):
    return {(alarm.rule, alarm.subject) for alarm in alarms(lines, HEALTH)}


def test_a_healthy_run_raises_nothing():
    assert alarms(curve(), HEALTH) == []


@pytest.mark.parametrize(
    ("lines", "alarm"),
    [
        (curve(align=lambda e, r: 5.2), ("above", "encoder/align")),
        (curve(align=lambda e, r: math.log(SCREENS) * 0.99), ("at_chance", "encoder/align")),
        (curve(text=lambda e, r: 10.5 if (e, r) == (2, 3) else 7 / (e + r)), ("above", "decoder/text")),
        (curve(text=lambda e, r: 7.5), ("not_decreasing", "decoder/text")),
        (curve(load=lambda e, r: 0.6), ("above", "decoder/load")),
        (curve(least=0.01), ("metric_below", "experts/least")),
    ],
)
def test_each_warning_sign_is_seen(lines, alarm):
    assert alarm in seen(lines)


def test_alignment_may_begin_above_5_where_many_screens_are_compared():
    lines = curve(align=lambda e, r: 5.1 if e == 1 else 3.0 / (e + r))
    for line in lines:
        if "terms" in line:
            line["terms"]["encoder/align"]["n_valid"] = 100 * SCREENS
    assert seen(lines) == set()


def test_chance_is_that_of_the_screens_a_step_compares():
    lines = curve(align=lambda e, r: math.log(SCREENS) * 0.99)
    for line in lines:
        if "terms" in line:
            line["terms"]["encoder/align"]["n_valid"] = 100 * SCREENS  # ten times as many: this is far below chance
    assert ("at_chance", "encoder/align") not in seen(lines)
