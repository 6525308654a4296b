"""What tests ask of the processes that a command starts."""

import contextlib
import os
import signal
import threading
import time


def descendants(pid: int) -> list[int]:
    """The processes that a process started, and those they started; fewer where some end meanwhile."""
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as handle:
                found += [int(each) for each in handle.read().split()]
    return found + [below for child in found for below in descendants(child)]


def gone(pid: int, seconds: float = 10.0) -> bool:
    """Whether the process ends within that time; a zombie has ended."""
    end = time.monotonic() + seconds
    wake = threading.Event()
    while time.monotonic() < end:
        try:
            with open(f"/proc/{pid}/stat") as handle:
                if handle.read().rpartition(")")[2].split()[0] in "ZX":
                    return True
        except FileNotFoundError:
            return True
        wake.wait(0.05)
    os.kill(pid, signal.SIGKILL)
    return False
