"""Files that are either whole or absent: every write that matters goes through here."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from components.errors import EquipoiseError, Exit

CHUNK = 1 << 20


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Calls `write` on a temporary file beside `path`, then fsync, rename, fsync of the folder.

    Raises:
        EquipoiseError: E_WRITE (73) when the place cannot be written, E_IO (74) when the disk refuses; the earlier
            file, if any, is untouched in both cases.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise write_error(path, error) from error
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            write(handle)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise write_error(path, error) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def scratch(parent: Path, name: str) -> Iterator[Path]:
    """A folder `.NAME.xxxxxxxx.part` in `parent` that is gone when the block ends. Its lock shows that somebody is at
    work there, so that what a kill leaves can be told from it.

    Raises:
        EquipoiseError: E_WRITE (73) or E_IO (74) when the place cannot be written.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=f".{name}.", suffix=".part"))
    except OSError as error:
        raise write_error(parent, error) from error
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text by `write_atomically`: the file is the old one or the new one, whole."""
    write_atomically(path, lambda handle: handle.write(text.encode("utf-8")))


def write_json(path: Path, value: Any) -> None:
    """Sorted keys, two spaces, a final newline, NaN refused: the same value gives the same bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def sync_folder(folder: Path) -> None:
    """Makes what was created, renamed or removed in a folder outlive a power cut (fsync of the folder)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def sha256_json(value: Any) -> str:
    """Hex SHA-256 of a value's canonical JSON (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def sha256_tree(folder: Path) -> str:
    """Hex SHA-256 over relative names and digests of all files below `folder`, in sorted order."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sha256_json([[name, sha256_file(folder / name)] for name in names])


def write_error(path: Path, error: OSError) -> EquipoiseError:
    """E_IO (74) when the disk refuses, E_WRITE (73) when the place cannot be written."""
    full = error.errno in {28, 122, 5}  # ENOSPC, EDQUOT, EIO
    return EquipoiseError(
        "IO" if full else "WRITE",
        str(path),
        "must be writable",
        got=error.strerror or str(error),
        hint="Free space or mend the disk, then run the same command again"
        if full
        else "Grant write permission here or choose another --state or output folder",
        exit_code=Exit.IO_ERROR if full else Exit.CANNOT_WRITE,
    )
