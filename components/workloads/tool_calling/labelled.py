"""Labelled decisions that came in since a training: the TRM agent's JSONL, read without preparing anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from components.config import ToolCallingConfig
from components.workloads.tool_calling.dialogues import Sample
from components.workloads.tool_calling.trm_jsonl import read_jsonl


def labelled(section: ToolCallingConfig, source: Path) -> Iterator[Sample]:
    """The samples of a `.jsonl` or `.jsonl.gz` file, or of a folder with train.jsonl; candidate intents are those that
    the labels name.

    Raises:
        EquipoiseError: E_MISSING (66) without a file, E_JSON or E_DIALOGUE (65) naming file and line.
    """
    return (sample for _, sample in read_jsonl(source))
