"""Who works in a folder of trainings: one process at a time, or several that share it candidate by candidate.

The kernel lets go of a lock when its process ends, however it ends.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from components.errors import EquipoiseError, Exit, busy

LOCK = "lock"


@contextmanager
def alone(folder: Path, name: str, what: str, hint: str, file: str = LOCK) -> Iterator[None]:
    """Holds a folder, made where it is not there.

    Args:
        name: of the campaign or study, for the message.
        what: what only one process may work on.
        hint: what to do while another does.
        file: which of the folder's locks.

    Raises:
        EquipoiseError: E_BUSY (75) while another process holds it; E_WRITE (73) where it cannot be written.
    """
    with _opened(folder, file) as handle:
        if not _held(handle, fcntl.LOCK_EX):
            rule = f"one process at a time may work on {what}"
            raise busy(name, rule, got="another process at work", hint=hint)
        yield


@contextmanager
def among_others(folder: Path, name: str) -> Iterator[None]:
    """Holds a folder together with others who do: whoever would have it `alone` is told that somebody works there.

    Raises:
        EquipoiseError: E_BUSY (75) while one has it alone; E_WRITE (73).
    """
    with _opened(folder, LOCK) as handle:
        if not _held(handle, fcntl.LOCK_SH):
            rule, hint = "nobody may have it alone", "Wait for that command to end, then run this one again"
            raise busy(name, rule, got="another process at work", hint=hint)
        yield


def taken(folder: Path, key: str) -> IO[str] | None:
    """The lock of one candidate of the folder, held until it is closed; None while another process has it."""
    handle = _opened(folder, f"{key}.lock")
    if _held(handle, fcntl.LOCK_EX):
        return handle
    handle.close()
    return None


def wait_for(folder: Path, key: str) -> None:
    """Returns when nobody holds that candidate's lock any more."""
    with _opened(folder, f"{key}.lock") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)


def _held(handle: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _opened(folder: Path, file: str) -> IO[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / file).open("a")
    except OSError as error:
        advice = "Grant write permission there or name another folder with --state"
        raise EquipoiseError("WRITE", str(folder), "must be writable", got=error.strerror or str(error), hint=advice,
                             exit_code=Exit.CANNOT_WRITE) from error  # fmt: skip
