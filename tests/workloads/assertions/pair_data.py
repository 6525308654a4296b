"""Rows and data sections for tests of reading, splitting and preparing pairs."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from components.config_assertions import AssertionsData
from components.workloads.assertions.pairs import Pair, identity

ROW: dict[str, Any] = {
    "project": "alpha",
    "path": "src/test/java/alpha/StackTest.java",
    "test_class": "StackTest",
    "test_name": "testSize",
    "focal_class": "Stack",
    "focal_method": "size",
    "focal_code": "public int size() {\n    return count;\n}",
    "test_prefix": 'Stack stack = new Stack();\nassertEquals(0, stack.size());\nstack.push("a");',
    "assertion": "assertEquals(1, stack.size());",
}


def row(**changes: Any) -> dict[str, Any]:
    return {**ROW, **changes}


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in ROW.items() if name != key}


def pair(**changes: Any) -> Pair:
    """A Pair as the reader makes it, for functions that get pairs."""
    from components.workloads.assertions.fields import labelled

    return labelled(row(**changes), "test")


def section(**changes: Any) -> Any:
    """What `prepare` reads of a section of params.yaml."""
    values: dict[str, Any] = {
        "source": "raw",
        "format": "auto",
        "split": "project",
        "validation_projects": (),
        "test_projects": (),
        "validation_share": 0.2,
        "test_share": 0.2,
        "seed": 7,
        "embedded_projects": 4,
        "embedded_rows": 200,
        "extracted_rows": 1300,
        "rows_per_test": 2,
        "earlier_assertions": False,
        "vocabulary": 600,
        "name_tokens": 24,
        "focal_tokens": 160,
        "prefix_tokens": 160,
        "assertion_tokens": 48,
        "retrieval_rows": 10_000,
        "retrieval_minimum": 1,
    }
    return SimpleNamespace(
        data=AssertionsData(**{**values, **changes}),
        evaluation=SimpleNamespace(baseline=SimpleNamespace(strength=1.0)),
    )


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows), "utf-8")
    return path


__all__ = ["ROW", "identity", "pair", "row", "section", "without", "write_rows"]
