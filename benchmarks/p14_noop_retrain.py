"""P14: a retraining with nothing to do ends in under ten seconds, embedded.

A tiny project is trained and judged once; then `equipoise retrain` is called again, five times, as whole processes. The
other side is the same question put the long way: `dvc repro` for each stage in a process of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import Result, report
from components.config_edit import edit

GOAL = 10.0  # seconds
ROUNDS = 5
ROOT = Path(__file__).parents[1]
W = "tool_calling"
TINY = ("data.embedded_conversations=60", "data.vocabulary=400", "training.epochs=1", "model.width=16")


def run(command: list[str], cwd: Path) -> tuple[float, subprocess.CompletedProcess[str]]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    began = time.perf_counter()
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    return time.perf_counter() - began, done


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        project.mkdir()
        for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
            shutil.copyfile(ROOT / name, project / name)
        for name in ("components", "flows"):
            shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
        edit(project / "params.yaml", W, TINY)
        retrain = [sys.executable, "-m", "flows.cli", "retrain", W, "--json"]
        first, done = run(retrain, project)
        assert done.returncode in (0, 10, 11), done.stderr
        stages = [f"{stage}@{W}" for stage in ("generate", "prepare", "train", "evaluate")]
        ours, theirs = [], []
        for _ in range(ROUNDS):
            taken, done = run(retrain, project)
            assert json.loads(done.stdout)["decision"] == "UNCHANGED", done.stdout
            ours.append(taken)
            theirs.append(
                sum(run([sys.executable, "-m", "dvc", "repro", "--single-item", s], project)[0] for s in stages)
            )
    median = statistics.median(ours)
    slow = statistics.median(theirs)
    note = "theirs: dvc repro of each stage in its own process, without the ledger"
    goal, passed = f"< {GOAL:.0f} s", median < GOAL
    report(Result(Path(__file__).stem, slow / median, goal, passed, median, slow, "s wall", note, {"first": first}))


if __name__ == "__main__":
    main()
