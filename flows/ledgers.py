"""What the ledger and the files beside it say: history and status. Imports neither torch nor MLflow nor Prefect."""

from __future__ import annotations

from typing import Any

from components.errors import EquipoiseError, Exit
from components.workload import NAMES
from flows.state import Place


def events(place: Place, workload: str | None, at: str | None, verify: bool) -> dict[str, Any]:
    """The ledger of a workload, oldest event first; with `verify` the hash chain of all workloads.

    Raises:
        EquipoiseError: E_USAGE (2) when neither is named, E_TIME (2), E_LEDGER_DAMAGED (78).
    """
    from components.registry.ledger import open_ledger, parse_time

    if workload is None and not verify:
        hint = "For example `equipoise history tool_calling`"
        raise EquipoiseError(
            "USAGE", "history", "needs a workload or --verify", got="neither", hint=hint, exit_code=Exit.USAGE
        )
    moment = parse_time(at) if at else None
    document: dict[str, Any] = {}
    if not place.ledger_exists():
        return (
            {"verified": {"events": 0, "hash": ""}}
            if verify
            else {"workload": workload, "champion": None, "events": []}
        )
    with open_ledger(place.ledger) as ledger:
        if verify:
            whole = ledger.verify()
            document["verified"] = {"events": whole.events, "hash": whole.hash}
        if workload is not None:
            champion = ledger.champion_at(workload, moment) if moment else ledger.champion(workload)
            listed = [event.document() for event in ledger.history(workload, moment)]
            document |= {"workload": workload, "champion": champion, "events": listed}
    return document


def status(place: Place, workload: str | None = None) -> dict[str, Any]:
    """{workload: {champion: {version, since, run_id, reason} or None, generation, blocked, previous, alarms}}."""
    names = (workload,) if workload else NAMES
    if not place.ledger_exists():
        return {name: _nothing() for name in names}
    from components.registry.ledger import open_ledger

    with open_ledger(place.ledger) as ledger:
        return {name: _standing(ledger, name) for name in names}


def _standing(ledger: Any, workload: str) -> dict[str, Any]:
    state = ledger.state(workload)
    if state.champion is None:
        return _nothing()
    past = ledger.history(workload)
    switch = next(e for e in reversed(past) if e.event in ("promote", "rollback"))
    made = next((e for e in past if e.event == "register" and e.version == state.champion), None)
    alarms = []
    if state.blocked:
        alarms.append("a rollback stands: automatic promotion waits for newer data or `equipoise rollback --release`")
    champion = {
        "version": state.champion,
        "since": state.since,
        "run_id": made.document()["details"].get("run_id") if made else None,
        "why": switch.reason,
    }
    judged = next((e for e in reversed(past) if e.evaluation_digest), None)
    looks = ledger.looks(workload, judged.evaluation_digest) if judged else 0
    return {
        "champion": champion,
        "generation": state.generation,
        "previous": state.previous,
        "blocked": state.blocked,
        "looks": looks,
        "alarms": alarms,
    }


def _nothing() -> dict[str, Any]:
    return {"champion": None, "generation": 0, "previous": None, "blocked": False, "looks": 0, "alarms": []}
