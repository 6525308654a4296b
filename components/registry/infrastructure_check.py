"""The last question before an alias moves: does the registered artefact answer in a fresh process as it did here?"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import EquipoiseError
from components.registry import aliases, artefacts
from components.registry.answers import SERVING, read_serving
from components.registry.packaging import served_environment
from components.registry.tracking import Store

LIMIT_SECONDS = 300


@dataclass(frozen=True)
class Outcome:
    """ok, or the one reason why not; how many golden inputs were answered; seconds it took."""

    ok: bool
    reason: str
    inputs: int
    seconds: float


def check(store: Store, workload: str, version: int, digest: str | None = None) -> Outcome:
    """Fetches the version by digest, replays its golden inputs in a fresh process, compares the answers exactly.

    Raises:
        EquipoiseError: E_TRACKING (69) when the registry cannot be asked; a damaged artefact is an Outcome.
    """
    began = time.monotonic()
    try:
        folder = aliases.resolve(store, workload, version, digest)
    except EquipoiseError as error:
        if error.code == "E_TRACKING":
            raise
        return Outcome(False, str(error), 0, time.monotonic() - began)
    return check_folder(folder, began)


def check_folder(folder: Path, began: float | None = None) -> Outcome:
    """The same for the folder of an artefact whose manifest has been verified."""
    began = time.monotonic() if began is None else began
    artefacts.drop_compiled(folder)
    golden = read_serving(folder / "artifacts" / SERVING)
    count = len(golden["inputs"])
    with tempfile.TemporaryDirectory(prefix="equipoise-check-") as scratch:
        answered, reason = _replay(folder, Path(scratch), golden["threads"])
    if not reason:
        reason = _first_difference(golden["outputs"], answered)
    return Outcome(not reason, reason or f"{count} golden inputs answered exactly", count, time.monotonic() - began)


def _replay(folder: Path, scratch: Path, threads: int) -> tuple[list[Any], str]:
    """(answers, "") or ([], why there are none). The working folder is empty, so no other code can be found."""
    answers, program = scratch / "answers.json", Path(__file__).with_name("replay.py")
    environment = served_environment() | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    command = [sys.executable, "-P", str(program), str(folder.absolute()), str(answers)]
    try:
        done = subprocess.run(
            command, cwd=scratch, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return [], f"the fresh process gave no answer within {LIMIT_SECONDS} s"
    if done.returncode or not answers.exists():
        last = (done.stderr.strip().splitlines() or ["nothing on stderr"])[-1]
        return [], f"the fresh process ended with {done.returncode}: {last[:300]}"
    return json.loads(answers.read_text(encoding="utf-8")), ""


def _first_difference(expected: list[Any], got: list[Any]) -> str:
    """ "" when equal to the last bit; floats went through JSON on both sides, which keeps every bit."""
    if len(expected) != len(got):
        return f"{len(got)} answers to {len(expected)} golden inputs"
    for number, (one, other) in enumerate(zip(expected, got, strict=True), 1):
        if one != other:
            keys = [k for k in one if one[k] != other.get(k)] if isinstance(other, dict) else []
            where = f" in {keys[0]}: {other.get(keys[0])!r}, registered {one[keys[0]]!r}" if keys else ""
            return f"golden input {number} is answered otherwise{where}"
    return ""
