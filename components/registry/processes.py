"""Which process opened something that it may not live to close: a record of its identity, and whether it is gone."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path

PROCESS, BOOT, HOST, STARTED = ("equipoise.pid", "equipoise.boot", "equipoise.host", "equipoise.started")


def identity() -> dict[str, str]:
    """This process, told from every other: number, start, boot of the machine, machine. Kept with what it opens."""
    pid = str(os.getpid())
    return {PROCESS: pid, BOOT: _boot_id(), HOST: socket.gethostname(), STARTED: _start_time(pid)}


def gone(tags: Mapping[str, str]) -> bool:
    """Whether the process of an `identity` among these tags is known to have ended.

    False for one of another machine and for tags without an identity: nobody here can tell.
    """
    if tags.get(HOST) != socket.gethostname() or PROCESS not in tags:
        return False
    return tags.get(BOOT) != _boot_id() or tags.get(STARTED) != _start_time(tags[PROCESS])


def _boot_id() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else "unknown"


def _start_time(pid: str) -> str:
    """Clock ticks from boot to the start of process `pid`, which tells it from a later one so numbered; or "gone"."""
    stat = Path("/proc") / pid / "stat"
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except OSError:
        return "gone"
    return "gone" if fields[0] in "ZX" else fields[19]
