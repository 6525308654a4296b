"""The ledger's rules: what an event must satisfy before it is written. Called inside the one writer's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.sql.elements import ColumnElement

from components.errors import EquipoiseError, Exit, misconfigured, missing
from components.registry.ledger_chain import Event, Replay, canonical, event_of, replay
from components.registry.ledger_schema import JUDGEMENTS, LEDGER, SWITCHES

COMPARISON, LOOK = "comparison", "look"  # in a judgement's details: what was compared, and the look it was judged as
TEXT_LIMIT = 2_000  # characters of an actor, a reason, a key


class StaleChampion(EquipoiseError):
    """The champion changed since the candidate was judged: judge again against the new one, never promote blindly."""


class StaleLook(EquipoiseError):
    """Another judgement looked at the hold-out meanwhile: conclude again at the alpha that is left for this look."""


class PromotionBlocked(EquipoiseError):
    """A rollback stands: nothing is promoted automatically until it is released or newer data was registered."""


def draft_of(
    event: str,
    workload: str,
    version: int | str | None,
    actor: str,
    reason: str,
    key: str,
    details: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The columns of a new event, before it is linked to the chain.

    Raises:
        EquipoiseError: E_LEDGER_TEXT or E_LEDGER_VERSION (2) for what no event may hold.
    """
    for name, value, empty in (
        ("workload", workload, False),
        ("actor", actor, False),
        ("key", key, False),
        ("reason", reason, True),
    ):
        _check_text(name, value, may_be_empty=empty)
    return {
        "workload": workload,
        "event": event,
        "version": None if version is None else version_number(version),
        "replaced": None,
        "evaluation_digest": None,
        "report_sha256": None,
        "decision_key": key,
        "actor": actor,
        "reason": reason,
        "details": canonical(details or {}),
    }


def _check_text(name: str, value: Any, *, may_be_empty: bool) -> None:
    """Text both databases store unchanged: no NUL, no half of a surrogate pair, a length that can be shown."""
    rule = None
    if not isinstance(value, str) or (not value.strip() and not may_be_empty):
        rule = "must be non-empty text"
    elif len(value) > TEXT_LIMIT:
        rule = f"must have at most {TEXT_LIMIT} characters"
    elif "\x00" in value or any("\ud800" <= c <= "\udfff" for c in value):
        rule = "must not hold NUL or half characters"
    if rule:
        raise EquipoiseError(
            "LEDGER_TEXT", f"ledger {name}", rule, got=value, hint="Give a plain line of text", exit_code=Exit.USAGE
        )


