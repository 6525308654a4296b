"""What a training result depends on, as one digest: a checkpoint of another recipe must never be continued."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from components.errors import missing
from components.files import sha256_file, sha256_json
from components.training.reach import ROOT, stage_sources

RECIPE_PARTS = ("data", "model", "loss", "training")


def fingerprint(name: str, section: Any, prepared: Path, beside: Sequence[Path] = ()) -> str:
    """Hex SHA-256 over the prepared data's manifest, the recipe's parameters, the training code and torch's version,
    and over the files `beside` the prepared data that the training reads.

    Which device or how many ranks compute is no part of it: `numerics` tells those apart where they matter.

    Raises:
        EquipoiseError: E_MISSING (66) when the data has not been prepared.
    """
    return fingerprints(name, [section], prepared, beside)[0]


def fingerprints(name: str, sections: Sequence[Any], prepared: Path, beside: Sequence[Path] = ()) -> list[str]:
    """The same of several recipes for the same data, which are read once.

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
    shared = {
        "workload": name,
        "data": sha256_file(manifest),
        "code": code_digest(name),
        "torch": torch.__version__,
        **({"beside": [sha256_file(path) for path in beside]} if beside else {}),
    }
    return [sha256_json({**shared, "recipe": recipe(section)}) for section in sections]


def recipe(section: Any) -> dict[str, Any]:
    """The parameters that decide a model's weights, as plain values."""
    values = section.model_dump(mode="json")
    return {part: values[part] for part in RECIPE_PARTS if part in values}


def code_digest(name: str, root: Path = ROOT) -> str:
    """Hex SHA-256 over the source files that can change what training leaves, and over no others."""
    files = stage_sources("train", name, root)
    return sha256_json([[path.relative_to(root).as_posix(), sha256_file(path)] for path in files])


def numerics(device: torch.device, precision: str) -> dict[str, str]:
    """What else changes the last bits of a step: a run is continued only where it would have gone on the same way."""
    return {"device": device.type, "precision": precision}
