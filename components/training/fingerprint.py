"""What a training result depends on, as one digest: a checkpoint of another recipe must never be continued."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from components.errors import missing
from components.files import sha256_file, sha256_json

RECIPE_PARTS = ("data", "model", "loss", "training")
CODE_PARTS = ("data", "losses", "modules", "training")
COMPONENTS = Path(__file__).resolve().parents[1]


def fingerprint(name: str, section: Any, prepared: Path) -> str:
    """Hex SHA-256 over the prepared data's manifest, the recipe's parameters, the training code and torch's version.

    Which device or how many ranks compute is no part of it: `numerics` tells those apart where they matter.

    Raises:
        EquipoiseError: E_MISSING (66) when the data has not been prepared.
    """
    manifest = prepared / "manifest.json"
    if not manifest.is_file():
        raise missing(
            str(manifest),
            "the prepared data must have a manifest",
            got="no file",
            hint=f"Run `equipoise prepare {name}`",
        )
    return sha256_json(
        {
            "workload": name,
            "data": sha256_file(manifest),
            "recipe": recipe(section),
            "code": code_digest(name),
            "torch": torch.__version__,
        }
    )


def recipe(section: Any) -> dict[str, Any]:
    """The parameters that decide a model's weights, as plain values."""
    values = section.model_dump(mode="json")
    return {part: values[part] for part in RECIPE_PARTS if part in values}


def code_digest(name: str) -> str:
    """Hex SHA-256 over the source files of losses, data, training and the workload."""
    folders = [COMPONENTS / part for part in CODE_PARTS] + [COMPONENTS / "workloads" / name]
    files = sorted(path for folder in folders for path in folder.rglob("*.py"))
    return sha256_json([[path.relative_to(COMPONENTS).as_posix(), sha256_file(path)] for path in files])


def numerics(device: torch.device, precision: str) -> dict[str, str]:
    """What else changes the last bits of a step: a run is continued only where it would have gone on the same way."""
    return {"device": device.type, "precision": precision}
