"""Sends a training's curves to its MLflow run while it trains, from the file that training writes.

Training never imports MLflow and never waits for it: it appends lines to curves.jsonl, and whoever started it forwards
them. Each line reaches the run exactly once, whatever dies in between: a line's metrics and the line's number are sent
in one transaction, and after any interruption the run itself says how many lines it has.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.errors import EquipoiseError, Exit, bad_data
from components.files import write_json, write_text
from components.registry.tracking import (
    PARAM_LIMIT,
    PARAMS,
    Store,
    client,
    finish_run,
    mlflow_errors,
    send_metrics,
)

MARK = "train/reports"  # logged with every line: how many lines the run has with this one
POLL_SECONDS = 3.0
ALARMS = b'"alarms"'
ALARM = ("rule", "subject", "step", "value", "message", "causes", "remedies")


def forward_curves(store: Store, run_id: str, curves: Path, position: Path) -> int:
    """Sends the complete lines of `curves` that the run lacks and returns the bytes of the file now dealt with.

    Args:
        curves: JSON lines, each with a whole number `step` that never falls. `terms` become `train/<term>/raw|share|
            weight|n_valid`, `gradients` become `train/gradients/<term>/norm|share`, `cosines` become
            `train/cosines/<term>/<other term>`, `validation` becomes
            `validation/<metric>`, other numbers `train/<name>`; `alarms` are kept as tags and a file. Training that
            goes back to a checkpoint cuts the file there and writes the very same lines again.
        position: small JSON file in the state that remembers how far this got; it only saves work.

    Raises:
        EquipoiseError: E_TRACKING (69) when the server is away (nothing is lost: call again later), E_CURVES (65) for
            a line that is not a report.
    """
    if not curves.exists():
        return 0
    offset, number, arrived = _read_position(position, run_id)
    end, start, lines = _complete_lines(curves, offset)
    if not lines:
        return end
    if not start:
        number, arrived = 0, _lines_arrived(store, run_id)
    reports = []
    for line in lines:
        number += 1
        if number > arrived:
            step, metrics = _report(line, f"{curves.name} line {number}")
            reports.append((step, {**metrics, MARK: float(number)}))
    if any(ALARMS in line for line in lines):
        record_alarms(store, run_id, read_alarms(curves))  # before the lines count as arrived; twice does no harm
    if reports:
        position.unlink(missing_ok=True)  # until the sending is known to have worked, the run itself is asked
        send_metrics(store, run_id, reports)
    write_json(position, {"run_id": run_id, "offset": end, "lines": number, "arrived": max(number, arrived)})
    return end


def read_alarms(curves: Path) -> list[dict[str, Any]]:
    """The health alarms in the complete lines of a curves file, as {rule, subject, step, value, message, causes,
    remedies}, of a training under way too; none without the file.

    Raises:
        EquipoiseError: E_CURVES (65) for a line that is not a report.
    """
    if not curves.is_file():
        return []
    found: list[dict[str, Any]] = []
    with curves.open("rb") as handle:
        for number, line in enumerate(handle, 1):
            if ALARMS in line and line.endswith(b"\n"):  # the others need no parsing: a look stays quick
                found += _alarms(line, f"{curves.name} line {number}")
    return found


def record_alarms(store: Store, run_id: str, alarms: Sequence[Mapping[str, Any]]) -> None:
    """Keeps a training's health alarms with its run: a tag `alarm.<rule>.<subject>` with what was seen, and all of
    them with causes and remedies in `alarms.json`. Recording the same again changes nothing."""
    mlflow = client(store)
    from mlflow.entities import RunTag

    tags = [RunTag(f"alarm.{row['rule']}.{row['subject']}", str(row["message"])[:PARAM_LIMIT]) for row in alarms]
    with mlflow_errors(store):
        for start in range(0, len(tags), PARAMS):
            mlflow.log_batch(run_id, tags=tags[start : start + PARAMS])
        mlflow.log_dict(run_id, {"alarms": [dict(row) for row in alarms]}, "alarms.json")


@contextmanager
def forwarding(
    store: Store, run_id: str, curves: Path, *, warn: Callable[[str], object], seconds: float = POLL_SECONDS
) -> Iterator[None]:
    """Forwards in a thread while the block runs and once more after it.

    A file that is there already may be an earlier training's: nothing of it is sent before this training has touched
    it, by emptying it, by cutting it back to its checkpoint or by adding to it, or has ended and left it as its own.

    A store that does not answer stops nothing: `warn` is told once, and what could not be sent is kept in the state
    folder for `forward_pending`.
    """
    position, done, told = _position_file(store, run_id), threading.Event(), threading.Event()

    def attempt() -> Exit:
        try:
            forward_curves(store, run_id, curves, position)
            return Exit.DONE
        except EquipoiseError as error:
            if not told.is_set():
                warn(f"{error} Training goes on.")
                told.set()
            return error.exit_code

    before = _seen(curves)

    def poll() -> None:
        while not done.wait(seconds):
            if _seen(curves) != before:
                attempt()

    thread = threading.Thread(target=poll, name=f"curves-{run_id[:8]}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        if attempt() not in (Exit.DONE, Exit.BAD_DATA) and curves.exists():
            keep_for_later(store, run_id, curves)


def keep_for_later(store: Store, run_id: str, curves: Path, status: str = "FINISHED") -> None:
    """Copies a run's curves into the state folder, with how to close the run, until `forward_pending` can send them."""
    write_text(_pending(store) / f"{run_id}.jsonl", curves.read_text(encoding="utf-8"))
    write_json(_pending(store) / f"{run_id}.json", {"run_id": run_id, "status": status})


