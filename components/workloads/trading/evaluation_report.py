"""What was found on the hold-out, and the page people read about it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from components.config_trading import TradingEvaluation
from components.evaluation.edge import Evidence
from components.evaluation.statistics import Interval
from components.workloads.trading.accounts import Accounts
from components.workloads.trading.leakage import Leakage
from components.workloads.trading.walk import Walk

ACCOUNT_COLUMNS = ("total", "annual", "volatility", "sharpe", "sortino", "drawdown", "turnover")
RULES = ("softmax", "momentum", "majority", "static")
IN_SLICES = ("strategy/accuracy", "return/captured", "regret/static")


@dataclass(frozen=True)
class Findings:
    """Everything that evaluation found.

    Attributes:
        names: of the strategies.
        frames: tables of `score` per model.
        metrics: model -> split/head/metric -> interval.
        against: the model's metrics less those of the static mix that was best in training.
        accounts, dates: daily accounts and the day at whose close each return is known.
        figures: account -> total, annual, ...
        intervals: of the model's account.
        walk: the walk-forward before the hold-out.
        never_best: strategies that were the best on no day of any split.
        slices: rows of `slice_rows`, with `static` beside.
    """

    names: tuple[str, ...]
    frames: dict[str, pl.DataFrame]
    metrics: dict[str, dict[str, Interval]]
    against: dict[str, Interval]
    accounts: Accounts
    dates: NDArray[np.datetime64]
    figures: dict[str, dict[str, float]]
    intervals: dict[str, Interval]
    evidence: Evidence
    leakage: Leakage
    walk: Walk
    never_best: list[str]
    slices: list[dict[str, Any]]


def render(found: Findings, settings: TradingEvaluation, verdict: str, sentence: str) -> str:
    """The report as Markdown: the verdict first, then what it rests on."""
    sections = [
        _head(found, verdict, sentence),
        _evidence(found.evidence, settings),
        _accounts(found, settings),
        _metrics(found, settings),
        _walk(found.walk),
        _slices(found, settings),
    ]
    return "\n".join(line for section in sections for line in section) + "\n"


def _head(found: Findings, verdict: str, sentence: str) -> list[str]:
    frame = found.frames["model"]
    lines = [
        f"# trading on the hold-out: {verdict}",
        "",
        sentence,
        "",
        f"{frame.height} decisions from {frame['id'][0]} to {frame['id'][-1]}. Each is held for its horizon, so the "
        "account holds the last few decisions in equal parts; costs are taken off everything below.",
        "",
    ]
    if found.never_best:
        lines += [f"Never the best strategy on any day, in no split: {', '.join(found.never_best)}.", ""]
    named = ", ".join(
        f"{each['feature']} ({each['rank_correlation']:+.2f} over {each['days']})" for each in found.leakage.features
    )
    if named:
        lines += [f"Features that go most closely with the days to come, and over how many of them: {named}.", ""]
    return lines


def _evidence(evidence: Evidence, settings: TradingEvaluation) -> list[str]:
    def row(name: str, value: float | None, form: str, meaning: str) -> str:
        return f"| {name} | {'-' if value is None else format(value, form)} | {meaning} |"

    percent = f"{settings.confidence:.0%}"
    own, best = _range(evidence.low, evidence.high), _range(evidence.difference_low, evidence.difference_high)
    timing = f"{percent} interval {own}; basis points a day over its own average mix held still"
    behind = f"{percent} interval {best}; over {evidence.benchmark}, the static mix that earned most here"
    return [
        "## Evidence",
        "",
        "| | value | |",
        "| --- | --- | --- |",
        row("timing", evidence.timing, "+.2f", timing),
        row("over the best static mix", evidence.difference, "+.2f", behind),
        row("SPA p", evidence.spa, ".3f", "Hansen's test that no candidate times better than standing still"),
        row("deflated Sharpe", evidence.deflated, ".3f", f"of the timing; a probability; trials: {evidence.trials}"),
        row(
            "backtest overfitting",
            evidence.overfitting,
            ".3f",
            "how often the best of one half of the days is below the median on the other",
        ),
        row("block", evidence.block, ".1f", "mean length in days of what is drawn again together"),
        "",
        "`edge`: the interval of the timing above 0, SPA and deflated Sharpe significant, and more earned than every "
        "static mix. `worse`: the interval below 0.",
        "",
    ]


def _accounts(found: Findings, settings: TradingEvaluation) -> list[str]:
    lines = [
        "## Accounts after costs",
        "",
        f"| | {' | '.join(ACCOUNT_COLUMNS)} |",
        "| --- " * (1 + len(ACCOUNT_COLUMNS)) + "|",
    ]
    for name, numbers in found.figures.items():
        cells = [
            _number(numbers.get(column), "sharpe" in column or "sortino" in column or column == "turnover")
            for column in ACCOUNT_COLUMNS
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    intervals = "; ".join(f"{name} {_range(each.low, each.high)}" for name, each in found.intervals.items())
    return [
        *lines,
        "",
        f"{settings.confidence:.0%} intervals of the model's account by stationary bootstrap: {intervals}. Sharpe and "
        f"Sortino are over {settings.cash or 'nothing'}; turnover is traded a year as a multiple of the account.",
        "",
    ]


def _metrics(found: Findings, settings: TradingEvaluation) -> list[str]:
    lines = [
        "## Decisions",
        "",
        f"{settings.confidence:.0%} intervals by drawing months again, {settings.resamples} times; regret in basis "
        "points a day, return as a fraction over the horizon.",
        "",
        f"| metric | model | {' | '.join(RULES)} | model - static |",
        "| --- " * (3 + len(RULES)) + "|",
    ]
    for metric in found.metrics["model"]:
        rules = (found.metrics[name].get(metric) for name in RULES)
        cells = ["-" if each is None else f"{each.value:.4f}" for each in rules]
        own, over = _cell(found.metrics["model"][metric]), _cell(found.against.get(metric), "+")
        lines.append(f"| {metric.split('/', 1)[1]} | {own} | {' | '.join(cells)} | {over} |")
    return [*lines, ""]


def _walk(walked: Walk) -> list[str]:
    rows = walked.rows
    rules = list(dict.fromkeys(row["rule"] for row in rows))
    lines = [
        "## Walk-forward before the hold-out",
        "",
        "Everything trained anew before each block: accuracy, and mean net return in basis points a day.",
        "",
        *([f"All blocks of the model together: {walked.evidence.sentence}", ""] if walked.evidence else []),
        f"| fold | block | trained on | days | {' | '.join(rules)} |",
        "| --- " * (4 + len(rules)) + "|",
    ]
    for fold in dict.fromkeys(row["fold"] for row in rows):
        own = {row["rule"]: row for row in rows if row["fold"] == fold}
        first = own[rules[0]]
        cells = " | ".join(_block(own.get(rule)) for rule in rules)
        lines.append(f"| {fold} | {first['first']} to {first['last']} | {first['trained']} | {first['n']} | {cells} |")
    return [*lines, ""]


def _block(row: Mapping[str, Any] | None) -> str:
    return "-" if row is None else f"{row['accuracy']:.3f}, {row['net']:+.2f}"


def _slices(found: Findings, settings: TradingEvaluation) -> list[str]:
    lines = [
        "## Slices",
        "",
        f"Model / best static mix of the training; a dash: below {settings.minimum_slice} days or undefined.",
        "",
        f"| slice | days | {' | '.join(IN_SLICES)} |",
        "| --- " * (2 + len(IN_SLICES)) + "|",
    ]
    for row in found.slices:
        cells = [f"{_plain(row['metrics'].get(m))} / {_plain(row['static'].get(m))}" for m in IN_SLICES]
        lines.append(f"| {row['slice']}: {row['value']} | {row['n']} | {' | '.join(cells)} |")
    return lines


def _range(low: float | None, high: float | None) -> str:
    return f"[{_plain(low, '+.2f')}, {_plain(high, '+.2f')}]"


def _plain(value: float | None, form: str = ".3f") -> str:
    return "-" if value is None or not math.isfinite(value) else format(value, form)


def _number(value: float | None, ratio: bool) -> str:
    return "-" if value is None else f"{value:.2f}" if ratio else f"{value:+.1%}"


def _cell(interval: Interval | None, sign: str = "") -> str:
    if interval is None:
        return "-"
    value, low, high = interval
    return f"{value:{sign}.4f}" if low != low else f"{value:{sign}.4f} [{low:{sign}.4f}, {high:{sign}.4f}]"
