"""Runs in MLflow: where the store is, what a run records, how a run that lost its process is closed.

Only the client API with explicit run ids is used: MLflow's fluent "active run" is a global that threads and nested
flows lose. MLflow is imported inside functions, so commands that never touch it start fast.
"""

from __future__ import annotations

import functools
import json
import logging
import math
import os
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from components.errors import EquipoiseError, Exit, busy, misconfigured
from components.registry.database import ensure_database
from components.registry.processes import identity
from components.registry.relocation import is_folder, rebase

if TYPE_CHECKING:
    from mlflow import MlflowClient

Kind = Literal["train", "tune", "study", "evaluate"]
KINDS: tuple[Kind, ...] = ("train", "tune", "study", "evaluate")
SERVERS = ("http", "https")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
BATCH = 1000  # metrics MLflow takes in one call
PARAMS = 100  # parameters and tags likewise
PARAM_LIMIT = 6000  # characters of a parameter's value
PROBE_SECONDS = 5.0
UNAUTHORIZED = 401  # the status of an HTTP answer
REFUSED = ("UNAUTHENTICATED", "PERMISSION_DENIED")  # MLflow's names for who is not let in


@dataclass(frozen=True)
class Store:
    """Where runs and models are kept.

    Attributes:
        project: first part of every experiment's and model's name.
        state: the state folder (locks, buffered curves, downloaded models).
        uri: MLflow tracking and registry address; may hold a password, so it is never printed: print `place`.
        artefacts: folder of the artefacts, None where a server keeps them.
    """

    project: str
    state: Path
    uri: str
    artefacts: Path | None

    @property
    def place(self) -> str:
        """The address without user, password and query."""
        parts = urlsplit(self.uri)
        if parts.scheme == "sqlite" or not parts.hostname:
            return f"MLflow database {parts.path.removeprefix('/')}"
        return f"MLflow at {parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"

    @property
    def embedded(self) -> bool:
        """Whether this is the database in the state folder, which nobody else knows of."""
        return self.uri == f"sqlite:///{self.state / 'mlflow.db'}"

    def model_name(self, workload: str) -> str:
        """The registered model's name, `<project>-<workload>`."""
        return f"{self.project}-{workload}"

    def experiment(self, kind: Kind) -> str:
        """The experiment's name, `<project>/<kind>`."""
        return f"{self.project}/{kind}"


def open_store(state: Path, project: str) -> Store:
    """The store MLFLOW_TRACKING_URI names, else the embedded one in the state folder; imports nothing heavy.

    Raises:
        EquipoiseError: E_TRACKING_URI (78) for an address MLflow cannot keep runs at.
    """
    state = state.resolve()  # one address for a folder, by whatever links it is reached
    uri = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    scheme = urlsplit(uri).scheme.split("+")[0] if uri else "sqlite"
    if scheme not in (*SERVERS, *DATABASES):
        hint = "Give http://, https://, postgresql:// or sqlite:///, or unset it to keep runs in the state folder"
        rule = "must be the address of an MLflow server or database"
        raise misconfigured("MLFLOW_TRACKING_URI", rule, got=uri.split("@")[-1], hint=hint, code="TRACKING_URI")
    if uri:
        return Store(project, state, uri, None if scheme in SERVERS else state / "mlartifacts")
    if set("?#") & set(str(state)):
        rule = "must not hold ? or #, which end a database address"
        raise misconfigured("--state", rule, got=str(state), hint="Choose another folder", code="TRACKING_URI")
    return Store(project, state, f"sqlite:///{state / 'mlflow.db'}", state / "mlartifacts")


def client(store: Store) -> MlflowClient:
    """The MLflow client of a store; the embedded database is made at the first call.

    Raises:
        EquipoiseError: E_TRACKING (69) when the server does not answer as MLflow, E_WRITE (73), E_TRACKING (78) when
            the database belongs to another MLflow version.
    """
    if urlsplit(store.uri).scheme in SERVERS:
        _probe(store)
    return _client(store)


@functools.lru_cache(maxsize=8)
def _client(store: Store) -> MlflowClient:
    calm_environment()
    from mlflow import MlflowClient

    with mlflow_errors(store):
        if store.embedded:
            ensure_database(store.state / "mlflow.db", store.state)
        logging.getLogger("mlflow.store.db.utils").setLevel(
            logging.CRITICAL
        )  # it logs tracebacks we report in one line
        made = MlflowClient(tracking_uri=store.uri, registry_uri=store.uri)
        made.search_experiments(max_results=1)
    if store.embedded and store.artefacts is not None:  # the state folder may have been moved since
        try:
            rebase(store.state / "mlflow.db", store.artefacts, KINDS)
        except sqlite3.Error as error:
            raise _translate(store, error) from error
    return made


