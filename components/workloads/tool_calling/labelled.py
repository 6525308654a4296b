"""Labelled decisions that came in since a training, read without preparing anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from components.config import ToolCallingConfig
from components.workloads.tool_calling.dialogues import Sample
from components.workloads.tool_calling.sgd import is_sgd, read_sgd
from components.workloads.tool_calling.trm_jsonl import read_jsonl


def labelled(section: ToolCallingConfig, source: Path) -> Iterator[Sample]:
    """The decisions of `source` in a format of the raw data: the TRM agent's lines (a `.jsonl` or `.jsonl.gz` file or a
    folder with train.jsonl), whose candidate intents are those that the labels name, or Schema-Guided Dialogue.

    Raises:
        EquipoiseError: E_MISSING (66) without a file, E_JSON, E_DIALOGUE, E_SGD or E_ARCHIVE (65) naming the place.
    """
    read = read_sgd if section.data.format != "jsonl" and is_sgd(source) else read_jsonl
    return (sample for _, sample in read(source))
