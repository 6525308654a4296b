"""Rules over the curves of a run: pure functions from what was logged to alarms that a person can act on.

A curve line is what training appends to curves.jsonl at every report:
`{"step", "epoch", "progress", "loss", "terms": {name: {"raw", "weight", "share", "n_valid"}}}`, sometimes with
`"gradients": {name: {"norm", "share"}}`, `"cosines": {name: {other name: cosine}}` and `"effective_terms"` (see
`gradient_panel`); a line with `"validation": {...}` ends an epoch and has neither loss nor terms. A rule takes all
lines so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import fmean
from typing import Any

Line = Mapping[str, Any]

ENOUGH = 4  # reports before a term is called stuck or not decreasing


@dataclass(frozen=True)
class Alarm:
    """What is wrong, seen where, and what the workload's specification says about it."""

    rule: str
    subject: str
    step: int
    value: float
    message: str
    causes: tuple[str, ...]
    remedies: tuple[str, ...]

    def as_row(self) -> dict[str, Any]:
        """Plain values for JSON: `status`, the run's record and the report show this."""
        return {**asdict(self), "causes": list(self.causes), "remedies": list(self.remedies)}


def as_text(row: Mapping[str, Any]) -> str:
    """An alarm's row as one line: what was seen, why that may be, what to do."""
    return f"{row['message']}. Possible causes: {'; '.join(row['causes'])}. Try: {'; '.join(row['remedies'])}"


Rule = Callable[[Sequence[Line]], list[Alarm]]


def alarms(lines: Sequence[Line], rules: Iterable[Rule]) -> list[Alarm]:
    """All alarms of a run so far, in the order of their steps; an alarm of one rule and subject is given once."""
    found = [alarm for rule in rules for alarm in rule(lines)]
    first = {}
    for alarm in sorted(found, key=lambda a: a.step):
        first.setdefault((alarm.rule, alarm.subject), alarm)
    return list(first.values())


def stuck(term: str, at: float, within: float, causes: tuple[str, ...], remedies: tuple[str, ...]) -> Rule:
    """The term's raw mean stays within `within` (a share) of the level `at` for a whole epoch."""

    def rule(lines: Sequence[Line]) -> list[Alarm]:
        found = []
        for raws, end in _stretches(lines, term):
            if all(abs(raw - at) <= within * at for raw in raws):
                level = f"{fmean(raws):.4f}, within {within:.0%} of {at:.4f}"
                message = f"{term} stood at {level}, to the end of epoch {end['epoch']}"
                found.append(Alarm("stuck", term, end["step"], raws[-1], message, causes, remedies))
        return found

    return rule


def unlabelled(causes: tuple[str, ...], remedies: tuple[str, ...], optional: tuple[str, ...] = ()) -> Rule:
    """A weighted term saw no valid value for a whole epoch.

    Where a line does not say the weight, a term counts as weighted unless it is one of the `optional` ones.
    """

    def rule(lines: Sequence[Line]) -> list[Alarm]:
        found = []
        for epoch in _whole_epochs(lines):
            for term in _terms(epoch):
                rows = [line["terms"][term] for line in epoch if term in line["terms"]]
                assumed = 0.0 if term in optional else 1.0
                if any(row.get("weight", assumed) > 0 for row in rows) and not any(row["n_valid"] for row in rows):
                    message = f"{term} had n_valid = 0 for epoch {epoch[-1]['epoch']}"
                    found.append(Alarm("unlabelled", term, epoch[-1]["step"], 0.0, message, causes, remedies))
        return found

    return rule


def growing(
    reports: int,
    causes: tuple[str, ...],
    remedies: tuple[str, ...],
    by: float = 0.25,
    times: float | None = None,
) -> Rule:
    """The loss grew at each of the last `reports` reports, by the share `by` in all, to a height it had left behind.

    Noise rises too, but neither so far nor above all of the ten times as many reports before. A schedule that raises a
    weight makes the total grow without any fault, so the raw means are compared at the latest weights wherever the
    lines carry them.

    Args:
        times: a loss so many times that of the first report has grown too, however it got there. Only for losses that
            cannot be negative; None does without.
    """

    def rule(lines: Sequence[Line]) -> list[Alarm]:
        told = [line for line in lines if "loss" in line]
        for end in range(1, len(told)):
            losses = [_loss_at(line, told[end]) for line in told[max(0, end - 11 * reports) : end + 1]]
            rise, last = losses[-reports - 1 :], losses[-1]
            steady = len(rise) > reports and all(b > a for a, b in pairwise(rise)) and last == max(losses)
            first = _loss_at(told[0], told[end])
            if steady and last - rise[0] > by * abs(rise[0]):
                message = f"the loss grew for {reports} reports, from {rise[0]:.4g} to {last:.4g}"
            elif times is not None and last > times * first:
                message = f"the loss grew to {last:.4g}, more than {times:g} times the first report's {first:.4g}"
            else:
                continue
            return [Alarm("growing", "loss", told[end]["step"], last, message, causes, remedies)]
        return []

    return rule


def not_decreasing(term: str, causes: tuple[str, ...], remedies: tuple[str, ...], settled: float = 0.2) -> Rule:
    """Over a whole epoch the term's second half is no lower than its first, nor the epoch lower than the one before.

    A term that has already come down to the share `settled` of its first value has done its work and may rest.
    """

    def rule(lines: Sequence[Line]) -> list[Alarm]:
        found, before, start = [], None, None
        for raws, end in _stretches(lines, term):
            start = raws[0] if start is None else start
            mean, half = fmean(raws), len(raws) // 2
            flat = fmean(raws[-half:]) >= fmean(raws[:half])
            if flat and (before is None or mean >= before) and mean > settled * start:
                levels = f"{raws[0]:.4f} to {raws[-1]:.4f}"
                message = f"{term} did not come down by the end of epoch {end['epoch']}: {levels}"
                found.append(Alarm("not_decreasing", term, end["step"], raws[-1], message, causes, remedies))
            before = mean
        return found

    return rule