def calm_environment() -> None:
    """No telemetry, no system metrics, no pickles, short waits for a lost server.

    MLflow reads some of these when it is imported, so this comes before every import of it.
    """
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "false",
        "MLFLOW_LOGGING_LEVEL": "ERROR",
        "MLFLOW_UV_AUTO_DETECT": "false",
        "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",  # who reaches the server may not reach its object store
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
        "GIT_PYTHON_REFRESH": "quiet",
    }.items():
        os.environ.setdefault(name, value)


@contextmanager
def mlflow_errors(store: Store) -> Iterator[None]:
    """Turns what MLflow raises into one line with an exit code."""
    calm_environment()
    import requests
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        raise _translate(store, error) from error


def _translate(store: Store, error: Exception) -> EquipoiseError:
    text = str(error).strip() or type(error).__name__
    line = text.splitlines()[0].replace(store.uri, store.place)
    if "out-of-date database schema" in text:
        hint = "Back it up and run `mlflow db upgrade` on it, or choose another --state folder"
        return misconfigured(store.place, "must have this MLflow's schema", got="another", hint=hint, code="TRACKING")
    if "database is locked" in text:
        return busy(store.place, "must be free", got="database is locked", hint="Run the same command again")
    if any(sign in text for sign in ("readonly database", "unable to open database")):
        hint, rule = "Grant write permission there or choose another --state folder", "must be writable"
        return EquipoiseError("WRITE", store.place, rule, got=line, hint=hint, exit_code=Exit.CANNOT_WRITE)
    if any(sign in text for sign in ("disk is full", "disk I/O error")):
        hint, rule = "Free space, then run the same command again", "must have room"
        return EquipoiseError("IO", store.place, rule, got=line, hint=hint, exit_code=Exit.IO_ERROR)
    if getattr(error, "error_code", "") in REFUSED:
        hint = "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to an account that may do this"
        return _unavailable(store, "must accept user and password", line, hint)
    remote = urlsplit(store.uri).scheme not in ("sqlite",)
    rule = "must answer" if remote else "must hold what is asked for"
    hint = "Start the server or unset MLFLOW_TRACKING_URI" if remote else "Look with `equipoise doctor`"
    code = Exit.SERVICE_UNAVAILABLE if remote else Exit.CONFIGURATION
    return EquipoiseError("TRACKING", store.place, rule, got=line, hint=hint, exit_code=code)


def _probe(store: Store) -> None:
    """Asks an HTTP server for its version with a short limit, before MLflow's own client waits for minutes."""
    address = store.uri.rstrip("/") + "/version"
    parts = urlsplit(address)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    try:
        with urllib.request.urlopen(bare, timeout=PROBE_SECONDS) as answer:
            version = answer.read(64).decode("ascii", "replace").strip()
    except urllib.error.HTTPError as error:
        if error.code == UNAUTHORIZED:
            return  # it is there, and says its version to those alone who log in: MLflow's client does, and we cannot
        raise _unavailable(store, "must answer", str(error), "Point MLFLOW_TRACKING_URI at an MLflow server") from error
    except (OSError, ValueError) as error:
        got = getattr(error, "reason", None) or error
        raise _unavailable(store, "must answer", str(got), "Start the server or unset MLFLOW_TRACKING_URI") from error
    if not version[:1].isdigit() or int(version.split(".")[0]) < 3:
        hint = "Point MLFLOW_TRACKING_URI at an MLflow 3 server"
        raise _unavailable(store, "must be MLflow 3", version, hint)


def _unavailable(store: Store, rule: str, got: str, hint: str) -> EquipoiseError:
    return EquipoiseError("TRACKING", store.place, rule, got=got, hint=hint, exit_code=Exit.SERVICE_UNAVAILABLE)


def experiment_id(store: Store, kind: Kind) -> str:
    """The id of `<project>/<kind>`, made at first use; two processes that make it at once get the same one."""
    name, mlflow = store.experiment(kind), client(store)
    from mlflow.exceptions import MlflowException

    folder = store.artefacts / kind if store.artefacts else None
    location = folder.as_uri() if folder else None
    with mlflow_errors(store):
        found = mlflow.get_experiment_by_name(name)
        if found is None:
            try:
                return mlflow.create_experiment(name, artifact_location=location)
            except MlflowException as error:
                found = mlflow.get_experiment_by_name(name)
                if found is None:
                    raise error
    if found.lifecycle_stage == "deleted":
        hint = f"Bring it back with `mlflow experiments restore --experiment-id {found.experiment_id}`"
        raise misconfigured(store.place, f"experiment {name} must exist", got="deleted", hint=hint, code="TRACKING")
    if folder and not is_folder(found.artifact_location, folder):
        rule = f"its artefacts must lie in the state folder {store.state}"
        hint = "Put the state folder back where it was, or name another database in MLFLOW_TRACKING_URI"
        got = found.artifact_location.split("@")[-1]
        raise misconfigured(store.place, rule, got=got, hint=hint, code="STATE_MOVED")
    return found.experiment_id


