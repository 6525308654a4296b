"""A trained folder becomes a version of the registered model: code and weights, raw input, golden answers, manifest."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import sys
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import components
from components.errors import EquipoiseError, Exit
from components.files import scratch, write_json
from components.registry import answers, artefacts
from components.registry.tracking import Store, calm_environment, client, flatten, is_finite, mlflow_errors
from components.workload import workload

SERVED_BY = ("mlflow", "numpy", "pandas", "polars", "pydantic", "pyyaml", "safetensors", "scikit-learn", "scipy")
SERVED_BY += ("tokenizers", "torch")
CODE, MODEL, SERVING = "served_model.py", "artifacts/model", f"artifacts/{answers.SERVING}"
SOURCES, PARAMS = "code", "artifacts/params.yaml"  # this package, and the parameters, as they were
ARTEFACT_DIGEST, MODEL_DIGEST = "artefact_digest", "model_digest"


@dataclass(frozen=True)
class Registered:
    """A version: its number, MLflow's model id, the artefact's manifest digest, the digest of the model's own files."""

    version: int
    model_id: str
    digest: str
    model_digest: str


def log_model(
    store: Store,
    run_id: str,
    model_folder: Path,
    workload_name: str,
    *,
    examples: Sequence[Mapping[str, Any]],
    optional: Sequence[str] = (),
    metrics: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    params: Path | None = None,
) -> Registered:
    """Packages a checkpoint or baseline folder, logs it under the run and registers it as the next version.

    Args:
        examples: raw requests, at least one; the first is the input example, all become golden inputs. A field that
            some of them lack is optional in the signature.
        optional: further fields a request may have (MLflow drops fields that its signature does not name).
        metrics: shown with the model in MLflow.
        tags: go on the version (git_commit, data_digest, params_digest, ...); None values are left out.
        params: params.yaml as the model was trained with, kept beside it so that it can be made again.

    Raises:
        EquipoiseError: E_MISSING (66), E_ARTEFACT_PICKLE (65), E_ARTEFACT_LINK (78), E_TRACKING (69).
    """
    mlflow = client(store)
    with scratch(store.state, "model") as place, mlflow_errors(store):
        run = mlflow.get_run(run_id)
        created = mlflow.create_logged_model(run.info.experiment_id, name=workload_name, source_run_id=run_id)
        try:
            folder = place / "artefact"
            content = build(folder, model_folder, workload_name, examples, optional, run_id, created.model_id, params)
            digest = artefacts.write_manifest(folder)
            mlflow.log_model_artifacts(created.model_id, str(folder))
        except BaseException:
            mlflow.finalize_logged_model(created.model_id, "FAILED")
            raise
        mlflow.finalize_logged_model(created.model_id, "READY")
        _link(mlflow, run_id, created.model_id, metrics or {})
        given = {key: str(value) for key, value in (tags or {}).items() if value is not None}
        given |= {"workload": workload_name, ARTEFACT_DIGEST: digest, MODEL_DIGEST: content}
        _ensure_registered_model(mlflow, store.model_name(workload_name))
        version = mlflow.create_model_version(
            store.model_name(workload_name),
            created.artifact_location,
            run_id=run_id,
            tags=given,
            model_id=created.model_id,
        )
    return Registered(int(version.version), created.model_id, digest, content)


def find_version(store: Store, workload_name: str, digest: str) -> int | None:
    """The newest version whose model files have this digest (`artefacts.model_digest`), None where there is none.

    A flow that was killed after registering finds its version here instead of making a second one.
    """
    mlflow = client(store)
    with mlflow_errors(store):
        name = store.model_name(workload_name)
        versions = mlflow.search_model_versions(f"name = '{name}' and tags.{MODEL_DIGEST} = '{digest}'")
    return max((int(v.version) for v in versions), default=None)


