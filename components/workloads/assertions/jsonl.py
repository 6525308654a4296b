"""Rows of (focal method, test prefix, assertion) in JSON lines, one file or a folder of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.data import json_lines
from components.errors import missing
from components.workloads.assertions.fields import labelled, refuse
from components.workloads.assertions.java_tokens import tokens
from components.workloads.assertions.pairs import Pair

LINE_BYTES = 1024 * 1024
ENDINGS = (".jsonl", ".jsonl.gz")


def files(source: Path) -> list[Path]:
    """The files of rows that `source` is or holds, by name; sub-folders are not looked into."""
    if source.is_file():
        return [source] if source.name.endswith(ENDINGS) else []
    return sorted(path for path in source.glob("*") if path.is_file() and path.name.endswith(ENDINGS))


def read_jsonl(source: Path) -> Iterator[Pair]:
    """Every row, file by file in order of their names, in the order of the lines.

    Raises:
        EquipoiseError: E_MISSING (66) without files, E_JSON or E_PAIR (65) naming file and line.
    """
    found = files(source)
    if not found:
        raise missing(
            str(source),
            "must be a .jsonl file or a folder with such files",
            got="nothing there" if not source.exists() else "no such file",
            hint="Name the folder of your rows, or run the generate stage",
        )
    for path in found:
        for row, place in read_lines(path):
            yield labelled(row, place)


def read_lines(path: Path) -> Iterator[tuple[Any, str]]:
    """(JSON value, `file:line`) of each line that is not blank.

    Raises:
        EquipoiseError: E_MISSING (66) when the file cannot be opened, E_JSON (65) for its contents, E_PAIR (65) when
            there is no line in it.
    """
    return json_lines.read_lines(path, LINE_BYTES, refuse)


def to_line(pair: Pair) -> str:
    """A labelled pair as one line of the format, with a line break."""
    row = {name: value for name, value in vars(pair).items() if name != "prior"}
    row["n_tok"] = [len(tokens(text or "")) for text in (pair.focal_code, pair.test_prefix, pair.assertion)]
    return json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n"