def gradient_share(low: float, high: float, causes: tuple[str, ...], remedies: tuple[str, ...]) -> Rule:
    """A term's share of the gradient norms stays below `low` (dead) or above `high` (drowning) for an epoch.

    One panel is one micro-batch at one moment: an epoch with a single one is judged together with the panel before.
    """

    def rule(lines: Sequence[Line]) -> list[Alarm]:
        found, before = [], []
        for epoch in _whole_epochs(lines):
            panels = [line["gradients"] for line in epoch if len(line.get("gradients") or {}) > 1]
            judged = [*before, *panels] if len(panels) == 1 else panels
            before = panels[-1:] or before
            for term in {name: None for panel in panels for name in panel}:
                shares = [panel[term]["share"] for panel in judged if term in panel]
                for kind, bad in (("dead", max(shares) < low), ("drowning", min(shares) > high)):
                    if bad and len(shares) > 1:
                        message = f"{term} had {shares[-1]:.2%} of the gradient in epoch {epoch[-1]['epoch']} ({kind})"
                        found.append(Alarm(kind, term, epoch[-1]["step"], shares[-1], message, causes, remedies))
        return found

    return rule


def above(term: str, limit: float, causes: tuple[str, ...], remedies: tuple[str, ...], after: int = 0) -> Rule:
    """The term's raw mean is above a level that only a fault reaches, once `after` epochs have passed."""

    def rule(lines: Sequence[Line]) -> list[Alarm]:
        for line in lines:
            for raw in _raws([line], term):
                if raw > limit and (not after or line["epoch"] > after):
                    message = f"{term} is {raw:.4g}, above {limit:g}"
                    return [Alarm("above", term, line["step"], raw, message, causes, remedies)]
        return []

    return rule


def at_chance(term: str, share: float, causes: tuple[str, ...], remedies: tuple[str, ...]) -> Rule:
    """A term that picks one of a batch stays above the share `share` of ln B, what picking at random costs, for a whole
    epoch; B is the mean number of its values a step."""

    def rule(lines: Sequence[Line]) -> list[Alarm]:
        steps = {id(line): line["step"] - before for line, before in _since([x for x in lines if "terms" in x])}
        for epoch in _whole_epochs(lines):
            rows = [(line["terms"][term], steps[id(line)]) for line in epoch if term in line["terms"]]
            ratios = [row["raw"] / math.log(row["n_valid"] / count) for row, count in rows if row["n_valid"] > count]
            if len(ratios) >= ENOUGH and min(ratios) > share:
                message = f"{term} / ln B stayed above {share:g} for epoch {epoch[-1]['epoch']}, at {ratios[-1]:.3f}"
                return [Alarm("at_chance", term, epoch[-1]["step"], ratios[-1], message, causes, remedies)]
        return []

    return rule


def metric_below(metric: str, limit: float, causes: tuple[str, ...], remedies: tuple[str, ...]) -> Rule:
    """A metric of validation is below a level that only a fault reaches."""

    def rule(lines: Sequence[Line]) -> list[Alarm]:
        for line in lines:
            value = line.get("validation", {}).get(metric)
            if value is not None and value < limit:
                message = f"{metric} is {value:.4g} after epoch {line['epoch']}, below {limit:g}"
                return [Alarm("metric_below", metric, line["step"], value, message, causes, remedies)]
        return []

    return rule


def _since(lines: Sequence[Line]) -> Iterator[tuple[Line, int]]:
    """Each line with the step of the one before."""
    before = 0
    for line in lines:
        yield line, before
        before = line["step"]


def _whole_epochs(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines by epoch without one still running: an epoch is over when the next began, or it was validated or last."""
    epochs: dict[int, list[Line]] = {}
    for line in lines:
        epochs.setdefault(line["epoch"], []).append(line)
    order = list(epochs.values())
    if order and not any("validation" in line or line["progress"] >= 1 for line in order[-1]):
        order.pop()
    return [[line for line in epoch if "terms" in line] for epoch in order if any("terms" in line for line in epoch)]


def _stretches(lines: Sequence[Line], term: str) -> Iterator[tuple[list[float], Line]]:
    """The term's raw means of each whole epoch and that epoch's last line; short epochs are taken together, because a
    few reports say little."""
    raws: list[float] = []
    for epoch in _whole_epochs(lines):
        raws += _raws(epoch, term)
        if len(raws) >= ENOUGH:
            yield raws, epoch[-1]
            raws = []


def _terms(epoch: Sequence[Line]) -> list[str]:
    return list({name: None for line in epoch for name in line["terms"]})


def _raws(lines: Sequence[Line], term: str) -> list[float]:
    """Raw means of the reports in which the term saw anything."""
    rows = [line["terms"][term] for line in lines if term in line.get("terms", {})]
    return [row["raw"] for row in rows if row["n_valid"]]


def _loss_at(line: Line, latest: Line) -> float:
    weights = {name: row.get("weight") for name, row in latest.get("terms", {}).items()}
    rows = line.get("terms", {})
    if not weights or None in weights.values() or any(name not in rows for name in weights):
        return line["loss"]
    return sum(weight * rows[name]["raw"] for name, weight in weights.items())
