"""MLflow runs, and models in the making, whose process is gone: found by its identity, closed with the reason."""

from __future__ import annotations

from collections.abc import Mapping

from components.registry.processes import gone
from components.registry.tracking import KINDS, Store, client, mlflow_errors


def orphans(store: Store) -> dict[str, Mapping[str, str]]:
    """The runs left open by a process of this machine that is gone, with their tags.

    Runs of other hosts are left alone: nobody here can tell whether their process lives.
    """
    mlflow = client(store)
    with mlflow_errors(store):
        names = [store.experiment(kind) for kind in KINDS]
        ids = [e.experiment_id for e in map(mlflow.get_experiment_by_name, names) if e is not None]
        runs = mlflow.search_runs(ids, "attributes.status = 'RUNNING'", max_results=5000) if ids else []
    return {run.info.run_id: run.data.tags for run in runs if gone(run.data.tags)}


def close_orphan(store: Store, run_id: str) -> None:
    """Closes a run as KILLED, with the reason, and the model that it was packaging as FAILED; closing it again changes
    nothing."""
    mlflow = client(store)
    with mlflow_errors(store):
        experiment = mlflow.get_run(run_id).info.experiment_id
        for model in mlflow.search_logged_models([experiment], f"source_run_id = '{run_id}'"):
            if model.status == "PENDING":
                mlflow.finalize_logged_model(model.model_id, "FAILED")
        mlflow.set_tag(run_id, "closed_by", "its process was gone")
        mlflow.set_terminated(run_id, "KILLED")


def close_orphans(store: Store) -> list[str]:
    """Closes every one of the `orphans`; returns their ids."""
    found = list(orphans(store))
    for run_id in found:
        close_orphan(store, run_id)
    return found
