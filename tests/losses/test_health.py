"""Each fault of the warning tables is planted and seen; a healthy run raises nothing."""

from __future__ import annotations

import math

import pytest

from components.losses.health import above, alarms, as_text, growing
from components.workloads.tool_calling.loss import HEALTH

EPOCHS, REPORTS = 3, 6
SHARES = {"decision": 0.4, "tool": 0.4, "q": 0.2}


def healthy(epoch, report):
    """Every term comes down with a little noise; the last epoch is nearly flat."""
    at = epoch * REPORTS + report
    down = math.exp(-at / 4) + 0.02 * math.sin(7 * at)
    return {"decision": 0.05 + 0.15 * down, "tool": 0.3 + 1.7 * down, "q": 0.3 + 0.3 * down}


def curve(raws=healthy, n_valid=lambda term, epoch: 64, weights=None, shares=None, epochs=EPOCHS):
    lines, weights = [], weights or {"decision": 1.0, "tool": 1.0, "q": 0.5, "content": 0.0}
    for epoch in range(epochs):
        for report in range(REPORTS):
            found = {**raws(epoch, report), "content": 0.0}
            weight = weights(epoch * REPORTS + report) if callable(weights) else weights
            terms = {
                name: {
                    "raw": raw,
                    "weight": weight[name],
                    "share": raw * weight[name],
                    "n_valid": 0 if name == "content" else n_valid(name, epoch),
                }
                for name, raw in found.items()
            }
            line = {"step": 20 * (len(lines) + 1), "epoch": epoch, "progress": (len(lines) + 1) / (epochs * REPORTS)}
            line |= {"terms": terms, "loss": sum(t["share"] for t in terms.values())}
            if shares:
                line["gradients"] = {name: {"norm": share, "share": share} for name, share in shares.items()}
            lines.append(line)
    return lines


def seen(lines):
    return {(alarm.rule, alarm.subject) for alarm in alarms(lines, HEALTH)}


def with_raw(term, value):
    return lambda epoch, report: {**healthy(epoch, report), term: value(epoch * REPORTS + report)}


def test_a_healthy_run_raises_nothing():
    assert alarms(curve(), HEALTH) == []
    assert alarms(curve(shares=SHARES), HEALTH) == []
    assert alarms([], HEALTH) == []
    assert alarms(curve()[:3], HEALTH) == []


@pytest.mark.parametrize("level", [math.log(2), 1.019 * math.log(2), 0.981 * math.log(2)])
def test_a_halting_head_at_ln_2(level):
    lines = curve(with_raw("q", lambda at: level))
    assert seen(lines) == {("stuck", "q")}
    (alarm,) = alarms(lines, HEALTH)
    assert alarm.value == level
    assert alarm.step == 20 * REPORTS
    assert alarm.causes
    assert alarm.remedies
    assert alarm.as_row()["remedies"] == list(alarm.remedies)


def test_q_near_ln_2_for_less_than_an_epoch_is_no_alarm():
    assert seen(curve(with_raw("q", lambda at: math.log(2) if at < 5 else 0.5 - at / 100))) == set()
    assert seen(curve(with_raw("q", lambda at: 1.03 * math.log(2)))) == set()


def test_an_epoch_that_still_runs_is_not_judged():
    lines = curve(with_raw("q", lambda at: math.log(2)))
    assert seen(lines[: REPORTS - 1]) == set()
    assert seen([*lines[: REPORTS - 1], {**lines[REPORTS - 1], "validation": {}}]) == {("stuck", "q")}


def test_an_epoch_without_labels():
    lines = curve(n_valid=lambda term, epoch: 0 if term == "tool" and epoch == 1 else 64)
    assert seen(lines) == {("unlabelled", "tool")}
    assert "epoch 1" in alarms(lines, HEALTH)[0].message


def test_an_optional_term_is_judged_only_when_a_line_gives_its_weight():
    silent = [
        line | {"terms": {n: {k: v for k, v in row.items() if k != "weight"} for n, row in line["terms"].items()}}
        for line in curve()
    ]
    assert seen(silent) == set()
    assert seen(curve(weights={"decision": 1.0, "tool": 1.0, "q": 0.5, "content": 0.2})) == {("unlabelled", "content")}


def test_an_exploding_loss():
    lines = curve(with_raw("tool", lambda at: 2.0 if at < 10 else 2.0 * 1.5 ** (at - 9)))
    (alarm,) = alarms(lines, HEALTH)
    assert (alarm.rule, alarm.subject, alarm.step) == ("growing", "loss", 260)
    assert alarm.value == pytest.approx(lines[12]["loss"])


def test_two_rises_or_small_ones_are_not_an_explosion():
    assert seen(curve(with_raw("tool", lambda at: 2.0 + 3.0 * (at in (8, 9)) + 2.0 * (at == 9)))) == set()
    assert seen(curve(with_raw("tool", lambda at: 2.0 + 0.01 * at))) == set()


def test_a_weight_that_its_schedule_raises_is_not_an_explosion():
    def rising(at):
        return {"decision": 1.0, "tool": 0.1 + at, "q": 0.5, "content": 0.0}

    lines = curve(weights=rising)
    assert lines[4]["loss"] > 1.25 * lines[1]["loss"]
    assert seen(lines) == set()


