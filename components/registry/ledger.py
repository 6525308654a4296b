"""The ledger: who was champion when, and why. Append-only, hash-chained, compare-and-swap; it owns the champion.

Everything else that says who serves (aliases, tags) is a projection of it. All reading functions work from the events;
nothing is kept beside them that could disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, insert, select

from components.errors import EquipoiseError, Exit, misconfigured
from components.files import sha256_json
from components.registry.ledger_chain import (
    GENESIS,
    Event,
    Verified,
    damaged,
    event_hash,
    event_of,
    timestamp,
    verify_chain,
)
from components.registry.ledger_rules import PromotionBlocked as PromotionBlocked
from components.registry.ledger_rules import StaleChampion as StaleChampion
from components.registry.ledger_rules import StaleLook as StaleLook
from components.registry.ledger_rules import (
    blocked_error,
    blocked_for,
    comparisons,
    draft_of,
    expect_generation,
    expect_look,
    expect_registered,
    generation_of,
    last_event,
    look_of,
    registration,
    replayed,
    same_decision,
    standing_rollback,
    switch_to,
    version_error,
    version_number,
)
from components.registry.ledger_schema import LEDGER, SWITCHES
from components.registry.ledger_store import Store

ROWS = 1_000  # fetched at a time: reading a long ledger takes no more memory than a short one


@dataclass(frozen=True)
class State:
    """What serves for a workload, since when (UTC), and what a rollback would return to.

    `generation` counts the changes of champion (0: none yet); `blocked` says that a rollback stands unreleased.
    """

    workload: str
    champion: int | None
    generation: int
    since: str | None
    blocked: bool
    previous: int | None


def open_ledger(url_or_path: str | Path, clock: Callable[[], datetime] | None = None) -> Ledger:
    """Opens the ledger at a file path or `postgresql://` URL; creates and migrates it when needed.

    Raises:
        EquipoiseError: E_LEDGER_UNREACHABLE (69), E_WRITE (73), E_BUSY (75), E_LEDGER_URL, E_LEDGER_SCHEMA or
            E_LEDGER_DAMAGED (78).
    """
    return Ledger(Store(url_or_path), clock or _now)


def decision_key(*parts: Any) -> str:
    """The key of one decision: the same parts (versions, generation, digests) give the same key, hence one event."""
    return sha256_json(list(parts))


def parse_time(text: str, place: str = "--at") -> datetime:
    """An ISO 8601 time; without an offset it is UTC.

    Raises:
        EquipoiseError: E_TIME (2).
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        hint = "Write it like 2026-11-01T00:00Z"
        raise EquipoiseError(
            "TIME", place, "must be an ISO 8601 time", got=text, hint=hint, exit_code=Exit.USAGE
        ) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class Ledger:
    """An open ledger. Cheap to open and to read; `close` it or use it as a context manager."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections; the ledger must not be used afterwards."""
        self._store.close()

    def append_register(
        self, workload: str, version: int | str, *, actor: str, key: str, details: Mapping[str, Any], reason: str = ""
    ) -> Event:
        """Records that a version exists and what it was made of.

        `details["data_digest"]`, where given, is what tells newer data from the data a rolled-back model was made of.

        Raises:
            EquipoiseError: E_LEDGER_VERSION (78) when the version is registered already under another key.
        """
        with self._store.writing() as connection:
            draft = draft_of("register", workload, version, actor, reason, key, details)
            if done := same_decision(connection, draft):
                return done
            if registration(connection, workload, draft["version"]):
                raise version_error(
                    workload, "a version is registered once", draft["version"], "Register a new version"
                )
            return self._append(connection, draft)

    def promote(
        self,
        workload: str,
        version: int | str,
        *,
        expected_generation: int,
        evaluation_digest: str | None,
        report_sha256: str | None,
        key: str,
        actor: str,
        reason: str,
        automatic: bool = True,
        details: Mapping[str, Any] | None = None,
    ) -> Event:
        """Makes a registered version the champion if the generation is still the one it was judged against.

        The same key twice returns the first event. `automatic=False` is a person's own decision, which a standing
        rollback does not block.

        Raises:
            StaleChampion: E_STALE_CHAMPION (75): the champion changed since `expected_generation`.
            StaleLook: E_STALE_LOOK (75): the hold-out was looked at meanwhile.
            PromotionBlocked: E_PROMOTION_BLOCKED (10): a rollback stands and the version brings no newer data.
            EquipoiseError: E_LEDGER_VERSION (66 unregistered, 78 already the champion).
        """
        with self._store.writing() as connection:
            draft = draft_of("promote", workload, version, actor, reason, key, details)
            draft |= {"evaluation_digest": evaluation_digest, "report_sha256": report_sha256}
            if done := same_decision(connection, draft):
                return done
            current = last_event(connection, workload, LEDGER.c.event.in_(SWITCHES))
            expect_generation(workload, current, expected_generation)
            expect_registered(connection, workload, draft["version"])
            expect_look(connection, draft, details)
            if automatic and blocked_for(connection, workload, draft["version"]):
                raise blocked_error(workload, draft["version"])
            return self._append(connection, draft | switch_to(workload, draft["version"], current))

    def record(
        self,
        workload: str,
        event: Literal["hold", "reject", "repair"],
        version: int | str | None,
        *,
        key: str,
        actor: str,
        reason: str,
        evaluation_digest: str | None = None,
        report_sha256: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> Event:
        """Records a judgement that changes nothing, or a repair, which may concern no version (None).

        Raises:
            StaleLook: E_STALE_LOOK (75): the hold-out was looked at meanwhile.
            EquipoiseError: E_LEDGER_VERSION (66) when the version is not registered, or none is named of a judgement.
        """
        with self._store.writing() as connection:
            draft = draft_of(event, workload, version, actor, reason, key, details)
            draft |= {"evaluation_digest": evaluation_digest, "report_sha256": report_sha256}
            if done := same_decision(connection, draft):
                return done
            if event != "repair" or version is not None:
                expect_registered(connection, workload, draft["version"])
            expect_look(connection, draft, details)
            return self._append(connection, draft | {"generation": generation_of(connection, workload)})

    def rollback(
        self,
        workload: str,
        *,
        to: int | str | None = None,
        actor: str,
        reason: str,
        key: str,
        expected_generation: int | None = None,
    ) -> Event:
        """Returns to the previous champion, or to a named version. Judges nothing; blocks automatic promotion.

        With `expected_generation` two people who roll back the same bad champion at once go back one step, not two.

        Raises:
            StaleChampion: E_STALE_CHAMPION (75).
            EquipoiseError: E_LEDGER_VERSION (66 unregistered, 78 already the champion, 78 nothing to return to).
        """
        with self._store.writing() as connection:
            draft = draft_of("rollback", workload, to, actor, reason, key, None)
            if done := same_decision(connection, draft):
                return done
            state = replayed(connection, workload)
            current = last_event(connection, workload, LEDGER.c.event.in_(SWITCHES))
            if expected_generation is not None:
                expect_generation(workload, current, expected_generation)
            target = state.previous if to is None else draft["version"]
            if target is None:
                raise version_error(
                    workload, "a rollback needs an earlier champion", "none", "Name a version with --to"
                )
            expect_registered(connection, workload, target)
            return self._append(connection, draft | {"version": target} | switch_to(workload, target, current))

    def release(self, workload: str, *, actor: str, reason: str, key: str) -> Event:
        """Lifts the block that a rollback left; automatic promotion goes on.

        Raises:
            EquipoiseError: E_LEDGER_STATE (78) when nothing is blocked.
        """
        with self._store.writing() as connection:
            draft = draft_of("release", workload, None, actor, reason, key, None)
            if done := same_decision(connection, draft):
                return done
            current = last_event(connection, workload, LEDGER.c.event.in_(SWITCHES))
            if current is None or standing_rollback(connection, workload) is None:
                raise misconfigured(
                    f"ledger {workload}",
                    "there must be a rollback to release",
                    got="no block",
                    hint="Nothing to do: automatic promotion is not blocked",
                    code="LEDGER_STATE",
                )
            return self._append(connection, draft | {"version": current.version, "generation": current.generation})

    def state(self, workload: str) -> State:
        """Champion, generation, block and previous champion in one consistent snapshot."""
        with self._store.reading() as connection:
            current = last_event(connection, workload, LEDGER.c.event.in_(SWITCHES))
            if current is None:
                return State(workload, None, 0, None, False, None)
            blocked = standing_rollback(connection, workload) is not None
            previous = replayed(connection, workload).previous
        return State(workload, current.version, current.generation, current.time, blocked, previous)

    def champion(self, workload: str) -> int | None:
        """The version that serves now; None before the first promotion."""
        with self._store.reading() as connection:
            current = last_event(connection, workload, LEDGER.c.event.in_(SWITCHES))
        return current.version if current else None

    def champion_at(self, workload: str, time: datetime) -> int | None:
        """The version that served at that moment (UTC where the time names no zone)."""
        with self._store.reading() as connection:
            switch = last_event(connection, workload, LEDGER.c.event.in_(SWITCHES), LEDGER.c.time <= timestamp(time))
        return switch.version if switch else None

    def history(self, workload: str, at: datetime | None = None) -> list[Event]:
        """All events of a workload, oldest first; with `at` those that had happened by then."""
        query = select(LEDGER).where(LEDGER.c.workload == workload).order_by(LEDGER.c.sequence)
        if at is not None:
            query = query.where(LEDGER.c.time <= timestamp(at))
        with self._store.reading() as connection:
            return [event_of(row) for row in connection.execute(query).mappings()]

    def looks(self, workload: str, evaluation_digest: str) -> int:
        """How many comparisons were judged on that evaluation set: a hold-out wears out."""
        with self._store.reading() as connection:
            return len(comparisons(connection, workload, evaluation_digest))

    def look(self, workload: str, evaluation_digest: str, comparison: str) -> int:
        """1, 2, ...: which look at that evaluation set a comparison was, or would be now."""
        with self._store.reading() as connection:
            return look_of(connection, workload, evaluation_digest, comparison)

    def registered(self, workload: str, version: int | str) -> Mapping[str, Any]:
        """What registering the version recorded: `artefact_digest`, `data_digest`, `model_digest`, `run_id`.

        Empty for a version the ledger was not told of.
        """
        with self._store.reading() as connection:
            event = registration(connection, workload, version_number(version))
        return event.document()["details"] if event else {}

    def promotion_blocked(self, workload: str, version: int | str) -> bool:
        """Whether an automatic promotion of that version would be refused because a rollback stands."""
        with self._store.reading() as connection:
            return blocked_for(connection, workload, version_number(version))

    def verify(self, anchor: Verified | None = None) -> Verified:
        """Replays the whole ledger of all workloads.

        `anchor`, an earlier answer kept elsewhere, also shows that no events were cut off at the end since.

        Raises:
            EquipoiseError: E_LEDGER_DAMAGED (78) naming the first broken sequence.
        """
        query = select(LEDGER).order_by(LEDGER.c.sequence).execution_options(yield_per=ROWS)
        with self._store.reading() as connection:
            verified = verify_chain(connection.execute(query).mappings())
            if anchor is not None and anchor.events:
                kept = connection.execute(select(LEDGER.c.hash).where(LEDGER.c.sequence == anchor.events)).scalar()
                if kept != anchor.hash:
                    raise damaged(
                        anchor.events, f"must be the event with hash {anchor.hash}", got=kept or "nothing there"
                    )
        return verified

    def _append(self, connection: Connection, draft: Mapping[str, Any]) -> Event:
        """Links the draft to the last event and writes it; called inside the one writer's transaction."""
        row = connection.execute(select(LEDGER).order_by(LEDGER.c.sequence.desc()).limit(1)).mappings().first()
        last = event_of(row) if row else None
        now = timestamp(self._clock())
        linked = dict(draft) | {
            "sequence": last.sequence + 1 if last else 1,
            "time": max(now, last.time) if last else now,  # a clock set back must not reorder history
            "previous_hash": last.hash if last else GENESIS,
        }
        if "generation" not in linked:
            linked["generation"] = generation_of(connection, linked["workload"])
        event = Event(**linked, hash=event_hash(linked))
        connection.execute(insert(LEDGER).values(**asdict(event)))
        return event


def _now() -> datetime:
    return datetime.now(UTC)
