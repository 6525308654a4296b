"""Records that prepare keeps for the later stages beside the arrays: one gzip file of JSON lines."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from components.errors import bad_data, missing

Record = TypeVar("Record")


class LineWriter:
    """Writes values line by line; the same values give the same bytes."""

    def __init__(self, path: Path) -> None:
        self._raw = path.open("wb")
        self._file = gzip.GzipFile(filename="", mode="wb", fileobj=self._raw, compresslevel=5, mtime=0)

    def line(self, value: Mapping[str, Any]) -> None:
        """One line; ValueError for a number that JSON cannot hold."""
        self._file.write(json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n")

    def close(self) -> None:
        """Brings everything to the disk."""
        self._file.close()
        self._raw.flush()
        os.fsync(self._raw.fileno())
        self._raw.close()

    def abandon(self) -> None:
        """Closes the file without caring whether it is whole."""
        self._raw.close()


def read_kept(path: Path, records: Callable[[Any], Iterable[Record]]) -> Iterator[Record]:
    """The records of a file that LineWriter wrote, in its order.

    Args:
        records: makes the records of one line, none, one or several.

    Raises:
        EquipoiseError: E_MISSING (66) without the file, E_DATA (65) naming the line where it is damaged.
    """
    if not path.is_file():
        raise missing(
            str(path), "the prepared samples must be there", got="no file", hint="Run prepare for this workload"
        )
    number = 0
    try:
        with gzip.open(path, "rb") as lines:
            for line in lines:
                number += 1
                yield from records(json.loads(line))
    except (OSError, EOFError, zlib.error, ValueError, LookupError, TypeError, RecursionError) as error:
        raise bad_data(
            f"{path}:{number}", "must be prepared samples", got=str(error), hint="Run prepare again"
        ) from error
