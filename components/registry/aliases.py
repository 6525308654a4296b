"""The ledger's state shown in MLflow, and a version's files fetched from it.

Aliases have no history and no compare-and-swap, so they are only a projection: written after the ledger, repaired from
it, never read to decide who the champion is.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from components.errors import EquipoiseError, bad_data, misconfigured, missing
from components.registry import artefacts
from components.registry.database import exclusive
from components.registry.packaging import ARTEFACT_DIGEST
from components.registry.tracking import KINDS, Store, client, mlflow_errors

CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous-champion", "challenger"
GENERATION = "generation"


@dataclass(frozen=True)
class Standing:
    """What the ledger says of a workload, as far as MLflow shows it.

    Attributes:
        generation: counts the changes of champion; a projection of an older one never overwrites a newer one.
        promoted_at: UTC time of the champion's event, ISO 8601.
        report: SHA-256 of the gate report that let the champion in.
    """

    champion: int | None
    previous: int | None
    challenger: int | None
    generation: int
    promoted_at: str | None = None
    report: str | None = None

    def aliases(self) -> dict[str, int]:
        """Alias to version, for those that there are."""
        named = {CHAMPION: self.champion, PREVIOUS: self.previous, CHALLENGER: self.challenger}
        return {alias: version for alias, version in named.items() if version is not None}

    def tags(self) -> dict[str, str]:
        """Tags of the champion's version."""
        known = {GENERATION: self.generation, "promoted_at": self.promoted_at, "gate_report": self.report}
        return {key: str(value) for key, value in known.items() if value is not None}


def project(store: Store, workload: str, standing: Standing) -> bool:
    """Makes MLflow's aliases and tags those of `standing`; the same call again changes nothing.

    Returns:
        False when MLflow already shows a newer generation, which is then left as it is.

    Raises:
        EquipoiseError: E_TRACKING (69) without the server, E_TRACKING (78) when a version is not in the registry.
    """
    name, mlflow = store.model_name(workload), client(store)
    with exclusive(store.state / "locks" / f"aliases-{workload}.lock"), mlflow_errors(store):
        model = mlflow.get_registered_model(name)
        if _shown_generation(model.tags) > standing.generation:
            return False
        shown, wanted = {alias: int(version) for alias, version in model.aliases.items()}, standing.aliases()
        if standing.champion is not None:
            version = mlflow.get_model_version(name, str(standing.champion))
            for key, value in standing.tags().items():
                if version.tags.get(key) != value:
                    mlflow.set_model_version_tag(name, version.version, key, value)
        for alias, number in wanted.items():
            if shown.get(alias) != number:
                mlflow.set_registered_model_alias(name, alias, str(number))
        for alias in {CHAMPION, PREVIOUS, CHALLENGER} & shown.keys() - wanted.keys():
            mlflow.delete_registered_model_alias(name, alias)
        if model.tags.get(GENERATION) != str(standing.generation):
            mlflow.set_registered_model_tag(name, GENERATION, str(standing.generation))
    return True


def agree(store: Store, workload: str, standing: Standing) -> list[str]:
    """What MLflow shows otherwise than the ledger, one sentence each; empty when they agree."""
    name, mlflow = store.model_name(workload), client(store)
    from mlflow.exceptions import MlflowException

    with mlflow_errors(store):
        try:
            model = mlflow.get_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            versions = sorted(set(standing.aliases().values()))
            return [f"model {name} is not in the registry, the ledger knows version {v} of it" for v in versions]
        shown, wanted = {alias: int(version) for alias, version in model.aliases.items()}, standing.aliases()
        found = [
            f"alias {alias} of {name} is on {_version(shown.get(alias))}, the ledger says {_version(wanted.get(alias))}"
            for alias in (CHAMPION, PREVIOUS, CHALLENGER)
            if shown.get(alias) != wanted.get(alias)
        ]
        if (seen := _shown_generation(model.tags)) != standing.generation and (wanted or seen):
            found.append(f"generation of {name} is {seen}, the ledger says {standing.generation}")
        if standing.champion is not None:
            found += _tag_differences(mlflow, name, standing)
    return found


def shown_generation(store: Store, workload: str) -> int:
    """The generation that MLflow shows, 0 where it knows no model of the workload.

    A higher one than the ledger's means that the ledger lost events: it is an older copy.
    """
    name, mlflow = store.model_name(workload), client(store)
    with mlflow_errors(store):
        models = mlflow.search_registered_models(f"name = '{name}'")
    return max((_shown_generation(model.tags) for model in models), default=0)


def versions(store: Store, workload: str) -> list[int]:
    """The versions that MLflow has of a workload's model, in their order."""
    name, mlflow = store.model_name(workload), client(store)
    with mlflow_errors(store):
        return sorted(int(each.version) for each in mlflow.search_model_versions(f"name = '{name}'"))