def build(
    folder: Path,
    model_folder: Path,
    workload_name: str,
    examples: Sequence[Mapping[str, Any]],
    optional: Sequence[str] = (),
    run_id: str | None = None,
    model_id: str | None = None,
    params: Path | None = None,
) -> str:
    """Writes the MLflow model folder (without manifest) to `folder`, which must not exist; returns the model digest.

    The golden answers are given by the packaged files, in this process, with the number of threads recorded.
    """
    if not examples:
        hint = "Give at least one raw request of the data"
        raise EquipoiseError("EXAMPLES", "packaging", "needs golden inputs", got=0, hint=hint, exit_code=Exit.USAGE)
    staged = folder.with_name("model")
    for path in artefacts.servable_files(model_folder):
        target = staged / path.relative_to(model_folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    serving = folder.with_name(answers.SERVING)
    golden = _golden(staged, workload_name, examples)
    write_json(serving, golden)
    kept = {"model": str(staged), "serving": str(serving)}
    if params is not None:
        kept["params"] = str(shutil.copyfile(params, folder.with_name(Path(PARAMS).name)))
    calm_environment()
    import mlflow.pyfunc
    from mlflow.models import Model

    with warnings.catch_warnings(record=True):  # MLflow asks for type hints, which would replace the signature
        description = Model(artifact_path="model", run_id=run_id, model_uuid=model_id, model_id=model_id)
        mlflow.pyfunc.save_model(
            path=str(folder),
            python_model=str(Path(__file__).with_name(CODE)),
            artifacts=kept,
            code_paths=[str(Path(components.__file__).parent)],
            pip_requirements=requirements(json.loads((staged / "model.json").read_text("utf-8")).get("packages", ())),
            signature=signature(examples, golden["outputs"], optional),
            input_example=[dict(row) for row in examples[:1]],
            mlflow_model=description,
        )
    _normalise(folder, description)
    return artefacts.model_digest(folder / MODEL)


def requirements(more: Iterable[str] = ()) -> list[str]:
    """Exact versions of what serving imports; a local build tag (`+cpu`) is dropped, no index has it.

    Args:
        more: packages that only this model needs.
    """
    found = []
    for name in (*SERVED_BY, *more):
        try:
            found.append(f"{name}=={importlib.metadata.version(name).partition('+')[0]}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def signature(
    examples: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]], optional: Sequence[str] = ()
) -> Any:
    """Named columns of any JSON value: the workload's own reader checks them and answers with the rule that broke.

    Lists and objects may also come as JSON text, which is what a CSV or Parquet table holds.
    """
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, Schema

    def columns(rows: Sequence[Mapping[str, Any]], more: Sequence[str] = ()) -> Any:
        names = dict.fromkeys([*(name for row in rows for name in row), *more])
        return Schema([ColSpec(AnyType(), name, required=all(name in row for row in rows)) for name in names])

    return ModelSignature(inputs=columns(examples, optional), outputs=columns(outputs))


def serve_command(folder: Path, host: str = "127.0.0.1", port: int = 5001) -> list[str]:
    """The command that serves a resolved, verified artefact with MLflow's scoring protocol; run it without a shell."""
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(folder)]
    return [*command, "--env-manager", "local", "--host", host, "--port", str(port)]


def served_environment() -> dict[str, str]:
    """Environment for processes that run a resolved artefact's code: no pickles, nothing written into the artefact, no
    code from the working folder."""
    calm_environment()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    keep = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MLFLOW_TRACKING_URI")}
    return keep | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": "1", "PATH": path}


def _golden(model: Path, workload_name: str, examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    record = workload(workload_name)
    outputs = answers.answer(record, record.load(model), examples, place="golden input")
    torch = sys.modules.get("torch")
    return {
        "workload": workload_name,
        "json_columns": answers.json_columns(examples),
        "inputs": [dict(row) for row in examples],
        "outputs": outputs,
        "threads": torch.get_num_threads() if torch else 1,
    }


def _normalise(folder: Path, description: Any) -> None:
    """Takes this machine's paths out of the MLmodel file and compiled code out of the folder."""
    recorded = description.flavors["python_function"]["artifacts"]
    for each in recorded.values():
        each["uri"] = each["path"]
    description.flavors["python_function"]["model_code_path"] = CODE
    description.save(str(folder / "MLmodel"))
    artefacts.drop_compiled(folder)


def _link(mlflow: Any, run_id: str, model_id: str, metrics: Mapping[str, Any]) -> None:
    from mlflow.entities import LoggedModelOutput, Metric

    mlflow.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
    now = int(time.time() * 1000)
    rows = [
        Metric(key, float(value), now, 0, model_id=model_id, run_id=run_id)
        for key, value in flatten(metrics, "/").items()
        if is_finite(value)
    ]
    if rows:
        mlflow.log_batch(run_id, metrics=rows)


def _ensure_registered_model(mlflow: Any, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        mlflow.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
