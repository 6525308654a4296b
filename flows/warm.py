"""What a fresh environment does once, done at set-up: bytecode of what the life cycle imports, migrated databases.

`python -m flows.warm`, which `make setup` calls. Without it the first `make run` would do the same, a minute slower.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from components.errors import EquipoiseError
from components.registry.database import cache_folder, ensure_template
from components.workload import NAMES, workload
from flows.orchestration import ensure_database, environment
from flows.state import Place

BY_FLOW = (
    *("dvc.repo", "dvc.stage", "matplotlib.font_manager", "mlflow.pyfunc"),
    *("flows.judging", "flows.registration", "flows.retrain"),
)
BY_SERVER = ("flows.prefect_child", "prefect.server.api.server", "uvicorn")


def import_flow(*workloads: str) -> None:
    """Imports what retraining these needs; Prefect and MLflow read the environment then, so set it up before."""
    for name in BY_FLOW:
        importlib.import_module(name)
    for name in workloads:
        workload(name)


def warm(say: Callable[[str], object]) -> None:
    """Fills the user's cache; a cache that cannot be written is left to the first run, which knows what to do."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="equipoise-warm-") as scratch:
        place = Place(Path(scratch), Path(scratch))
        try:
            os.environ.update(environment(place))
            ensure_database(place, say)
            import_flow(*NAMES)
            for name in BY_SERVER:
                importlib.import_module(name)
            ensure_template(cache_folder(place.state))
        finally:
            os.environ.clear()
            os.environ.update(before)


if __name__ == "__main__":
    try:
        warm(print)
    except EquipoiseError as error:
        print(f"warning: {error} The first run does this instead and takes longer")
