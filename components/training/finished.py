"""The finished model's folder: what serving needs, and the marker that says training has nothing left to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from components.data import strict_json
from components.errors import EquipoiseError
from components.files import sha256_file, write_json
from components.training.checkpoint import as_bytes, write_bytes
from components.training.fingerprint import recipe
from components.training.progress import say
from components.workload import Workload

KIND = "trm"  # model.json tells a predictor's loader which kind of model the folder holds
WEIGHTS, CARD, MARKER = "model.safetensors", "model.json", "finished.json"


def card_of(
    workload: Workload, section: Any, model: nn.Module, computed: Mapping[str, str], summary: Mapping[str, Any]
) -> dict[str, Any]:
    """What model.json says of a trained model.

    Args:
        computed: of `numerics`.
        summary: what `train` returns of it.
    """
    return {
        "workload": workload.name,
        "section": recipe(section),
        "parameters": sum(p.numel() for p in model.parameters()),
        "fingerprint": summary["fingerprint"],
        "threads": section.training.threads,
        "numerics": dict(computed),
        "torch": torch.__version__,
        "best_epoch": summary["best_epoch"],
        "steps": summary["steps"],
        "validation": summary["metrics"],
        "alarms": summary["alarms"],
        **workload.facts(section),
    }


def write_finished(
    folder: Path,
    prepared: Path,
    served: Sequence[str],
    weights: Mapping[str, Tensor],
    card: Mapping[str, Any],
    summary: Mapping[str, Any],
) -> None:
    """Weights, what else serving needs, model.json with the digests of both, and last of all the marker.

    Args:
        served: names of prepared files that go with the weights, such as vocabularies; absent ones are left out.
        card: what rebuilds the model; `kind` and `files` are added.
        summary: what `train` returned, kept for a second call.
    """
    write_bytes(folder / WEIGHTS, as_bytes(weights))
    for name in served:
        source = prepared / name
        if source.is_file():
            write_bytes(folder / name, source.read_bytes())
    names = [WEIGHTS, *(name for name in served if (folder / name).is_file())]
    write_json(folder / CARD, {"kind": KIND, **card, "files": {name: sha256_file(folder / name) for name in names}})
    digests = {name: sha256_file(folder / name) for name in [*names, CARD, "curves.jsonl"]}
    marker = {"fingerprint": card["fingerprint"], "files": digests, "summary": dict(summary)}
    write_json(folder / "resume" / MARKER, marker)


def finished_summary(folder: Path, fingerprint: str) -> dict[str, Any] | None:
    """The summary of a finished training of this very recipe whose files are all undamaged, else None."""
    path = folder / "resume" / MARKER
    if not path.is_file():
        return None
    try:
        marker = strict_json.read(path)
        same = marker["fingerprint"] == fingerprint
        summary, digests = dict(marker["summary"]), dict(marker["files"])
    except (EquipoiseError, KeyError, TypeError, ValueError):
        say(f"warning: {path} is damaged; training again")
        return None
    if not same:
        return None
    for name, digest in digests.items():
        if not (folder / name).is_file() or sha256_file(folder / name) != digest:
            say(f"warning: {folder / name} is damaged or missing; training again")
            return None
    return summary


def remove_finished(folder: Path, served: Sequence[str]) -> None:
    """Takes away an earlier recipe's model, marker first, so that it cannot pass for the one now being trained."""
    for name in (f"resume/{MARKER}", CARD, WEIGHTS, *served):
        (folder / name).unlink(missing_ok=True)
