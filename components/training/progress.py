"""What a person sees while a model trains: a bar on a terminal, a line every ten seconds in a log."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

LINE_EVERY = 10.0  # seconds

Show = Callable[[float, str], None]


def seconds_left(elapsed: float, start: float, now: float) -> float | None:
    """Time to progress 1 at the pace since `start`; None before there is a pace. Progress is in [0, 1]."""
    done = now - start
    return None if done <= 0 else elapsed * (1.0 - now) / done


def as_clock(seconds: float | None) -> str:
    """`1:02:03`, below an hour `02:03`; `--:--` where nothing is known yet."""
    if seconds is None:
        return "--:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


@contextlib.contextmanager
def shown(name: str, start: float, quiet: bool = False) -> Iterator[Show]:
    """Yields show(progress, text): progress of the whole run in [0, 1], text such as `epoch 2/6 loss 1.23`.

    `start` is the progress at which this process begins, above 0 after a resume, so that the time left is right.
    """
    began = time.monotonic()

    def left(progress: float) -> str:
        return as_clock(seconds_left(time.monotonic() - began, start, progress))

    if quiet:
        yield lambda progress, text: None
    elif sys.stderr.isatty():
        columns = (
            TextColumn("{task.fields[name]}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f}% {task.fields[text]}"),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(name, total=1.0, name=name, text="")
            yield lambda progress, text: bar.update(task, completed=progress, text=f"{text} left {left(progress)}")
    else:
        yield _lines(name, left)


def _lines(name: str, left: Callable[[float], str]) -> Show:
    last = time.monotonic()

    def show(progress: float, text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_EVERY:
            last = time.monotonic()
            print(f"{name} {progress:4.0%} {text} left {left(progress)}", file=sys.stderr, flush=True)

    return show


def say(text: str) -> None:
    """One line for the person who started the run."""
    print(text, file=sys.stderr, flush=True)