def version_number(value: int | str) -> int:
    """A version as a number; raises E_LEDGER_VERSION (2) for anything that is not one."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 2**31:
        return value
    hint = "Name a registered version; `equipoise history` lists them"
    raise EquipoiseError(
        "LEDGER_VERSION", "version", "must be a whole number from 1", got=value, hint=hint, exit_code=Exit.USAGE
    )


def last_event(connection: Connection, workload: str, *conditions: ColumnElement[bool]) -> Event | None:
    """The newest event of a workload that meets the conditions, its hash checked; None where there is none."""
    query = select(LEDGER).where(LEDGER.c.workload == workload, *conditions).order_by(LEDGER.c.sequence.desc()).limit(1)
    row = connection.execute(query).mappings().first()
    return event_of(row) if row else None


def same_decision(connection: Connection, draft: Mapping[str, Any]) -> Event | None:
    """The event this key already made, which must have said the same."""
    done = last_event(connection, draft["workload"], LEDGER.c.decision_key == draft["decision_key"])
    if done is None:
        return None
    if done.event != draft["event"] or (draft["version"] is not None and done.version != draft["version"]):
        raise misconfigured(
            f"ledger {draft['workload']}",
            f"a decision key stands for one decision ({done.event} of version {done.version})",
            got=f"{draft['event']} of version {draft['version']}",
            hint="Use a new key for a new decision",
            code="LEDGER_KEY",
        )
    return done


def registration(connection: Connection, workload: str, version: int) -> Event | None:
    """The event that registered a version; None where none did."""
    return last_event(connection, workload, LEDGER.c.event == "register", LEDGER.c.version == version)


def generation_of(connection: Connection, workload: str) -> int:
    """How often the champion of a workload has changed."""
    switch = last_event(connection, workload, LEDGER.c.event.in_(SWITCHES))
    return switch.generation if switch else 0


def replayed(connection: Connection, workload: str) -> Replay:
    """The state of a workload after all its promotions and rollbacks."""
    query = (
        select(LEDGER).where(LEDGER.c.workload == workload, LEDGER.c.event.in_(SWITCHES)).order_by(LEDGER.c.sequence)
    )
    return replay(Event(**row) for row in connection.execute(query).mappings())


def switch_to(workload: str, version: int, current: Event | None) -> dict[str, Any]:
    """The columns of a change of champion; raises E_LEDGER_VERSION (78) when the version is the champion already."""
    if current is not None and current.version == version:
        raise version_error(workload, "another version must serve now", version, "Nothing to do: it is the champion")
    return {
        "replaced": current.version if current else None,
        "generation": current.generation + 1 if current else 1,
    }


def expect_generation(workload: str, current: Event | None, expected: int) -> None:
    """Raises StaleChampion (75) when the champion is no longer that of the generation a decision was made on."""
    generation = current.generation if current else 0
    if generation != expected:
        raise StaleChampion(
            "STALE_CHAMPION",
            f"ledger {workload}",
            f"the champion must still be that of generation {expected}",
            got=f"generation {generation}, version {current.version if current else None}",
            hint="Judge the candidate again against the new champion",
            exit_code=Exit.BUSY,
        )


def comparisons(connection: Connection, workload: str, evaluation_digest: str) -> list[str]:
    """What was compared on that evaluation set, in the order of the first time; an event that names nothing stands
    for itself.

    The same two versions under the same rules again give the same answer: that is no further look.
    """
    query = select(LEDGER).where(
        LEDGER.c.workload == workload,
        LEDGER.c.evaluation_digest == evaluation_digest,
        LEDGER.c.event.in_(JUDGEMENTS),
    )
    events = (event_of(row) for row in connection.execute(query.order_by(LEDGER.c.sequence)).mappings())
    return list(dict.fromkeys(e.document()["details"].get(COMPARISON) or e.decision_key for e in events))


def look_of(connection: Connection, workload: str, evaluation_digest: str, comparison: str) -> int:
    """1, 2, ...: which look at that evaluation set the comparison was, or would be now."""
    known = comparisons(connection, workload, evaluation_digest)
    return known.index(comparison) + 1 if comparison in known else len(known) + 1


def expect_look(connection: Connection, draft: Mapping[str, Any], details: Mapping[str, Any] | None) -> None:
    """Raises StaleLook (75) when another comparison took the look that a judgement was made as."""
    made = details or {}
    if LOOK not in made or draft["evaluation_digest"] is None:
        return
    look = look_of(connection, draft["workload"], draft["evaluation_digest"], made[COMPARISON])
    if look != made[LOOK]:
        raise StaleLook(
            "STALE_LOOK",
            f"ledger {draft['workload']}",
            f"the judgement must be look {look} at the hold-out",
            got=f"look {made[LOOK]}",
            hint="Conclude again at the alpha of that look",
            exit_code=Exit.BUSY,
        )


def expect_registered(connection: Connection, workload: str, version: int | None) -> None:
    """Raises E_LEDGER_VERSION (66) for a version that no event registered, and for none."""
    if version is None or registration(connection, workload, version) is None:
        hint = "`equipoise history` lists the registered versions"
        raise missing(
            f"ledger {workload}", "the version must be registered", got=version, hint=hint, code="LEDGER_VERSION"
        )


def standing_rollback(connection: Connection, workload: str) -> Event | None:
    """The last change of champion, if it was a rollback that nobody has released since; else None."""
    event = last_event(connection, workload, LEDGER.c.event.in_((*SWITCHES, "release")))
    return event if event is not None and event.event == "rollback" else None


def blocked_for(connection: Connection, workload: str, version: int) -> bool:
    """A standing rollback blocks every version but those made of data first registered after it."""
    rollback = standing_rollback(connection, workload)
    if rollback is None:
        return False
    candidate = registration(connection, workload, version)
    digest = candidate.document()["details"].get("data_digest") if candidate else None
    if candidate is None or digest is None or candidate.sequence < rollback.sequence:
        return True
    query = select(LEDGER).where(
        LEDGER.c.workload == workload, LEDGER.c.event == "register", LEDGER.c.sequence < rollback.sequence
    )
    earlier = (event_of(row) for row in connection.execute(query).mappings())
    return any(e.document()["details"].get("data_digest") == digest for e in earlier)


def blocked_error(workload: str, version: int) -> PromotionBlocked:
    """E_PROMOTION_BLOCKED (10): a rollback stands and this version brings no newer data."""
    return PromotionBlocked(
        "PROMOTION_BLOCKED",
        f"ledger {workload}",
        "after a rollback nothing is promoted automatically until it is released or newer data arrives",
        got=f"version {version}",
        hint="Release the block, or promote the version by name",
        exit_code=Exit.HOLD,
    )


def version_error(workload: str, rule: str, version: int | str | None, hint: str) -> EquipoiseError:
    """E_LEDGER_VERSION (78): the ledger does not allow this version here."""
    return misconfigured(f"ledger {workload}", rule, got=version, hint=hint, code="LEDGER_VERSION")
