"""Projects for the flows' tests: one of plain stages for DVC's part, one of the real code with a tiny data set."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from components import stage
from components.config_edit import edit
from flows import stages
from flows.state import Place

ROOT = Path(__file__).parents[2]
TINY = (
    "data.embedded_conversations=60",
    "data.vocabulary=400",
    "training.epochs=1",
    "training.threads=1",
    "training.compile=false",  # compiling takes longer than such a training
    "model.width=16",
    "evaluation.resamples=100",
    "gate.resamples=200",
)

PLAIN = """\
stages:
  prepare:
    foreach: [tool_calling]
    do:
      cmd: python prepare.py
      deps: [prepare.py, raw.txt]
      outs: ["data/prepared/${item}"]
  train:
    foreach: [tool_calling]
    do:
      cmd: python train.py
      deps: [train.py, "data/prepared/${item}"]
      outs:
        - checkpoints/${item}:
            persist: true
"""
COPY = """\
import pathlib
text = pathlib.Path("raw.txt").read_text()
folder = pathlib.Path("data/prepared/tool_calling")
folder.mkdir(parents=True, exist_ok=True)
(folder / "text").write_text(text.upper())
"""


def real_project(folder: Path) -> Path:
    """A copy of the product's code and stages without git, set to train in seconds."""
    folder.mkdir(parents=True)
    for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
        shutil.copyfile(ROOT / name, folder / name)
    for name in ("components", "flows"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    edit(folder / "params.yaml", "tool_calling", TINY)
    return folder


def train_here(place: Place, workload: str) -> None:
    """Runs every stage before evaluate in this process; the bytes are those that the flow leaves."""
    section = getattr(place.config(), workload)
    with contextlib.chdir(place.project):
        for name in stages.needed(place, workload)[:-1]:
            stage.STAGES[name](workload, section)


def command(project: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """`equipoise ARGUMENTS` in the project, with the installed interpreter."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_", "EQUIPOISE_DATABASE"))}
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments],
        cwd=project, env={**keep, "OMP_NUM_THREADS": "1", **environment}, capture_output=True, text=True, timeout=1200,
    )  # fmt: skip
