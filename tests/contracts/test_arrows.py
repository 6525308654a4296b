"""Imports point one way: flows -> registry, tuning -> training, evaluation, workloads -> losses, data -> config."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BASE = {
    "config",
    "config_edit",
    "config_parts",
    "config_trading",
    "config_assertions",
    "config_distillation",
    "config_keyboard",
    "config_keyboard_evaluation",
    "config_keyboard_model",
    "errors",
    "files",
    "workload",
}
ALLOWED = {  # room -> rooms it may import besides itself and the base
    "losses": set(),
    "modules": set(),
    "data": set(),
    "evaluation": set(),
    "workloads": {"losses", "modules", "data", "evaluation"},
    "training": {"losses", "modules", "data"},
    "tuning": {"training", "data", "evaluation", "losses"},
    "registry": {"evaluation", "data"},
}
ENGINES = {"prefect": "flows", "mlflow": "components/registry", "optuna": "components/tuning", "dvc": "flows"}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names if node.module == "components"}
    return found


FILES = sorted(p for room in ("components", "flows") for p in (ROOT / room).rglob("*.py"))


def test_there_is_something_to_check():
    assert len(FILES) > 80


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows_of_a_file(path: Path):
    place = path.relative_to(ROOT)
    for name in imports(path):
        parts = name.split(".")
        home = ENGINES.get(parts[0])
        assert home is None or str(place).startswith(home), f"{place} imports {name}: only {home} may"
        if place.parts[0] == "components":
            assert parts[0] != "flows", f"{place} imports {name}: components know no flows"
        if place.parts[0] != "components" or parts[0] != "components" or len(parts) < 2:
            continue
        room = place.parts[1].removesuffix(".py")
        target = parts[1]
        if room in ALLOWED and target not in BASE and target != room:
            assert target in ALLOWED[room], f"{place} imports {name}: {room} may import {sorted(ALLOWED[room])}"
