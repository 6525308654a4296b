"""Labelled samples beside the arrays: what evaluation, the gate and the baseline work on. One gzip file of JSON lines a
split."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path

from components.errors import bad_data, missing
from components.workloads.assertions.pairs import Pair


class SampleWriter:
    """Writes one split's samples; the same samples give the same bytes."""

    def __init__(self, path: Path) -> None:
        self._raw = path.open("wb")
        self._file = gzip.GzipFile(filename="", mode="wb", fileobj=self._raw, compresslevel=5, mtime=0)

    def write(self, pair: Pair) -> None:
        line = json.dumps(vars(pair), separators=(",", ":"), sort_keys=True)
        self._file.write(line.encode("ascii") + b"\n")

    def close(self) -> None:
        self._file.close()
        self._raw.flush()
        os.fsync(self._raw.fileno())
        self._raw.close()

    def abandon(self) -> None:
        """Closes the file without caring whether it is whole."""
        self._raw.close()


def read_samples(path: Path) -> Iterator[Pair]:
    """The samples of a file that SampleWriter wrote, in its order.

    Raises:
        EquipoiseError: E_MISSING (66) without the file, E_DATA (65) when it is damaged.
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
                yield Pair(**json.loads(line))
    except (OSError, EOFError, ValueError, TypeError, RecursionError) as error:
        raise bad_data(
            f"{path}:{number}", "must be prepared samples", got=str(error), hint="Run prepare again"
        ) from error
