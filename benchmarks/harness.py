"""What every benchmark shares: how time is taken and how the one JSON line is printed.

Process CPU time (all threads of this process), median of at least five rounds in which both sides alternate, the first
call of each apart. A benchmark checks that both sides agree before it times them.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Timing:
    """Seconds of process CPU time per call."""

    first: float
    median: float


@dataclass
class Result:
    """The line a benchmark prints. `ratio` is how much better ours is; `passed` holds when every goal is met."""

    name: str
    ratio: float
    goal: str
    passed: bool
    ours: Any
    theirs: Any
    unit: str
    note: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


def report(result: Result) -> None:
    """Prints the line: {"name", "ratio", "goal", "pass", "ours", "theirs", "unit", "note"}."""
    line = asdict(result)
    line["pass"] = line.pop("passed")
    order = ("name", "ratio", "goal", "pass", "ours", "theirs", "unit", "note")
    line = {key: _short(line[key]) for key in order} | {k: _short(v) for k, v in line["extra"].items()}
    print(json.dumps(line), flush=True)


def alternate(*sides: Callable[[], object], rounds: int = 7, at_least: float = 0.02) -> list[Timing]:
    """CPU seconds per call of each side.

    The sides take turns round by round, so that a busy machine slows all of them alike. Within a round a side is called
    as often as fills about `at_least` seconds: the clock is coarse for a call of microseconds.
    """
    firsts = [_seconds(side, 1) for side in sides]
    repeats = [max(1, round(at_least / max(_seconds(side, 1), 1e-6))) for side in sides]
    times: list[list[float]] = [[] for _ in sides]
    for _ in range(max(rounds, 5)):
        for side, repeat, taken in zip(sides, repeats, times, strict=True):
            taken.append(_seconds(side, repeat) / repeat)
    return [Timing(first, statistics.median(taken)) for first, taken in zip(firsts, times, strict=True)]


def _seconds(call: Callable[[], object], repeat: int) -> float:
    begin = time.process_time()
    for _ in range(repeat):
        call()
    return time.process_time() - begin


def _short(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value
