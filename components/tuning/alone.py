"""One process at a time works in a folder of trainings."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.errors import EquipoiseError, Exit, busy


@contextmanager
def alone(folder: Path, name: str, what: str, hint: str) -> Iterator[None]:
    """Holds a folder, made where it is not there; the kernel lets go when the process ends, however it ends.

    Args:
        name: of the campaign or study, for the message.
        what: what only one process may work on.
        hint: what to do while another does.

    Raises:
        EquipoiseError: E_BUSY (75) while another process holds it; E_WRITE (73) where it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / "lock").open("a")
    except OSError as error:
        advice = "Grant write permission there or name another folder with --state"
        raise EquipoiseError("WRITE", str(folder), "must be writable", got=error.strerror or str(error), hint=advice,
                             exit_code=Exit.CANNOT_WRITE) from error  # fmt: skip
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            rule = f"one process at a time may work on {what}"
            raise busy(name, rule, got="another process at work", hint=hint) from error
        yield
