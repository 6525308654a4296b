"""`python -m benchmarks [--fast]`: every speed and memory claim, one JSON line each, in a process of its own.

Exit status 1 when a benchmark could not be measured; a goal that is missed is printed as `"pass": false`, neither
hidden nor an error.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FAST = ("p3_supervision_memory", "p4_supervision_loss", "p9_epoch", "p12_span_labels", "p13_startup")  # below 3 minutes
LIMIT = 1800  # seconds a benchmark may take


def main() -> int:
    fast = "--fast" in sys.argv[1:]
    every = sorted(path.stem for path in Path(__file__).parent.glob("p*.py"))
    broken = []
    for name in FAST if fast else every:
        command = [sys.executable, "-m", f"benchmarks.{name}", *(["--fast"] if fast else [])]
        if subprocess.run(command, timeout=LIMIT).returncode:
            broken.append(name)
    if broken:
        print(f"could not be measured: {', '.join(broken)}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
