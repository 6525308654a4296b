"""`equipoise predict` and `serve`: the champion by the ledger, its files verified before they are loaded."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from components.errors import EquipoiseError, Exit, bad_data, misconfigured, missing
from components.files import write_atomically
from components.stage import die_with_parent
from flows.state import Place, make_state
from flows.terminal import reader

HOST = "127.0.0.1"
TOGETHER = 256  # requests answered at once: memory stays the same however long the file is
LONGEST_LINE = 16 << 20  # bytes
GRACE_SECONDS = 20  # a stopped server answers what it has begun


def artefact(place: Place, workload: str, version: int | None) -> tuple[int, Path]:
    """(version, verified folder) of the champion or of the version named.

    Raises:
        EquipoiseError: E_NO_CHAMPION (78) before the first promotion, E_MODEL_VERSION (66), E_ARTEFACT (65).
    """
    from components.registry.aliases import resolve
    from components.registry.ledger import open_ledger
    from components.registry.tracking import open_store

    make_state(place)
    digest = None
    if place.ledger_exists():
        with open_ledger(place.ledger) as ledger:
            version = ledger.champion(workload) if version is None else version
            if version is not None:
                digest = ledger.registered(workload, version).get("artefact_digest")
    if version is None:
        hint = f"Run `equipoise retrain {workload}` first, or name a version with --version"
        raise misconfigured(workload, "there must be a champion", got="none", hint=hint, code="NO_CHAMPION")
    return version, resolve(open_store(place.state, place.config().project), workload, version, digest)


def predict(
    place: Place, workload: str, source: Path, target: Path | None, version: int | None, stdout: TextIO, quiet: bool
) -> dict[str, Any]:
    """Answers JSON Lines of raw requests, a line each; a target file appears whole or not at all.

    Raises:
        EquipoiseError: E_MISSING (66) without the input, E_DATA or E_JSON (65) naming the line.
    """
    with _opened(source) as lines:
        chosen, folder = artefact(place, workload, version)
        answers = _answers(workload, folder, lines, "stdin" if str(source) == "-" else source.name)
        count = 0

        def write(handle: Any) -> None:
            nonlocal count
            for answer in answers:
                handle.write(json.dumps(answer, ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n")
                count += 1

        if target is not None:
            write_atomically(target, write)
        elif quiet:
            listed = list(answers)
            return {"workload": workload, "version": chosen, "n": len(listed), "predictions": listed}
        else:
            with reader():
                write(stdout.buffer if isinstance(stdout, io.TextIOWrapper) else stdout)
    return {"workload": workload, "version": chosen, "n": count, "output": str(target) if target else None}


@contextmanager
def _opened(source: Path) -> Iterator[Any]:
    if str(source) == "-":
        yield sys.stdin.buffer
        return
    if not source.is_file():
        got = "a folder" if source.is_dir() else "nothing there"
        raise missing(
            str(source), "--input must be a JSON Lines file", got=got, hint="Name a file with one request a line"
        )
    try:
        handle = source.open("rb")
    except OSError as error:
        raise missing(
            str(source), "--input must be readable", got=error.strerror or str(error), hint="Grant read permission"
        ) from error
    with handle:
        yield handle


def _answers(workload: str, folder: Path, lines: Any, place: str) -> Iterator[dict[str, Any]]:
    from components.registry.packaging import MODEL
    from components.workload import workload as record_of

    record = record_of(workload)
    predictor = record.load(folder / MODEL)
    samples = (record.read_request(row, where) for where, row in _requests(lines, place))
    while batch := list(islice(samples, TOGETHER)):
        yield from (record.render(prediction) for prediction in predictor.predict(batch))


def _requests(lines: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    from components.data.strict_json import loads

    for number, raw in enumerate(iter(lambda: lines.readline(LONGEST_LINE + 1), b""), 1):
        where = f"{place} line {number}"
        if len(raw) > LONGEST_LINE:
            raise bad_data(
                where, f"a line must have at most {LONGEST_LINE} bytes", got="more", hint="Put one request on a line"
            )
        if raw.strip():
            row = loads(raw, where)
            if not isinstance(row, dict):
                raise bad_data(
                    where, "a request must be a JSON object", got=row, hint='Write {"tools": [...], "history": [...]}'
                )
            yield where, row


def serve(place: Place, workload: str, port: int, say: Callable[[str], object]) -> int:
    """Serves the champion until ctrl-C or SIGTERM, which end it as asked: 0. What the server prints goes to stderr.

    Raises:
        EquipoiseError: E_PORT (69) when the port is taken, E_SERVER (69) when the server ends by itself, and what
            `artefact` raises.
    """
    from components.registry.packaging import serve_command, served_environment

    _free(port)
    version, folder = artefact(place, workload, None)
    with tempfile.TemporaryDirectory(prefix="equipoise-serve-") as scratch:
        child = subprocess.Popen(
            serve_command(folder, HOST, port), cwd=scratch, env=served_environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=die_with_parent,
        )  # fmt: skip
        try:
            say(f"serving {workload} version {version} on http://{HOST}:{port}/invocations (ctrl-C stops it)")
            _pass_on(child)
            status = child.wait()
        except KeyboardInterrupt:
            say(f"stopped serving {workload}")
            return 0
        finally:
            _end(child)
    raise EquipoiseError(
        "SERVER",
        f"{HOST}:{port}",
        "the server must run until it is stopped",
        got=f"its end with status {status}",
        hint="Its last lines above say why; start it again",
        exit_code=Exit.SERVICE_UNAVAILABLE,
    )


def _pass_on(child: subprocess.Popen[bytes]) -> None:
    """Prints what the server says until nobody is left who could say anything."""
    assert child.stdout is not None
    for line in child.stdout:
        print(line.decode("utf-8", "replace").rstrip(), file=sys.stderr, flush=True)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ends the server and whatever it started: their output closes when the last of them is gone."""
    late = threading.Timer(GRACE_SECONDS, _signal, (child.pid, signal.SIGKILL))
    late.start()
    try:
        _signal(child.pid, signal.SIGTERM)
        _pass_on(child)
        child.wait()
    finally:
        late.cancel()


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # all of it has ended
        os.killpg(group, number)


def _free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            hint = "Choose another with --port or stop what listens there"
            raise EquipoiseError(
                "PORT",
                f"{HOST}:{port}",
                "the port must be free",
                got=error.strerror or str(error),
                hint=hint,
                exit_code=Exit.SERVICE_UNAVAILABLE,
            ) from error
