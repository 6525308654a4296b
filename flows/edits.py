"""Changes to params.yaml that a command asks for, made before it reads the configuration, and recorded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from components.config_edit import assignments_in, edit, relative_source
from flows.state import Place, record_edits
from flows.terminal import say


def apply(
    place: Place,
    workload: str,
    assign: Sequence[str],
    data: str | None,
    seed: int | None,
    file: Path | None = None,
) -> None:
    """Writes `--set-file`, over it `--set`, `--data` and `--seed` into params.yaml, all or none; says what changed.

    Raises:
        EquipoiseError: E_USAGE (2), E_MISSING (66), E_CONFIG (78); params.yaml is then as it was.
    """
    changes = [*(assignments_in(file) if file is not None else ()), *assign]
    if data is not None:
        changes.append(f'{workload}.data.source="{_quoted(relative_source(place.project, data))}"')
    if seed is not None:
        changes.append(f"{workload}.training.seed={seed}")
    edits = edit(place.params, workload, changes)
    record_edits(place, edits)
    for each in edits:
        say(each.line())


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