@dataclass(frozen=True)
class Dataset:
    """What a run read: a name, its SHA-256, the role (`train`, `validation`, `test`), where it was, how many rows."""

    name: str
    digest: str
    context: str
    source: str
    rows: int | None = None


def start_run(
    store: Store,
    kind: Kind,
    workload: str,
    name: str,
    *,
    params: Mapping[str, Any],
    tags: Mapping[str, Any],
    datasets: Sequence[Dataset] = (),
    parent: str | None = None,
) -> str:
    """Opens a run and returns its id.

    Args:
        params: nested mapping (a section of params.yaml); flattened to `training.epochs`.
        tags: git_commit, data_digest, params_digest, flow_run, seed, ...; None values are left out.
        parent: run id under which MLflow's page nests this run.
    """
    mlflow, experiment = client(store), experiment_id(store, kind)
    from mlflow.entities import Param

    given = {key: str(value) for key, value in tags.items() if value is not None}
    given |= {"workload": workload, "mlflow.runName": name, "mlflow.source.type": "LOCAL"} | identity()
    if parent:
        given["mlflow.parentRunId"] = parent
    if commit := given.get("git_commit"):
        given["mlflow.source.git.commit"] = commit
    flat = [Param(key, str(value)[:PARAM_LIMIT]) for key, value in flatten(params).items()]
    with mlflow_errors(store):
        run_id = mlflow.create_run(experiment, run_name=name, tags=given).info.run_id
        for start in range(0, len(flat), PARAMS):
            mlflow.log_batch(run_id, params=flat[start : start + PARAMS])
        if datasets:
            mlflow.log_inputs(run_id, [_dataset_input(each) for each in datasets])
    return run_id


def finish_run(
    store: Store,
    run_id: str,
    *,
    metrics: Mapping[str, float] | None = None,
    files: Iterable[Path] = (),
    status: Literal["FINISHED", "FAILED", "KILLED"] = "FINISHED",
) -> None:
    """Logs final metrics and files (plots, reports) and closes the run; closing a closed run again is harmless."""
    if metrics:
        log_metrics(store, run_id, metrics)
    mlflow = client(store)
    with mlflow_errors(store):
        for path in files:
            (mlflow.log_artifacts if path.is_dir() else mlflow.log_artifact)(run_id, str(path))
        mlflow.set_terminated(run_id, status)


def keep_files(store: Store, run_id: str, files: Iterable[Path], folder: str) -> None:
    """Logs files below `folder` of a run's artefacts; doing so again replaces them by what they are now."""
    mlflow = client(store)
    with mlflow_errors(store):
        for path in files:
            mlflow.log_artifact(run_id, str(path), folder)


def kept_files(store: Store, run_id: str, folder: str, target: Path) -> Path | None:
    """Fetches what `keep_files` kept into the folder `target`; where it lies now, None where the run keeps nothing."""
    mlflow = client(store)
    with mlflow_errors(store):
        if not mlflow.list_artifacts(run_id, folder):
            return None
        return Path(mlflow.download_artifacts(run_id, folder, str(target)))


def log_metrics(store: Store, run_id: str, metrics: Mapping[str, Any], step: int = 0) -> None:
    """Logs finite numbers (`split/head/metric`, nested or flat) at one step; others have no place on a chart."""
    send_metrics(store, run_id, [(step, metrics)])


def send_metrics(store: Store, run_id: str, reports: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Logs reports (step, metrics) in batches of whole reports, each one transaction of the store."""
    mlflow, now = client(store), int(time.time() * 1000)
    from mlflow.entities import Metric

    batch: list[Any] = []
    with mlflow_errors(store):
        for step, metrics in reports:
            rows = [Metric(key, float(v), now, step) for key, v in flatten(metrics, "/").items() if is_finite(v)]
            if len(batch) + len(rows) > BATCH:
                mlflow.log_batch(run_id, metrics=batch)
                batch = []
            batch += rows
        if batch:
            mlflow.log_batch(run_id, metrics=batch)


def is_finite(value: Any) -> bool:
    """Whether a value is a number that a chart can show: an int or float, neither NaN nor infinite."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def flatten(values: Mapping[str, Any], separator: str = ".", prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one: `{"a": {"b": 1}}` to `{"a.b": 1}`; other values stay as they are."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, separator, f"{prefix}{key}{separator}")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _dataset_input(dataset: Dataset) -> Any:
    from mlflow.entities import Dataset as Recorded
    from mlflow.entities import DatasetInput, InputTag

    source = json.dumps({"uri": dataset.source})
    profile = json.dumps({"num_rows": dataset.rows}) if dataset.rows is not None else None
    # MLflow keeps 36 characters of a digest; the whole one stands among the run's tags
    recorded = Recorded(dataset.name, dataset.digest[:36], "local", source, profile=profile)
    return DatasetInput(recorded, [InputTag("mlflow.data.context", dataset.context)])
