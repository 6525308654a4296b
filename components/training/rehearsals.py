"""Trainings of the same recipe on earlier pasts, whose models evaluation judges on what came next."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from components.training.loop import train
from components.training.progress import say
from components.workload import Workload

FOLDER = "rehearsals"  # of a checkpoint folder: a model's folder per rehearsal


def train_rehearsals(
    workload: Workload, section: Any, prepared: Path, folder: Path, *, device: str | None = None
) -> list[str]:
    """Trains a model for each rehearsal of the workload into `folder`/rehearsals; returns their names.

    One that has finished is left alone, one that was stopped goes on; folders of rehearsals that are no longer asked
    for are removed.

    Args:
        folder: the checkpoint folder of the workload.

    Raises:
        what `train` raises.
    """
    asked = dict(workload.rehearsals(section, prepared))
    place = folder / FOLDER
    for old in sorted(place.iterdir()) if place.is_dir() else ():
        if old.name not in asked:
            shutil.rmtree(old, ignore_errors=True)  # under several ranks another one may be at it
    for number, (name, (earlier, past)) in enumerate(asked.items(), start=1):
        say(f"rehearsal {number} of {len(asked)}: the recipe on an earlier past")
        train(workload, earlier, past, place / name, device=device)
    return list(asked)
