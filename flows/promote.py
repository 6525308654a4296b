"""`equipoise gate`, `promote`, `rollback`: a person's decisions about versions, by the same gate and ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from components.errors import misconfigured
from flows.state import Place, make_state, user

Say = Callable[[str], object]


def judge_versions(place: Place, workload: str, version: int, against: int | None, say: Say) -> dict[str, Any]:
    """The gate's report on two registered versions; nothing is written to the ledger."""
    from flows.judging import compare
    from flows.registration import desk

    with desk(place, workload, None, say) as at:
        champion = against if against is not None else at.ledger.champion(workload)
        champion = _champion(champion, workload, "Name a version with --against, or retrain first")
        report = compare(at, version, champion)
        return {
            "workload": workload,
            "version": version,
            "against": champion,
            **report.document(),
            "text": report.text(),
        }


def _champion(version: int | None, workload: str, hint: str) -> int:
    if version is None:
        rule = "there must be a champion to judge against"
        raise misconfigured(workload, rule, got="none", hint=hint, code="NO_CHAMPION")
    return version


def promote_version(
    place: Place, workload: str, version: int, actor: str | None, reason: str, say: Say
) -> dict[str, Any]:
    """Judges a version by name and promotes it if the gate says so; a standing rollback does not block a person."""
    from flows.judging import decide
    from flows.registration import desk

    with desk(place, workload, actor, say) as at:
        _champion(
            at.ledger.champion(workload), workload, "Retrain first: the cheap baseline becomes the first champion"
        )
        verdict = decide(at, version, automatic=False, reason=reason)
    return {
        "workload": workload,
        "decision": verdict.decision,
        "version": version,
        "champion": verdict.champion,
        "reason": verdict.reason,
        "heads": verdict.heads,
    }


def roll_back(place: Place, workload: str, to: int | None, actor: str | None, reason: str, say: Say) -> dict[str, Any]:
    """Returns to the previous champion, or to `to`; then lets MLflow's aliases follow.

    The ledger is what counts: when MLflow does not answer, the rollback stands and the aliases follow at the next call.
    """
    from components.errors import EquipoiseError
    from components.registry.aliases import project
    from components.registry.ledger import open_ledger
    from components.registry.tracking import open_store
    from flows.standing import standing

    make_state(place)
    with open_ledger(place.ledger) as ledger:
        before = ledger.state(workload)
        event = ledger.rollback(
            workload,
            to=to,
            actor=actor or user(),
            reason=reason or "rolled back by hand",
            key=f"rollback/{before.generation}/{to or 'previous'}",
            expected_generation=before.generation,
        )
        shown = standing(ledger, workload)
    try:
        project(open_store(place.state, place.config().project), workload, shown)
    except EquipoiseError as error:
        say(f"warning: the rollback stands, but the aliases did not follow: {error}")
    return {"workload": workload, "champion": event.version, "replaced": event.replaced, "generation": event.generation}


def release_block(place: Place, workload: str, actor: str | None, reason: str) -> dict[str, Any]:
    """Lets automatic promotion go on after a rollback."""
    from components.registry.ledger import open_ledger

    with open_ledger(place.ledger) as ledger:
        state = ledger.state(workload)
        ledger.release(
            workload, actor=actor or user(), reason=reason or "released by hand", key=f"release/{state.generation}"
        )
    return {"workload": workload, "champion": state.champion, "replaced": None, "generation": state.generation}