def forward_pending(store: Store) -> list[str]:
    """Sends what earlier runs could not, closes those runs, and returns their ids.

    Raises:
        EquipoiseError: E_TRACKING (69) when the store is still away; what is left is kept.
    """
    sent = []
    for note in sorted(_pending(store).glob("*.json")):
        wanted = json.loads(note.read_text(encoding="utf-8"))
        run_id, curves = wanted["run_id"], note.with_suffix(".jsonl")
        forward_curves(store, run_id, curves, _position_file(store, run_id))
        finish_run(store, run_id, status=wanted["status"])
        note.unlink()
        curves.unlink(missing_ok=True)
        _position_file(store, run_id).unlink(missing_ok=True)
        sent.append(run_id)
    return sent


def _seen(curves: Path) -> tuple[int, int, int] | None:
    try:
        found = curves.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _pending(store: Store) -> Path:
    return store.state / "tracking" / "pending"


def _position_file(store: Store, run_id: str) -> Path:
    return store.state / "tracking" / "positions" / f"{run_id}.json"


def _read_position(position: Path, run_id: str) -> tuple[int, int, int]:
    """(byte offset, lines before it, lines the run has), or zeros: then the run is asked."""
    try:
        kept = json.loads(position.read_text(encoding="utf-8"))
        place = int(kept["offset"]), int(kept["lines"]), int(kept["arrived"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return 0, 0, 0
    return place if kept["run_id"] == run_id else (0, 0, 0)


def _complete_lines(curves: Path, start: int) -> tuple[int, int, list[bytes]]:
    """(offset after the last whole line, where reading began, the lines); from 0 when the file became shorter."""
    with curves.open("rb") as handle:
        size = handle.seek(0, 2)
        if start > size or (start and _byte(handle, start - 1) != b"\n"):
            start = 0
        handle.seek(start)
        whole, newline, _ = handle.read(size - start).rpartition(b"\n")
    return start + len(whole) + len(newline), start, whole.split(b"\n") if newline else []


def _byte(handle: Any, offset: int) -> bytes:
    handle.seek(offset)
    return handle.read(1)


def _report(line: bytes, place: str) -> tuple[int, Mapping[str, Any]]:
    try:
        report = json.loads(line)
        if not isinstance(report, dict) or not isinstance(report.get("step"), int):
            raise ValueError("no step")
        return report.pop("step"), _named(report)
    except (ValueError, RecursionError) as error:
        raise _damaged(place, "must be a JSON object with a whole number `step`", line) from error


def _alarms(line: bytes, place: str) -> list[dict[str, Any]]:
    try:
        return [{key: row[key] for key in ALARM} for row in json.loads(line)["alarms"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(place, f"alarms must be objects of {', '.join(ALARM)}", line) from error


def _damaged(place: str, rule: str, line: bytes) -> EquipoiseError:
    hint = "Train again; only training writes this file"
    return bad_data(place, rule, got=line[:60].decode("utf-8", "replace"), hint=hint, code="CURVES")


def _named(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report's numbers under the names they have in MLflow."""
    apart = {name: report[name] for name in ("terms", "validation") if isinstance(report.get(name), Mapping)}
    train = {name: value for name, value in report.items() if name not in apart}
    return {"train": {**train, **apart.get("terms", {})}, "validation": apart.get("validation", {})}


def _lines_arrived(store: Store, run_id: str) -> int:
    mlflow = client(store)
    with mlflow_errors(store):
        return int(mlflow.get_run(run_id).data.metrics.get(MARK, 0))
