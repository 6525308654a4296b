"""curves.jsonl: one line a report, appended; cut back to what a checkpoint remembers when training resumes from it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.errors import EquipoiseError, Exit
from components.files import CHUNK


class Curves:
    """The file and the running SHA-256 of what it holds, so that a checkpoint can name the prefix it belongs to."""

    def __init__(self, path: Path, writes: bool) -> None:
        self.path = path
        self.writes = writes
        self._bytes = 0
        self._digest = hashlib.sha256()

    def start(self) -> None:
        """An empty file."""
        self._bytes, self._digest = 0, hashlib.sha256()
        self._do(lambda: self.path.write_bytes(b""))

    def append(self, report: Mapping[str, Any]) -> None:
        """One line of sorted JSON. NaN is refused: training stops before it gets here."""
        line = json.dumps(report, sort_keys=True, allow_nan=False).encode("utf-8") + b"\n"
        self._bytes += len(line)
        self._digest.update(line)
        self._do(lambda: self._append(line))

    def lines(self) -> list[dict[str, Any]]:
        """What the file holds."""
        with self.path.open("rb") as handle:
            return [json.loads(line) for line in handle]

    def mark(self) -> dict[str, Any]:
        """Makes the file durable and returns what `can_return_to` needs."""
        self._do(self._sync)
        return {"bytes": self._bytes, "sha256": self._digest.hexdigest()}

    def can_return_to(self, mark: Mapping[str, Any]) -> bool:
        """Whether the file still begins with the marked bytes; takes them in for `return_to`."""
        digest = hashlib.sha256()
        left = int(mark["bytes"])
        if self.path.is_file():
            with self.path.open("rb") as handle:
                while left and (block := handle.read(min(left, CHUNK))):
                    digest.update(block)
                    left -= len(block)
        self._bytes, self._digest = int(mark["bytes"]), digest
        return left == 0 and digest.hexdigest() == mark["sha256"]

    def return_to(self, mark: Mapping[str, Any]) -> None:
        """Cuts off what was reported after the mark."""
        self._do(lambda: os.truncate(self.path, mark["bytes"]) if self.path.exists() else self.path.write_bytes(b""))

    def _append(self, line: bytes) -> None:
        with self.path.open("ab") as handle:
            handle.write(line)

    def _sync(self) -> None:
        with self.path.open("rb+") as handle:
            os.fsync(handle.fileno())

    def _do(self, action: Any) -> None:
        if not self.writes:
            return
        try:
            action()
        except OSError as error:
            raise EquipoiseError(
                "IO",
                str(self.path),
                "must be writable",
                got=error.strerror or str(error),
                hint="Free space or mend the disk, then run the same command again",
                exit_code=Exit.IO_ERROR,
            ) from error
