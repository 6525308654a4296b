"""Trains the toy again and again, kills it (SIGKILL) at random moments or at every file operation, compares bytes.

Run as a process of its own: it imports torch once, computes nothing itself, and forks a child for each training.
`python -m tests.training.kill_at_random {moments|writes} COUNT FOLDER` prints how many kills there were.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import torch._dynamo  # noqa: F401  optimizers import it at their first step: once here instead of in every child

from components.files import sha256_tree
from tests.training import toy

OPERATIONS = ("open", "os.rename", "os.remove", "os.truncate", "tempfile.mkstemp")


def train_in_child(prepared: Path, folder: Path, operation: int | None = None) -> int:
    """Forks a child that trains; it kills itself at the `operation`-th change of a file. Returns its process id."""
    child = os.fork()
    if child:
        return child
    os.dup2(os.open(f"{folder}.err", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    if operation is not None:
        die_at(operation, str(folder))
    try:
        toy.train(toy.WORKLOAD, toy.section(), prepared, folder, device="cpu")
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def die_at(operation: int, folder: str) -> None:
    seen = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event in OPERATIONS and str(arguments[0]).startswith(folder):
            seen += 1
            if seen == operation:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def was_killed(child: int) -> bool:
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL, f"the child died of signal {os.WTERMSIG(status)}"
        return True
    assert os.WEXITSTATUS(status) == 0, "training failed"
    return False


def kill_at_moments(prepared: Path, folder: Path, count: int, expected: str, seconds: float) -> int:
    """At random times, until `count` have hit a running training; each finished training must equal `expected`."""
    draw = random.Random(11)
    kills, attempt = 0, 0
    while kills < count:
        target = folder / f"run-{attempt}"
        attempt += 1
        finished = False
        while not finished:
            child = train_in_child(prepared, target)
            if kills < count:
                time.sleep(draw.uniform(0.0, seconds))
                os.kill(child, signal.SIGKILL)
            if was_killed(child):
                kills += 1
            else:
                finished = True
        assert sha256_tree(target) == expected, f"other bytes after {kills} kills"
    return kills


def kill_at_writes(prepared: Path, folder: Path, count: int, expected: str) -> int:
    """At the first, the second, ... file operation of a fresh training, each resumed with one more kill on its way."""
    for operation in range(1, count + 1):
        target = folder / f"write-{operation}"
        if not was_killed(train_in_child(prepared, target, operation)):
            return operation - 1
        was_killed(train_in_child(prepared, target, operation // 2 + 1))
        assert not was_killed(train_in_child(prepared, target))
        assert sha256_tree(target) == expected, f"other bytes after a kill at file operation {operation}"
    return count


def main(kind: str, count: int, folder: Path) -> None:
    prepared = toy.prepare(toy.section(), folder / "prepared")
    began = time.monotonic()
    assert not was_killed(train_in_child(prepared, folder / "whole"))
    seconds = time.monotonic() - began
    expected = sha256_tree(folder / "whole")
    if kind == "moments":
        print(kill_at_moments(prepared, folder, count, expected, seconds))
    else:
        print(kill_at_writes(prepared, folder, count, expected))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