def resolve(store: Store, workload: str, version: int, digest: str | None = None) -> Path:
    """The folder of a version's artefact, every byte verified; from a server it is downloaded once and kept.

    Compiled code that somebody's run left in it is removed.

    Args:
        digest: the artefact's manifest digest as the ledger has it; without it, as MLflow has it.

    Raises:
        EquipoiseError: E_MODEL_VERSION (66) for a version that is not there, E_MODEL_SOURCE (78) for a source outside
            the project's experiments, E_ARTEFACT_LINK (78), E_ARTEFACT (65) for a changed byte, E_TRACKING (69).
    """
    name, mlflow = store.model_name(workload), client(store)
    found = find(store, workload, version)
    expected = digest or found.tags.get(ARTEFACT_DIGEST)
    if expected is None:
        hint = "Only versions that this product registered are served; register the model again"
        place = f"{name} version {version}"
        raise bad_data(place, "must carry the digest of its files", got="none", hint=hint, code="ARTEFACT")
    with mlflow_errors(store):
        source = mlflow.get_model_version_download_uri(name, str(version))
    if store.artefacts is not None and urlsplit(source).scheme in ("", "file"):
        folder = _inside(Path(unquote(urlsplit(source).path)), store.artefacts, f"{name} version {version}")
        return _verified(folder, expected)
    _below_an_experiment(store, source, f"{name} version {version}")
    return _downloaded(store, source, expected)


def damages(store: Store, workload: str, digests: Mapping[int, str]) -> list[EquipoiseError]:
    """What is wrong with the files of the versions that lie here: those that a server keeps are not fetched for it.

    Args:
        digests: version to manifest digest, as the ledger has them; for others MLflow's own word counts.
    """
    found = []
    for version in versions(store, workload) if store.artefacts is not None else ():
        try:
            resolve(store, workload, version, digests.get(version))
        except EquipoiseError as error:
            found.append(error)
    for digest in sorted(set(digests.values())):
        kept = store.state / "models" / digest
        try:
            if kept.is_dir():
                artefacts.verify(kept, digest)
        except EquipoiseError as error:
            found.append(error)
    return found


def find(store: Store, workload: str, version: int) -> Any:
    """MLflow's record of a version; raises E_MODEL_VERSION (66) when there is none."""
    name, mlflow = store.model_name(workload), client(store)
    from mlflow.exceptions import MlflowException

    with mlflow_errors(store):
        try:
            return mlflow.get_model_version(name, str(version))
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
    hint = f"See the versions with `equipoise history {workload}`"
    raise missing(store.place, f"{name} must have the version", got=version, hint=hint, code="MODEL_VERSION")


def _downloaded(store: Store, source: str, expected: str) -> Path:
    """The copy in the state folder, named by its digest; it appears whole, by one rename, or not at all."""
    import mlflow.artifacts

    kept = store.state / "models" / expected
    if kept.is_dir():
        return _verified(kept, expected)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=kept.parent) as scratch, mlflow_errors(store):
        arrived = mlflow.artifacts.download_artifacts(artifact_uri=source, dst_path=scratch, tracking_uri=store.uri)
        artefacts.verify(Path(arrived), expected)
        with exclusive(store.state / "locks" / "models.lock"):
            if not kept.is_dir():
                shutil.move(arrived, kept)
    return kept


def _verified(folder: Path, expected: str) -> Path:
    artefacts.verify(folder, expected)
    artefacts.drop_compiled(folder)
    return folder


def _inside(folder: Path, root: Path, place: str) -> Path:
    """The folder, if it lies below `root` and no link leads out of it or to it."""
    hint = "Do not load it; register the model again from its checkpoint"
    rule = "must lie in the store's artefact folder"
    real_root = root.resolve()
    if ".." in folder.parts or not folder.resolve().is_relative_to(real_root) or folder.resolve() == real_root:
        raise misconfigured(place, rule, got=str(folder), hint=hint, code="MODEL_SOURCE")
    if folder.resolve() != real_root / os.path.relpath(folder, root):
        raise misconfigured(place, f"{rule} without links", got=str(folder), hint=hint, code="MODEL_SOURCE")
    if not folder.is_dir():
        raise missing(place, "the model's folder must be there", got=str(folder), hint=hint, code="ARTEFACT")
    return folder


def _below_an_experiment(store: Store, source: str, place: str) -> None:
    """Refuses a source that the server was told of but that no run of this project can have written."""
    mlflow = client(store)
    with mlflow_errors(store):
        experiments = [e for e in (mlflow.get_experiment_by_name(store.experiment(kind)) for kind in KINDS) if e]
    roots = [each.artifact_location.rstrip("/") + "/" for each in experiments]
    inside = any(source.startswith(root) for root in roots) and ".." not in unquote(source).split("/")
    if not inside or urlsplit(source).scheme in ("", "file"):
        hint = "Let the server keep artefacts itself (`mlflow server --artifacts-destination`) and register again"
        rule = "must be an artefact of this project's experiments on the server"
        raise misconfigured(place, rule, got=source.split("@")[-1], hint=hint, code="MODEL_SOURCE")


def _tag_differences(mlflow: Any, name: str, standing: Standing) -> list[str]:
    try:
        tags: Mapping[str, str] = mlflow.get_model_version(name, str(standing.champion)).tags
    except Exception as error:
        if getattr(error, "error_code", "") != "RESOURCE_DOES_NOT_EXIST":
            raise
        return [f"version {standing.champion} of {name} is not in the registry, the ledger has it as champion"]
    return [
        f"tag {key} of {name} version {standing.champion} is {tags.get(key, 'absent')}, the ledger says {value}"
        for key, value in standing.tags().items()
        if tags.get(key) != value
    ]


def _shown_generation(tags: Mapping[str, str]) -> int:
    text = tags.get(GENERATION, "0")
    return int(text) if text.isdigit() else 0


def _version(number: int | None) -> str:
    return "no version" if number is None else f"version {number}"
