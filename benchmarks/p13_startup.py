"""P13: `equipoise --help` and `equipoise status` answer in under a second (that they import nothing heavy is tested).

Wall time of whole processes, median of five, the first apart. The other side is a process that imports torch and
MLflow, which is what a command line that imports everything first would pay.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import Result, report

GOAL = 1.0  # seconds
ROUNDS = 5


def seconds(command: list[str], cwd: str) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=cwd, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    with tempfile.TemporaryDirectory() as project:
        sides = {
            "help": [sys.executable, "-m", "flows.cli", "--help"],
            "status": [sys.executable, "-m", "flows.cli", "status"],
            "eager": [sys.executable, "-c", "import torch, mlflow"],
        }
        first = {name: seconds(command, project) for name, command in sides.items()}
        taken: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(ROUNDS):
            for name, command in sides.items():
                taken[name].append(seconds(command, project))
    median = {name: statistics.median(values) for name, values in taken.items()}
    slowest = max(median["help"], median["status"])
    report(
        Result(
            name=Path(__file__).stem, ratio=median["eager"] / slowest, goal=f"< {GOAL} s", passed=slowest < GOAL,
            ours=slowest, theirs=median["eager"], unit="s wall",
            note="slower of --help and status; theirs imports torch and mlflow first",
            extra={"help": median["help"], "status": median["status"], "first": first["status"]},
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
