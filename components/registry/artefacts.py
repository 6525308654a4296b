"""What a registered model consists of, byte by byte: a SHA-256 manifest, checked before anything is loaded.

A flipped bit in a safetensors file loads without complaint, and a model folder is code that will run, so nothing is
opened before its manifest was compared.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

from components.errors import EquipoiseError, bad_data, misconfigured, missing
from components.files import sha256_file, sha256_tree, write_json

MANIFEST = "manifest.json"
SAFE_SUFFIXES = (".json", ".jsonl", ".npy", ".npz", ".parquet", ".safetensors", ".txt", ".zst")
COMPILED = "__pycache__"  # Python may leave it beside the served code; it is dropped before that code runs
NOT_SERVED = ("curves.jsonl", "resume", "rehearsals")  # of a checkpoint folder


def write_manifest(folder: Path) -> str:
    """Writes `manifest.json` over all files of an artefact and returns its digest, the artefact's identity.

    Raises:
        EquipoiseError: E_ARTEFACT_LINK (78) when a link is among them.
    """
    write_json(folder / MANIFEST, {"files": _digests(folder)})
    return sha256_file(folder / MANIFEST)


def verify(folder: Path, digest: str | None = None) -> str:
    """Compares every file of an artefact with its manifest, and the manifest with `digest` where one is known.

    Returns:
        The manifest's SHA-256.

    Raises:
        EquipoiseError: E_ARTEFACT (65) when a byte, a file or the manifest is not what was registered, E_MISSING (66)
            without a manifest, E_ARTEFACT_LINK (78) for a link.
    """
    path = folder / MANIFEST
    if path.is_symlink() or not path.is_file():
        hint = "Register the model again or roll back to another version"
        raise missing(str(folder), f"a model must have {MANIFEST}", got="none", hint=hint)
    actual = sha256_file(path)
    if digest is not None and actual != digest:
        raise _damaged(folder, "the manifest must be the registered one", f"{actual[:12]}, not {digest[:12]}")
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["files"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(folder, f"{MANIFEST} must list files", str(error)) from error
    present = _digests(folder)
    for name in sorted(listed.keys() | present.keys()):
        if listed.get(name) != present.get(name):
            state = "missing" if name not in present else "not registered" if name not in listed else "changed"
            raise _damaged(folder / name, "the file must be as it was registered", state)
    return actual


def drop_compiled(folder: Path) -> None:
    """Removes compiled code from an artefact: the manifest does not know it, and a planted one would run unseen."""
    for compiled in sorted(folder.rglob(COMPILED)):
        if compiled.is_symlink():
            compiled.unlink()
        else:
            shutil.rmtree(compiled)


def model_digest(folder: Path) -> str:
    """SHA-256 over the files that make the model, the same for every registration of the same weights."""
    return sha256_tree(folder)


def servable_files(folder: Path) -> list[Path]:
    """The files of a checkpoint or baseline folder that are served, none of which can hold a pickle.

    Raises:
        EquipoiseError: E_MISSING (66) without model.json, E_ARTEFACT_PICKLE (65), E_ARTEFACT_LINK (78).
    """
    if not (folder / "model.json").is_file():
        hint = "Train first, or give the folder that training wrote"
        raise missing(str(folder), "a model folder must hold model.json", got="none", hint=hint)
    files = [p for p in _files(folder) if p.relative_to(folder).parts[0] not in NOT_SERVED]
    for path in files:
        refuse_pickle(path)
    return files


def refuse_pickle(path: Path) -> None:
    """Raises E_ARTEFACT_PICKLE (65) for a file whose name or content could bring code in when it is loaded."""
    with path.open("rb") as handle:
        head = handle.read(128)
    if path.suffix not in SAFE_SUFFIXES:
        found = f"a {path.suffix or 'nameless'} file"
    elif head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        found = "a pickle"
    elif head.startswith(b"PK") and _zip_holds_pickle(path):
        found = "an archive with a pickle"
    elif head.startswith(b"\x93NUMPY") and _holds_objects(head):
        found = "an array of Python objects"
    else:
        return
    hint = f"Save weights as safetensors and the rest as {', '.join(SAFE_SUFFIXES[:3])}"
    raise bad_data(str(path), "a model must hold no pickle", got=found, hint=hint, code="ARTEFACT_PICKLE")


def _zip_holds_pickle(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                head = archive.open(name).read(128)
                if not name.endswith(".npy") or _holds_objects(head):
                    return True
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError):
        return True
    return False


def _holds_objects(head: bytes) -> bool:
    header = io.BytesIO(head).read().partition(b"'descr':")[2].partition(b"'fortran_order'")[0]
    return b"O" in header


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(folders + names):
            path = Path(parent, name)
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                hint = "Copy the file itself into the folder"
                rule = "a model must consist of plain files"
                raise misconfigured(str(path), rule, got="a link or device", hint=hint, code="ARTEFACT_LINK")
        yield from (Path(parent, name) for name in sorted(names))


def _digests(folder: Path) -> dict[str, str]:
    found = {}
    for path in _files(folder):
        name = path.relative_to(folder)
        if name.as_posix() != MANIFEST and COMPILED not in name.parts:
            found[name.as_posix()] = sha256_file(path)
    return found


def _damaged(place: Path, rule: str, got: str) -> EquipoiseError:
    hint = "Do not serve it: roll back, or register the model again"
    return bad_data(str(place), rule, got=got, hint=hint, code="ARTEFACT")
