"""Labelled rows that came in since a training, read without preparing anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from components.config_assertions import AssertionsConfig
from components.workloads.assertions.jsonl import read_jsonl
from components.workloads.assertions.pairs import Pair


def labelled(section: AssertionsConfig, source: Path) -> Iterator[Pair]:
    """The rows of a `.jsonl` or `.jsonl.gz` file, or of a folder of them.

    Raises:
        EquipoiseError: E_MISSING (66) without a file, E_JSON or E_PAIR (65) naming file and line.
    """
    return read_jsonl(source)
