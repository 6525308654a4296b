"""The stage that DVC runs, on real rows of the real model, killed again and again: the same bytes in the end."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.config_edit import edit
from tests.flows.projects import real_project

KILLS = 20
LONGER = (
    "data.embedded_conversations=160",
    "training.batch_tokens=700",
    "training.epochs=6",
    "training.patience=6",
    "training.checkpoint_every=3",
)


def stage(name: str, project: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "components.stage", name, "tool_calling"],
        cwd=project,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def finished(process: subprocess.Popen) -> None:
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()[-2000:]


def steps_begun(process: subprocess.Popen) -> None:
    """Waits for the first line that tells of a step, or for the end."""
    assert process.stderr is not None
    for line in process.stderr:
        if b" step " in line:
            return


def files(project: Path) -> dict[str, bytes]:
    folder = project / "checkpoints" / "tool_calling"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_the_training_stage_killed_at_20_random_moments_ends_in_the_same_bytes(tmp_path: Path) -> None:
    project = real_project(tmp_path / "killed")
    edit(project / "params.yaml", "tool_calling", LONGER)
    for name in ("generate", "prepare"):
        finished(stage(name, project))
    whole = tmp_path / "whole"
    shutil.copytree(project, whole)
    process = stage("train", whole)
    steps_begun(process)
    began = time.monotonic()
    finished(process)
    seconds = time.monotonic() - began
    chance, kills = random.Random(20), 0
    while True:
        process = stage("train", project)
        steps_begun(process)
        try:
            process.wait(chance.uniform(0, seconds / (2 * KILLS)))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            continue
        finished(process)
        break
    assert files(project) == files(whole) and "model.safetensors" in files(whole)
    assert kills >= KILLS
