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
from flows.orchestration import ensure_database, environment
from flows.state import Place

IMPORTED = (
    *("dvc.repo", "dvc.stage", "matplotlib.font_manager", "mlflow.pyfunc", "prefect.server.api.server", "uvicorn"),
    *("components.workloads.table", "flows.judging", "flows.prefect_child", "flows.registration", "flows.retrain"),
)


def import_all() -> None:
    """Imports what a retraining needs; Prefect and MLflow read the environment then, so set it up before."""
    for name in IMPORTED:
        importlib.import_module(name)


def warm(say: Callable[[str], object]) -> None:
    """Fills the user's cache; a cache that cannot be written is left to the first run, which knows what to do."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="equipoise-warm-") as scratch:
        place = Place(Path(scratch), Path(scratch))
        try:
            os.environ.update(environment(place))
            ensure_database(place, say)
            import_all()
            ensure_template(cache_folder(place.state))
        finally:
            os.environ.clear()
            os.environ.update(before)


if __name__ == "__main__":
    try:
        warm(print)
    except EquipoiseError as error:
        print(f"warning: {error} The first run does this instead and takes longer")
