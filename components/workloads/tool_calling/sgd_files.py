"""Where the files of a Schema-Guided Dialogue copy lie: folders, archives, folders of archives."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from components.data import archives
from components.errors import missing

_DIALOGUES = re.compile(r"dialogues_\w+\.json$")
_ARCHIVE = re.compile(r"sgd_(train|dev|test)\w*\.(tar\.gz|tgz|tar|zip)$")


@dataclass(frozen=True)
class Origin:
    """A folder of files, or an archive of such folders."""

    path: Path
    folders: tuple[str, ...]

    def schemas(self) -> Iterator[tuple[str, str, bytes]]:
        return self._files(lambda name: PurePosixPath(name).name == "schema.json")

    def dialogues(self) -> Iterator[tuple[str, str, bytes]]:
        return self._files(lambda name: bool(_DIALOGUES.match(PurePosixPath(name).name)))

    def _files(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, str, bytes]]:
        """(folder, place, bytes) of each wanted file; an archive is streamed once more for each call."""
        if self.path.is_dir():
            for path in sorted(p for p in self.path.iterdir() if wanted(p.name)):
                yield self.path.name, str(path), _read_bytes(path)
        else:
            for name, raw in archives.members(self.path, wanted):
                folder = PurePosixPath(name).parent.as_posix()
                yield folder if folder != "." else self.path.name, f"{self.path}:{name}", raw


def origins(source: Path) -> list[Origin]:
    """What to read below `source`, training data first."""
    if source.is_file() and archives.is_archive(source):
        return [_archive_origin(source)]
    if not source.is_dir():
        return []
    if _has_dialogues(source):
        return [Origin(source, (source.name,))]
    found = [_archive_origin(p) for p in sorted(source.iterdir()) if p.is_file() and _ARCHIVE.match(p.name)]
    archived = {split_name(folder) for origin in found for folder in origin.folders}
    unpacked = [n for n in ("train", "dev", "test") if n not in archived and _has_dialogues(source / n)]
    found += [Origin(source / name, (name,)) for name in unpacked]
    return sorted(found, key=lambda origin: any(split_name(f) != "train" for f in origin.folders))


def _archive_origin(path: Path) -> Origin:
    """The folders in an archive are known by its name where it has the published one, else by reading its headers."""
    if match := _ARCHIVE.match(path.name):
        return Origin(path, (match[1],))
    names: set[str] = set()
    for name, _ in archives.members(path, lambda name: bool(_note_folder(name, names)) and False):
        raise AssertionError(f"nothing was wanted, yet {name} came")
    return Origin(path, tuple(sorted(names)))


def _note_folder(name: str, names: set[str]) -> bool:
    if _DIALOGUES.match(PurePosixPath(name).name):
        names.add(PurePosixPath(name).parent.as_posix())
    return True


def _has_dialogues(folder: Path) -> bool:
    return folder.is_dir() and any(_DIALOGUES.match(p.name) for p in folder.iterdir())


def split_name(folder: str) -> str:
    """The last part of a folder that names a split; an archive's own name may do so too."""
    for part in reversed(PurePosixPath(folder).parts):
        if match := re.search(r"(?:^|[^a-z])(train|dev|test)(?:[^a-z]|$)", part.lower()):
            return match[1]
    return "train"


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise missing(
            str(path), "must be a readable file", got=error.strerror or str(error), hint="Grant read permission"
        ) from error


def describe(source: Path) -> str:
    """What is at a place that holds no dialogues, for an error."""
    if not source.exists():
        return "nothing there"
    return "a folder without them" if source.is_dir() else "another kind of file"
