"""How many threads arithmetic uses, said once for a process and its children."""

from __future__ import annotations

import os
from typing import Any


def as_recorded(section: Any) -> None:
    """Takes `training.threads` of a workload's section for all arithmetic, unless OMP_NUM_THREADS says otherwise.

    To be called before NumPy and torch are imported: they read it then. Left alone they take every core, and small
    models run many times slower beside another process than with one thread.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(section.training.threads))
