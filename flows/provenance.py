"""What a version was made of, as digests: read from files, never from memory."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from components.data.manifest import read_manifest
from components.files import sha256_file, sha256_json
from components.registry import artefacts
from components.workload import Workload
from flows.state import Place

TEST = "test"


def data_digest(place: Place, workload: str) -> str:
    """SHA-256 of the prepared data's manifest, which holds that of every file."""
    return sha256_file(place.prepared(workload) / "manifest.json")


def evaluation_digest(place: Place, workload: str) -> str:
    """SHA-256 over the prepared files of the test split: the hold-out whose looks the ledger counts."""
    files = read_manifest(place.prepared(workload))["files"]
    return sha256_json([[name, files[name]["sha256"]] for name in sorted(files) if f"-{TEST}." in name])


def question(place: Place, workload: str, section: Any) -> str:
    """What makes a judgement the same question again: this hold-out, these rules of the gate."""
    rules = sha256_json(section.gate.model_dump(mode="json"))
    return f"{evaluation_digest(place, workload)[:16]}/{rules[:16]}"


def kept_heads(place: Place, workload: str, digest: str | None) -> list[dict[str, Any]]:
    """The heads of an earlier gate report; none where its file is gone."""
    path = place.gate_report(workload, digest or "none")
    return json.loads(path.read_text(encoding="utf-8"))["heads"] if path.is_file() else []


def candidate_digest(place: Place, workload: str) -> str:
    """The digest by which the registry knows the checkpoint's model once it is registered.

    Raises:
        EquipoiseError: E_MISSING (66) before a training has finished.
    """
    return servable_digest(place.checkpoint(workload))


def servable_digest(folder: Path) -> str:
    """`artefacts.model_digest` of the folder's servable files, before they are packaged."""
    files = {path.relative_to(folder).as_posix(): path for path in artefacts.servable_files(folder)}
    return sha256_json([[name, sha256_file(files[name])] for name in sorted(files)])


def beside_digests(place: Place, section: Any, record: Workload) -> dict[str, str]:
    """SHA-256 of what a training reads beside the prepared data (a teacher's answers), by path in the project."""
    files = record.beside(section, place.prepared(record.name))
    return {path.relative_to(place.project).as_posix(): sha256_file(path) for path in files}


def tags(place: Place, workload: str) -> dict[str, str | None]:
    """Tags of a run and a version: git commit, digests of data, parameters and DVC's lock, the training seed."""
    section, lock = getattr(place.config(), workload), place.project / "dvc.lock"
    return {
        "git_commit": git_commit(place),
        "data_digest": data_digest(place, workload),
        "params_digest": sha256_json(section.model_dump(mode="json")),
        "dvc_lock_digest": sha256_file(lock) if lock.is_file() else None,
        "seed": str(section.training.seed),
    }


def git_commit(place: Place) -> str | None:
    """The project's commit, None outside of git."""
    command = ["git", "-C", str(place.project), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
