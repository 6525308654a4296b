"""Lives of the command line, each forked from a process that has imported all they use and has done nothing else.

`python -m tests.flows.lives STATE` reads {"arguments", "seconds", "all", "log"} a line: the command's arguments, after
how many seconds it is killed (null: never), whether what it started is killed with it, where its stdout and stderr go.
It answers {"status"} a line, -9 where it was killed, when all that the life started has ended too. A life is spared the
seconds of importing, and is in all else the process that `equipoise` is.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any

from flows.orchestration import environment
from flows.state import Place
from tests.flows.processes import descendants

IMPORTED = ("dvc.repo", "matplotlib.figure", "mlflow.pyfunc", "prefect.client.orchestration", "sklearn.linear_model",
            "torch._dynamo", "components.workloads.tool_calling.model", "components.workloads.tool_calling.evaluate",
            "flows.cli", "flows.cycle", "flows.retrain")  # fmt: skip
PR_SET_CHILD_SUBREAPER, LIMIT = 36, 120


def adopt_orphans() -> None:
    """Makes this process the parent of what a killed life leaves (Linux), so that it can wait for its end."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_of(life: int, seconds: float | None, everything: bool) -> int:
    """Waits for the end of a life, which is a process group, or kills it when its time is over; its exit status.

    Whatever outlives it by `LIMIT` seconds ends this process by SIGALRM.
    """
    handle = os.pidfd_open(life)
    over, _, _ = select.select([handle], [], [], seconds)
    if not over:
        below = descendants(life) if everything else []
        os.killpg(life, signal.SIGKILL)
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    os.close(handle)
    status = os.waitstatus_to_exitcode(os.waitpid(life, 0)[1])
    signal.alarm(LIMIT)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    signal.alarm(0)
    return status


def live(asked: dict[str, Any]) -> None:
    """In the child: becomes the command, in a process group of its own."""
    for descriptor, name, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, f"{asked['log']}.out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, f"{asked['log']}.err", os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    ):
        os.dup2(os.open(name, flags), descriptor)
    sys.argv = ["equipoise", *asked["arguments"]]
    importlib.import_module("flows.cli").main()


def main() -> None:
    """Answers until stdin ends."""
    os.environ.update(environment(Place(Path.cwd(), Path(sys.argv[1]))))  # before Prefect is imported
    for name in IMPORTED:
        importlib.import_module(name)
    adopt_orphans()
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if not (life := os.fork()):
            os.setpgid(0, 0)
            return live(asked)
        with contextlib.suppress(PermissionError):  # it has done so itself, or has ended
            os.setpgid(life, life)
        print(json.dumps({"status": end_of(life, asked["seconds"], asked["all"])}), flush=True)


if __name__ == "__main__":
    main()
