"""Reads what lies in infra/: the compose file, the Kubernetes manifests, the names of the secrets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

INFRA = Path(__file__).parents[2] / "infra"
PASSWORDS = ("PASSWORD", "SECRET", "ACCESS_KEY", "AUTH_STRING", "TOKEN")


def compose() -> dict[str, Any]:
    """compose.yaml with its YAML merges resolved and its variables as they are written."""
    return yaml.safe_load((INFRA / "compose.yaml").read_text())


def manifests() -> dict[str, dict[str, Any]]:
    """Every Kubernetes object by `file: kind name`."""
    found = {}
    for path in sorted((INFRA / "kubernetes").rglob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            name = document["metadata"].get("name") or document["metadata"]["generateName"]
            found[f"{path.name}: {document['kind']} {name}"] = document
    return found


def pods() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(place, labels, spec) of every pod that the manifests make."""
    for place, document in manifests().items():
        if "template" in document.get("spec", {}):
            template = document["spec"]["template"]
            yield place, template["metadata"]["labels"], template["spec"]


def secret_names() -> set[str]:
    """The names that env.example asks values for."""
    lines = (INFRA / "env.example").read_text().splitlines()
    return {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
