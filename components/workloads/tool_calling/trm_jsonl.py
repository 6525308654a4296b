"""The TRM agent's JSONL files: which there are, their intent map, and their samples one after another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.data import json_lines, strict_json
from components.errors import missing
from components.workloads.tool_calling.dialogues import Sample
from components.workloads.tool_calling.trm_fields import refuse, text, texts
from components.workloads.tool_calling.trm_lines import parse_line, read_request, render, sample_to_json

__all__ = ["find_intent_map", "is_jsonl", "parse_line", "read_intent_map", "read_jsonl", "read_lines", "read_request"]
__all__ += ["render", "sample_to_json"]

LINE_BYTES = 16 * 1024 * 1024
INTENT_MAP = "intend.json"


def is_jsonl(source: Path) -> bool:
    """Whether `source` is a place `read_jsonl` takes, judged by names only."""
    return bool(_files(source))


def find_intent_map(source: Path) -> Path | None:
    """The intent map beside the data, if there is one."""
    path = (source if source.is_dir() else source.parent) / INTENT_MAP
    return path if path.is_file() else None


def read_intent_map(path: Path) -> Mapping[str, str]:
    """{intent: description}.

    Raises:
        EquipoiseError: E_MISSING (66), E_JSON or E_DIALOGUE (65).
    """
    found = texts(strict_json.read(path), "an intent map", str(path))
    if not found:
        raise refuse(str(path), "an intent map must name at least one intent", found, "Add intents or delete the file")
    return found


def read_jsonl(source: Path, intent_map: Mapping[str, str] | None = None) -> Iterator[tuple[str, Sample]]:
    """Every labelled decision, file by file, in the order of the lines.

    `source` is a folder with `train.jsonl`, `test.jsonl` or `dev.jsonl`, and optionally `validation.jsonl`, or one file
    whose lines are all "train" (the splitter holds out the rest). With both `test` and `dev`, and no `validation`,
    `dev` is the validation split. Files may be gzipped (`.jsonl.gz`). The training file is read twice: first for the
    names of slots and (without a map) of intents that only labels show, so that the names a sample may choose from do
    not depend on its own labels.

    Args:
        intent_map: {intent: description}; None: built from the training labels, each intent described by its name.

    Yields:
        (split, sample) with split "train", "validation" or "test".

    Raises:
        EquipoiseError: E_MISSING (66) without files, E_JSON or E_DIALOGUE (65) naming file and line.
    """
    files = _files(source)
    if not files:
        raise missing(
            str(source),
            "must be a .jsonl file, a folder with train.jsonl, or a folder or archive of published dialogues",
            got="none of these" if source.exists() else "nothing there",
            hint="Name the folder of the TRM agent's data or of Schema-Guided Dialogue, or run the generate stage",
        )
    slot_names, built = _names(files["train"])
    intents = intent_map if intent_map is not None else built
    for split, path in files.items():
        for line, place in read_lines(path):
            yield split, parse_line(line, place, intents=intents, slot_names=slot_names)


def read_lines(path: Path) -> Iterator[tuple[Any, str]]:
    """(JSON value, `file:line`) of each line that is not blank.

    Raises:
        EquipoiseError: E_MISSING (66) when the file cannot be opened, E_JSON (65) for its contents, E_DIALOGUE (65)
            when there is no line in it.
    """
    return json_lines.read_lines(path, LINE_BYTES, refuse)


def _files(source: Path) -> dict[str, Path]:
    """The file of each split, training first; empty when there is no training file."""
    if source.is_file():
        return {"train": source} if source.name.endswith((".jsonl", ".jsonl.gz")) else {}
    found = {}
    for name in ("train", "validation", "dev", "test"):
        for path in (source / f"{name}.jsonl", source / f"{name}.jsonl.gz"):
            if path.is_file() and name not in found:
                found[name] = path
    if "dev" in found:
        dev = found.pop("dev")
        found.setdefault("validation" if "test" in found else "test", dev)
    order = [name for name in ("train", "validation", "test") if name in found]
    return {name: found[name] for name in order} if "train" in found else {}


def _names(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Slots and intents that stand in the labels of a file; malformed lines are left to the reading that follows."""
    slots: set[str] = set()
    parameters: set[str] = set()
    intents: set[str] = set()
    for line, place in read_lines(path):
        if not isinstance(line, dict):
            continue
        if isinstance(line.get("slots"), dict):
            slots.update(name for name in line["slots"] if name.strip())
        if isinstance(line.get("intent"), str) and line["intent"].strip():
            intents.add(text(line["intent"], "intent", place))
        for tool in line["tools"] if isinstance(line.get("tools"), list) else ():
            if isinstance(tool, dict) and isinstance(tool.get("parameters"), dict):
                parameters.update(tool["parameters"])
    return dict.fromkeys(sorted(slots - parameters), ""), dict.fromkeys(sorted(intents), "")
