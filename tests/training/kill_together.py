"""Trains three of the toy's candidates together, killed (SIGKILL) at file operations, continues and compares bytes.

Run as a process of its own, which imports torch once and forks a child for each training.
`python -m tests.training.kill_together FOLDER OPERATION...` prints how many kills there were.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from components.files import sha256_tree
from components.training.candidates import train_together
from components.training.lanes import Lane
from tests.training import toy
from tests.training.kill_at_random import die_at, was_killed


def train_in_child(prepared: Path, folder: Path, operation: int | None = None) -> int:
    """Forks a child that trains and kills itself at the `operation`-th change of a file. Returns its process id."""
    child = os.fork()
    if child:
        return child
    if operation is not None:
        die_at(operation, str(folder))
    size = {"weight": 0.5, "schedule": [[0.0, 1.0]]}
    lanes = [
        Lane(n, toy.section(loss__above={"weight": 1.0 + n, "schedule": [[0.0, 1.0]]}, loss__size=size))
        for n in range(3)
    ]
    try:
        train_together(
            toy.WORKLOAD, lanes, prepared, folder, rungs=(1,), stop=lambda epochs, metrics: {1: (0,)}, device="cpu"
        )
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main(folder: Path, operations: list[int]) -> None:
    prepared = toy.prepare(toy.section(), folder / "prepared")
    assert not was_killed(train_in_child(prepared, folder / "whole"))
    expected = sha256_tree(folder / "whole")
    kills = 0
    for operation in operations:
        target = folder / f"killed-{operation}"
        kills += was_killed(train_in_child(prepared, target, operation))
        assert not was_killed(train_in_child(prepared, target))
        assert sha256_tree(target) == expected, f"other bytes after a kill at file operation {operation}"
    print(kills, "kills")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(operation) for operation in sys.argv[2:]])
