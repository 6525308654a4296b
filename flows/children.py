"""Processes that do a command's work: their lines as they come, their whole group gone when the command is."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from components.errors import EquipoiseError, Exit

GRACE_SECONDS = 30  # a stopped training saves its state first
KEPT_LINES = 201
ERROR_LINE = re.compile(r"^E_([A-Z][A-Z0-9_]*) (.*?): (.*?), got (.*)\. ([^.].*?)\.?$")

Say = Callable[[str], object]


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str], say: Say) -> tuple[list[str], int]:
    """The command's last lines (stdout and stderr together) and its exit status; it gets a process group of its own.

    Args:
        folder: its working folder.
        say: receives each line.

    Raises:
        KeyboardInterrupt: after passing the interruption on and waiting for the group to end.
    """
    child = subprocess.Popen(
        command, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True, text=True, encoding="utf-8", errors="replace",
    )  # fmt: skip
    lines: list[str] = []
    assert child.stdout is not None
    try:
        for line in child.stdout:
            lines = [*lines[1 - KEPT_LINES :], line.rstrip("\n")]
            say(lines[-1])
        return lines, child.wait()
    except BaseException:
        _stop(child)
        raise
    finally:
        child.stdout.close()


def reported(lines: Sequence[str], status: int | None) -> EquipoiseError | None:
    """The last error line that the child printed as an error of ours, with its exit status; None without one."""
    for line in reversed(lines):
        if match := ERROR_LINE.match(line.strip()):
            code, where, rule, got, hint = match.groups()
            known = status in {int(member) for member in Exit}
            exit_code = Exit(status) if known and status else Exit.CONFIGURATION
            return EquipoiseError(code, where, rule, got=got, hint=hint, exit_code=exit_code)
    return None


def _stop(child: subprocess.Popen[str]) -> None:
    """Asks the group to stop, waits for the training to save its state, then ends what is left of it."""
    for number, seconds in ((signal.SIGINT, GRACE_SECONDS), (signal.SIGKILL, 5)):
        try:
            os.killpg(child.pid, number)
            child.wait(seconds)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    child.poll()
