"""Files and folders of writes that a kill cut off: `.NAME.xxxxxxxx.part` beside what was to be replaced."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.workload import NAMES
from flows.state import Place

# A download that broke off is no leftover: its name ends with twelve digits of a digest, and it will be gone on with.
PART = re.compile(r"\..+\.[a-z0-9_]{8}\.part|prefect\.\d+\.part")
WRITTEN = ("data", "checkpoints", "evaluation", "tuned")  # of the project, with all that is below
SEALED = ("mlartifacts", "models")  # of the state: registered bytes, in which nothing is ever removed
QUIET_SECONDS = 60.0  # a writer renames what it has closed at once


def leftovers(place: Place, now: float | None = None) -> list[Path]:
    """What nobody has open, has locked or has touched for a minute, sorted; links are not followed.

    Args:
        now: seconds since the epoch; None is the present.
    """
    found = sorted({path for root in _roots(place) for path in _parts(root, place)})
    held = _open_files() if found else set()
    return [path for path in found if _abandoned(path, held, time.time() if now is None else now)]


def workload_of(place: Place, path: Path) -> str | None:
    """The workload in whose folder a leftover lies, or whose folder it was to become; None for what all share."""
    known = {part: name for name in NAMES for part in (name, f"{name}.yaml")}
    inside = path.relative_to(place.state if path.is_relative_to(place.state) else place.project)
    names = [*inside.parts[:-1], inside.name.removeprefix(".").rsplit(".", 2)[0]]
    return next((known[name] for name in names if name in known), None)


def remove(path: Path) -> bool:
    """Removes one unless somebody holds its lock, which whoever writes a folder does; False then."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return True
    with _locked(path) as free:
        if free:
            shutil.rmtree(path)
    return free


def _roots(place: Place) -> list[Path]:
    return [place.project, place.project / ".dvc", *(place.project / name for name in WRITTEN), place.state]


def _parts(root: Path, place: Place) -> Iterator[Path]:
    """All below a root; of the project's own folder and DVC's only what lies directly in them."""
    flat, sealed = root in (place.project, place.project / ".dvc"), {place.state / name for name in SEALED}
    for parent, folders, names in os.walk(root):
        here = Path(parent)
        yield from (here / name for name in [*folders, *names] if PART.fullmatch(name))
        inside = [n for n in folders if not PART.fullmatch(n) and here / n not in sealed]
        folders[:] = [] if flat else inside


def _abandoned(path: Path, held: set[tuple[int, int]], now: float) -> bool:
    try:
        seen = [path.lstat(), *(each.lstat() for each in path.rglob("*"))]
    except FileNotFoundError:  # its writer was faster
        return False
    if any((s.st_dev, s.st_ino) in held for s in seen):
        return False
    if now - max(max(s.st_mtime, s.st_ctime) for s in seen) < QUIET_SECONDS:
        return False
    if not path.is_dir() or path.is_symlink():
        return True
    with _locked(path) as free:
        return free


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Whether a folder's lock could be taken; it is held while the block runs."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = True
    except BlockingIOError:
        free = False
    try:
        yield free
    finally:
        os.close(descriptor)


def _open_files() -> set[tuple[int, int]]:
    """(device, inode) of what the processes of this machine have open, as far as we may look."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            seen = entry.stat()
        except OSError:  # closed meanwhile, or another user's
            continue
        found.add((seen.st_dev, seen.st_ino))
    return found
