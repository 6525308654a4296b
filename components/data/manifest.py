"""Folders that appear whole, with a digest of every file, and are checked before anything in them is believed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.errors import EquipoiseError, bad_data, missing
from components.files import scratch, sha256_file, sync_folder, write_error, write_json

NAME = "manifest.json"
_checked: dict[str, tuple[int, ...]] = {}


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> None:
    """Writes manifest.json: `facts` plus {"files": {relative name: {"sha256", "bytes"}}} of everything else here."""
    files = {
        path.relative_to(folder).as_posix(): {"sha256": sha256_file(path), "bytes": path.stat().st_size}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / NAME  # those of folders within are files like others
    }
    write_json(folder / NAME, {**facts, "files": files})


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest's facts and files, itself unchecked.

    Raises:
        EquipoiseError: E_MISSING (66) without a manifest, E_DATA (65) when it is not one.
    """
    path = folder / NAME
    if not path.is_file():
        raise missing(
            str(path), "the prepared data must have its manifest", got="no file", hint="Run prepare for this workload"
        )
    try:
        manifest = json.loads(path.read_text("utf-8"))
        files = manifest["files"]
        if not all(isinstance(name, str) and isinstance(entry["sha256"], str) for name, entry in files.items()):
            raise ValueError("files must map names to digests")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise bad_data(
            str(path), "must be a manifest", got=str(error), hint="Run prepare again", code="MANIFEST"
        ) from error
    return manifest


def verify(folder: Path) -> dict[str, Any]:
    """The manifest of `folder` after every file in it was found to have the digest written there.

    Raises:
        EquipoiseError: E_MANIFEST (65) naming the first file that is absent, changed, added or a link.
    """
    manifest = read_manifest(folder)
    names = set()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise _damaged(path, "must not be a link", os.readlink(path))
        if path.is_file() and name != NAME:
            names.add(name)
    expected = manifest["files"]
    for name in sorted(names ^ set(expected)):
        known = name in expected
        raise _damaged(
            folder / name,
            "must be there" if known else "must be listed in the manifest",
            "no file" if known else "a file",
        )
    for name in sorted(names):
        digest = sha256_file(folder / name)
        if digest != expected[name]["sha256"]:
            raise _damaged(folder / name, f"must have SHA-256 {expected[name]['sha256']}", digest)
    return manifest


def verify_once(folder: Path) -> dict[str, Any]:
    """`verify`, unless this process has already verified the folder and no file's size or time has changed since."""
    key = str(folder.resolve())
    state = _state(folder)
    if _checked.get(key) == state:
        return read_manifest(folder)
    manifest = verify(folder)
    _checked[key] = state
    return manifest


def _state(folder: Path) -> tuple[int, ...]:
    facts: list[int] = []
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        facts += [status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode]
    return tuple(facts)


def _damaged(path: Path, rule: str, got: str) -> EquipoiseError:
    return bad_data(
        str(path), rule, got=got, hint="The file was changed or damaged: run prepare again", code="MANIFEST"
    )


@contextlib.contextmanager
def published(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its place when the block ends without an error.

    A folder left behind by a killed process is removed by the next call: its lock died with the process.

    Raises:
        EquipoiseError: E_WRITE (73) or E_IO (74) when the place cannot be written; `folder` is then untouched.
    """
    try:
        _sweep(folder)
        with scratch(folder.parent, folder.name) as part:
            yield part
            part.chmod(0o755)
            _swap(part, folder)
    except OSError as error:
        raise write_error(folder, error) from error


def _swap(part: Path, folder: Path) -> None:
    for path in part.rglob("*"):
        if path.is_dir():
            sync_folder(path)
    sync_folder(part)
    if folder.exists():
        aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
        folder.replace(aside)
        part.replace(folder)
        shutil.rmtree(aside)
    else:
        part.replace(folder)
    sync_folder(folder.parent)


def _sweep(folder: Path) -> None:
    for left in folder.parent.glob(f".{folder.name}.*.part"):
        lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left)
        except BlockingIOError:
            continue  # somebody is at work there
        finally:
            os.close(lock)