@pytest.mark.parametrize("value", [lambda at: 0.2, lambda at: 0.2 + at / 1000], ids=["flat", "rising"])
def test_a_decision_that_does_not_decrease(value):
    lines = curve(with_raw("decision", value))
    assert seen(lines) == {("not_decreasing", "decision")}
    assert alarms(lines, HEALTH)[0].step == 20 * REPORTS


def test_a_decision_that_has_come_down_may_rest():
    assert seen(curve(with_raw("decision", lambda at: max(0.02, 0.2 - at * 0.04)))) == set()


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ({"decision": 0.5, "tool": 0.4995, "q": 0.0005}, {("dead", "q")}),
        ({"decision": 0.03, "tool": 0.96, "q": 0.01}, {("drowning", "tool")}),
        ({"decision": 1.0}, set()),
    ],
    ids=["dead", "drowning", "alone"],
)
def test_gradient_shares(shares, expected):
    assert seen(curve(shares=shares)) == expected


def test_above_names_the_first_line_over_the_limit():
    rule = above("text", 10.0, ("a cause",), ("a remedy",))
    lines = [
        {"step": s, "epoch": 0, "progress": 0.1, "terms": {"text": {"raw": r, "n_valid": 1}}}
        for s, r in ((1, 9.9), (2, 11.0), (3, 12.0))
    ]
    assert [(a.step, a.value) for a in alarms(lines, [rule])] == [(2, 11.0)]
    assert alarms(lines[:1], [rule]) == []


def with_validations(lines):
    """As training writes them: after each epoch a line without loss and terms."""
    found = []
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        found.append(line)
        if following is None or following["epoch"] != line["epoch"]:
            found.append({key: line[key] for key in ("step", "epoch", "progress")} | {"validation": {"objective": 0.5}})
    return found


def test_lines_that_end_an_epoch_have_no_loss():
    assert seen(with_validations(curve())) == set()
    exploding = with_validations(curve(with_raw("tool", lambda at: 2.0 if at < 10 else 2.0 * 1.5 ** (at - 9))))
    assert [(a.rule, a.step) for a in alarms(exploding, HEALTH)] == [("growing", 260)]


def losses(*values):
    return [{"step": n, "epoch": 1, "progress": 0.5, "loss": v} for n, v in enumerate(values, 1)]


NOISE = (0.18, 0.169, 0.163, 0.178, 0.138, 0.166, 0.123, 0.097, 0.101, 0.104, 0.119, 0.126, 0.131)


@pytest.mark.parametrize(
    ("values", "step"),
    [
        (NOISE, None),  # of a good run: it rises by a quarter, to where it was a moment ago
        ((*NOISE, 0.2), 14),
        ((*NOISE, 0.2, 0.3), 14),
        ((1.0, 2.9, 0.5, 2.9), None),
        ((1.0, 0.5, 3.1, 0.4), 3),
        ((100.0, 90.0, 70.0), None),
    ],
)
def test_noise_and_explosions(values, step):
    rule = growing(3, ("a cause",), ("a remedy",), times=3.0)
    assert [a.step for a in alarms(losses(*values), [rule])] == ([] if step is None else [step])


def test_losses_below_zero_grow_by_their_size():
    rule = growing(3, ("a cause",), ("a remedy",))
    assert alarms(losses(-1.0, -0.95, -0.9, -0.85), [rule]) == []
    assert [a.step for a in alarms(losses(-1.0, -0.9, -0.8, -0.7), [rule])] == [4]
    assert alarms(losses(-1.0, 5.0, -1.0), [rule]) == []


def test_short_epochs_are_judged_together():
    """Two reports an epoch: four tell, whichever epochs they come from."""
    level = [0.2, 0.21, 0.2, 0.22, 0.19, 0.2]
    lines = curve(with_raw("decision", lambda at: level[at // REPORTS * 2 + at % REPORTS % 2]))
    short = [line for line in lines if line["step"] // 20 % REPORTS in (1, 2)]
    assert [(a.rule, a.step) for a in alarms(with_validations(short[:2]), HEALTH)] == []
    assert [(a.rule, a.step) for a in alarms(with_validations(short[:4]), HEALTH)] == [("not_decreasing", 160)]


def with_panels(*shares):
    """A panel in the third report of each epoch."""
    lines = curve(epochs=len(shares))
    for epoch, share in enumerate(shares):
        rest = 1.0 - share
        lines[epoch * REPORTS + 2]["gradients"] = {n: {"norm": s, "share": s} for n, s in (("q", share), ("d", rest))}
    return lines


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([1e-4], {}),  # one micro-batch at one moment
        ([1e-4, 1e-4], {("dead", "q"): 240, ("drowning", "d"): 240}),
        ([1e-4, 0.3, 1e-4], {}),
        ([0.3, 1e-4, 1e-4], {("dead", "q"): 360, ("drowning", "d"): 360}),
    ],
)
def test_one_panel_alone_raises_nothing(shares, expected):
    assert {(a.rule, a.subject): a.step for a in alarms(with_panels(*shares), HEALTH)} == expected


def test_a_decision_far_worse_than_knowing_nothing():
    assert ("above", "decision") in seen(curve(with_raw("decision", lambda at: 12.0)))


def test_an_alarm_in_one_line():
    (alarm,) = alarms(curve(with_raw("q", lambda at: math.log(2))), HEALTH)
    text = as_text(alarm.as_row())
    assert text.startswith("q stood at 0.6931, within 2% of 0.6931, to the end of epoch 0. Possible causes: the ")
    assert "Try: train longer; raise loss.q.weight; " in text
