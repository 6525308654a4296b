"""What the ledger and the files beside it say: history and status. Imports neither torch nor MLflow nor Prefect."""

from __future__ import annotations

from typing import Any

from components.errors import EquipoiseError, Exit
from components.workload import NAMES
from flows.state import Place

PROJECT = "project"  # whose the events are that belong to no workload: repairs of what all share


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
    """{workload: {champion: {version, since, run_id, why} or None, generation, previous, blocked, looks, alpha_left,
    alarms}}.

    `looks` counts the judgements on the newest hold-out, `alpha_left` is what its further looks may spend (None where
    nothing is spent).
    Each of `alarms` is {rule, subject, step, value, message, causes, remedies}: a rollback that stands, then what the
    latest training raised, be it finished or under way.
    """
    names = (workload,) if workload else NAMES
    found = {name: _nothing() for name in names}
    if place.ledger_exists():
        from components.registry.ledger import open_ledger

        with open_ledger(place.ledger) as ledger:
            found = {name: _standing(ledger, name) for name in names}
    return {name: each | {"alarms": [*each["alarms"], *_of_training(place, name)]} for name, each in found.items()}


def _of_training(place: Place, workload: str) -> list[dict[str, Any]]:
    """The alarms that the latest training wrote into its curves; a file that cannot be read is one itself."""
    from components.registry.curves import read_alarms

    curves = place.checkpoint(workload) / "curves.jsonl"
    try:
        return read_alarms(curves)
    except EquipoiseError as error:
        return [_alarm("curves", workload, f"{error.place}: {error.rule}", "the file was damaged", error.hint)]
    except OSError as error:
        message, cause = f"{curves} cannot be read", error.strerror or str(error)
        return [_alarm("curves", workload, message, cause, "grant permission to read it")]


def _alarm(rule: str, subject: str, message: str, cause: str, *remedies: str) -> dict[str, Any]:
    return {
        "rule": rule,
        "subject": subject,
        "step": None,
        "value": None,
        "message": message,
        "causes": [cause],
        "remedies": list(remedies),
    }


def _standing(ledger: Any, workload: str) -> dict[str, Any]:
    state = ledger.state(workload)
    if state.champion is None:
        return _nothing()
    past = ledger.history(workload)
    switch = next(e for e in reversed(past) if e.event in ("promote", "rollback"))
    made = next((e for e in past if e.event == "register" and e.version == state.champion), None)
    alarms = []
    if state.blocked:
        remedies = "bring newer data", f"`equipoise rollback {workload} --release` when it may serve again"
        message = "a rollback stands: nothing is promoted automatically"
        alarms.append(_alarm("rollback", workload, message, switch.reason or "no reason was given", *remedies))
    champion = {
        "version": state.champion,
        "since": state.since,
        "run_id": made.document()["details"].get("run_id") if made else None,
        "why": switch.reason,
    }
    judged = next((e for e in reversed(past) if e.evaluation_digest), None)
    looks = ledger.looks(workload, judged.evaluation_digest) if judged else 0
    latest = [e.document()["details"] for e in past if judged and e.evaluation_digest == judged.evaluation_digest]
    left = min((d["alpha_left"] for d in latest if d.get("alpha_left") is not None), default=None)
    return {
        "champion": champion,
        "generation": state.generation,
        "previous": state.previous,
        "blocked": state.blocked,
        "looks": looks,
        "alpha_left": left,
        "alarms": alarms,
    }


def _nothing() -> dict[str, Any]:
    return {
        "champion": None,
        "generation": 0,
        "previous": None,
        "blocked": False,
        "looks": 0,
        "alpha_left": None,
        "alarms": [],
    }
