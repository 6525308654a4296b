"""`python -m flows.dvc_child ARGUMENTS...`: DVC's command line, which does not outlive the process that started it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> int:
    """Asks the kernel for SIGTERM when the parent dies, then runs DVC; its exit status is the result."""
    parent = int(os.environ.get("EQUIPOISE_PARENT", "0"))
    if sys.platform == "linux" and parent:
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        signal.signal(signal.SIGTERM, _end_group)
        if os.getppid() != parent:  # it died before we asked
            return 128 + signal.SIGTERM
    from dvc.cli import main as dvc

    return dvc(sys.argv[1:])


def _end_group(*_: object) -> None:
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
