"""`equipoise data`: the catalogued public originals, and what each workload reads now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.data import fetching, sources
from components.errors import EquipoiseError, Exit
from components.workload import NAMES
from flows.state import Place

ORIGINALS = "data/originals"


def listing(
    place: Place,
    workload: str | None,
    fetch: str | None,
    verify: str | None,
    folder: Path | None,
    say: Callable[[str], object],
) -> dict[str, Any]:
    """Fetches or verifies one original where asked to, then lists all: {sources: [...], reads: {workload: ...}}.

    Raises:
        EquipoiseError: E_SOURCE for a name that is not catalogued, 65 for a changed byte, 69 without the network.
    """
    if fetch and verify:
        hint = "Fetching verifies what arrived"
        raise EquipoiseError(
            "USAGE", "data", "takes one of --fetch and --verify", got="both", hint=hint, exit_code=Exit.USAGE
        )
    if name := fetch or verify:
        chosen = sources.source(name)
        target = folder or place.project / ORIGINALS / name
        files = fetching.fetch(chosen, target) if fetch else fetching.verify(chosen, target)
        say(f"{name}: {len(files)} files {'fetched and ' if fetch else ''}verified in {target}")
    names = (workload,) if workload else NAMES
    listed = [_row(place, each, folder) for each in sources.catalogue() if workload in (None, each.workload)]
    return {"sources": listed, "reads": {each: _reads(place, each) for each in names}}


def _row(place: Place, source: sources.Source, folder: Path | None) -> dict[str, Any]:
    target = folder or place.project / ORIGINALS / source.name
    here = sum((target / file.path).is_file() for file in source.files)
    state = "not here" if not here else "here" if here == len(source.files) else f"{here} of {len(source.files)} files"
    return {
        "name": source.name,
        "title": source.title,
        "workload": source.workload,
        "licence": source.licence,
        "repository": source.repository,
        "commit": source.commit,
        "files": len(source.files),
        "bytes": sum(file.size for file in source.files),
        "path": str(target),
        "state": state,
    }


def _reads(place: Place, workload: str) -> dict[str, Any]:
    source = getattr(place.config(), workload).data.source
    path = place.project / source
    prepared = (place.prepared(workload) / "manifest.json").is_file()
    state = "prepared" if prepared else "there, not prepared" if path.exists() else "not there yet"
    return {"source": source, "state": state}
