"""SIGKILL at random moments and at file operations: the same command again ends in the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def kills(kind: str, count: int, folder: Path) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.kill_at_random", kind, str(count), str(folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    errors = "".join(path.read_text()[-2000:] for path in folder.glob("*.err")) if done.returncode else ""
    assert done.returncode == 0, done.stderr + errors
    return int(done.stdout)


def test_killed_at_20_random_moments(tmp_path: Path) -> None:
    assert kills("moments", 20, tmp_path) == 20


def test_killed_at_file_operations(tmp_path: Path) -> None:
    assert kills("writes", 16, tmp_path) == 16


@pytest.mark.torture
def test_killed_at_every_file_operation(tmp_path: Path) -> None:
    assert 60 <= kills("writes", 1000, tmp_path) < 1000
