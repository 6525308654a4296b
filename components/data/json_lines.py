"""JSON lines as people hand them over: one value a line, a file plain or gzipped."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol

from components.data import strict_json
from components.errors import EquipoiseError, missing


class Refuse(Protocol):
    """Makes a workload's own error (65) about its data."""

    def __call__(self, place: str, rule: str, got: Any, hint: str) -> EquipoiseError: ...


def read_lines(path: Path, limit: int, refuse: Refuse) -> Iterator[tuple[Any, str]]:
    """(JSON value, `file:line`) of each line that is not blank.

    Args:
        limit: bytes that a line may have.

    Raises:
        EquipoiseError: E_MISSING (66) when the file cannot be opened, E_JSON (65) for a line that is not strict JSON or
            too long, what `refuse` makes (65) when it is cut off or there is no line in it.
    """
    empty = True
    try:
        with _open(path) as handle:
            number = 0
            while raw := handle.readline(limit + 2):
                number += 1
                if raw.strip():
                    empty = False
                    place = f"{path}:{number}"
                    yield strict_json.loads(raw, place, max_bytes=limit), place
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise refuse(str(path), "must be a whole gzip file", str(error), "Fetch or write the file again") from error
    except OSError as error:
        got = error.strerror or str(error)
        raise missing(str(path), "must be a readable file", got=got, hint="Name an existing file") from error
    if empty:
        raise refuse(str(path), "must hold at least one line", "an empty file", "Write the data again")


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]
