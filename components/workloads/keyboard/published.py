"""Files of the public originals, as published or gzipped."""

from __future__ import annotations

from pathlib import Path

from components.data.archives import file_bytes
from components.data.strict_json import decode
from components.errors import missing


def published_file(folder: Path, *names: str) -> Path:
    """The first of some files, plain or gzipped, that is in the folder.

    Raises:
        EquipoiseError: E_MISSING (66) when none is.
    """
    for name in names:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    raise missing(
        str(folder / names[0]),
        "must be a file of the data set, plain or gzipped",
        got="nothing there",
        hint="Fetch the data set again, or take its part out of keyboard.data.parts",
    )


def published_lines(folder: Path, *names: str) -> tuple[list[str], str]:
    """Lines of such a file and its path. Only a line feed ends a line: a tweet may hold other characters that could.

    Raises:
        EquipoiseError: E_MISSING (66), E_ARCHIVE (65) for a damaged file, E_JSON (65) where it is not UTF-8.
    """
    path = published_file(folder, *names)
    return decode(file_bytes(path), str(path)).removesuffix("\n").split("\n"), str(path)
