"""Whether what a training left is still what it wrote: the model, the marker, and the states it could go on from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.data import strict_json
from components.errors import EquipoiseError, bad_data
from components.files import sha256_file

CARD, RESUME = "model.json", "resume"
MARKER = f"{RESUME}/finished.json"


def damages(folder: Path) -> list[EquipoiseError]:
    """What is damaged in a checkpoint folder and in the rehearsals below it; empty where there is none.

    Only for a folder that nobody trains into: a state that is being replaced does not fit its document for a moment.
    """
    found = []
    for place in sorted({path.parent for path in folder.rglob(CARD)} | {p.parent for p in folder.rglob(RESUME)}):
        found += [*_of_digests(place), *_of_slots(place / RESUME)]
    return found


def _of_digests(folder: Path) -> Iterator[EquipoiseError]:
    """Files that do not have the digest that model.json or the marker of a finished training gives them."""
    told: set[str] = set()
    for document in (folder / CARD, folder / MARKER):
        if not document.is_file():
            continue
        try:
            digests = _digests(strict_json.read(document), document)
        except EquipoiseError as error:
            yield error
            continue
        for name in sorted(digests.keys() - told):
            path = folder / name
            actual = sha256_file(path) if path.is_file() else "no file"
            if actual != digests[name]:
                told.add(name)
                rule = f"must have the SHA-256 {digests[name][:12]} that {document.name} names"
                yield _damaged(path, rule, actual[:12])


def _digests(document: Any, path: Path) -> Mapping[str, str]:
    """The `files` of a document; a card without them, such as a baseline's, names none."""
    files = document.get("files", {}) if isinstance(document, dict) else None
    if not isinstance(files, dict) or not all(isinstance(value, str) for value in files.values()):
        raise _damaged(path, "its files must be names with digests", files)
    return files


def _of_slots(resume: Path) -> Iterator[EquipoiseError]:
    """States that a training would pass over; torch is imported only where there are any."""
    if not list(resume.glob("slot-*.json")):
        return
    from components.training.checkpoint import newest_slot

    said: list[str] = []
    newest_slot(resume, lambda line: said.append(str(line)))
    for line in said:
        yield _damaged(resume, "a state must be as it was saved", line.removeprefix("warning: ").partition(";")[0])


def _damaged(path: Path, rule: str, got: Any) -> EquipoiseError:
    hint = "Train again: what is damaged is passed over and made anew"
    return bad_data(str(path), rule, got=got, hint=hint, code="CHECKPOINT")
