"""Events, their hashes, and the replay that shows whether a ledger is whole. Pure functions: no database here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from components.errors import EquipoiseError, Exit
from components.files import sha256_json
from components.registry.ledger_schema import EVENTS, SWITCHES

GENESIS = "0" * 64


@dataclass(frozen=True)
class Event:
    """One row of the ledger. `details` is the canonical JSON text of an object, `time` is UTC with microseconds."""

    sequence: int
    workload: str
    event: str
    version: int | None
    replaced: int | None
    evaluation_digest: str | None
    report_sha256: str | None
    decision_key: str
    actor: str
    reason: str
    details: str
    time: str
    generation: int
    previous_hash: str
    hash: str

    def document(self) -> dict[str, Any]:
        """As a JSON object, details unpacked."""
        return asdict(self) | {"details": json.loads(self.details)}


@dataclass(frozen=True)
class Verified:
    """What a whole ledger holds: the number of events and the hash of the last one (GENESIS when there is none)."""

    events: int
    hash: str


@dataclass
class Replay:
    """The state of one workload after some of its events.

    `champions` is the path that led to the present champion, oldest first: a promotion adds to it, a rollback cuts it
    back, so that a second rollback goes further back and not forward again to what was just withdrawn.
    """

    champions: list[int] = field(default_factory=list)
    generation: int = 0

    @property
    def champion(self) -> int | None:
        """The version that serves; None before the first promotion."""
        return self.champions[-1] if self.champions else None

    @property
    def previous(self) -> int | None:
        """The version a rollback returns to; None where there is none."""
        return self.champions[-2] if len(self.champions) > 1 else None

    def switch(self, event: Event) -> None:
        """Takes in a promote or rollback event; every other event leaves the champion where it is."""
        assert event.version is not None
        earlier = self.champions[:-1]
        if event.event == "rollback" and event.version in earlier:
            del self.champions[len(earlier) - earlier[::-1].index(event.version) :]
        else:
            self.champions.append(event.version)
        self.generation = event.generation


def replay(switches: Iterable[Event]) -> Replay:
    """The state after the promote and rollback events of one workload, in their order."""
    state = Replay()
    for event in switches:
        state.switch(event)
    return state


def event_hash(fields: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON of all columns but the hash itself, empty ones left out.

    The previous event's hash is one of the columns, which makes the chain. Empty columns are left out so that a
    column added by a later migration leaves the hashes of earlier events as they are.
    """
    return sha256_json({k: v for k, v in fields.items() if k != "hash" and v is not None})


def event_of(row: Mapping[Any, Any]) -> Event:
    """The event of a database row; the row's hash is checked, so no damaged event is ever acted on."""
    event = Event(**row)
    if event_hash(asdict(event)) != event.hash:
        raise damaged(event.sequence, "the hash must be that of the event's columns", got=event.hash)
    return event


def canonical(details: Mapping[str, Any]) -> str:
    """The one JSON text of an object: sorted keys, no spaces, NaN refused. Hashes are made of it."""
    return json.dumps(details, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def timestamp(moment: datetime) -> str:
    """UTC, always 27 characters: `2026-11-21T03:48:01.000000Z`. A naive time is taken as UTC."""
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S.%f}Z"


def verify_chain(rows: Iterable[Mapping[Any, Any]]) -> Verified:
    """Replays all events from the first to the last and checks every link and every change of champion.

    Raises:
        EquipoiseError: E_LEDGER_DAMAGED (78) naming the first broken sequence.
    """
    last, count, clock = GENESIS, 0, ""
    states: dict[str, Replay] = {}
    keys: set[tuple[str, str]] = set()
    for count, row in enumerate(rows, 1):
        if row["sequence"] != count:
            raise damaged(count, "events must be numbered without gaps", got=row["sequence"])
        if row["previous_hash"] != last:
            raise damaged(count, "previous_hash must be the hash of the event before", got=row["previous_hash"])
        event = event_of(row)
        if event.event not in EVENTS:
            raise damaged(count, f"the event must be one of {', '.join(EVENTS)}", got=event.event)
        if event.time < clock:
            raise damaged(count, f"time must not go back before {clock}", got=event.time)
        if (event.workload, event.decision_key) in keys:
            raise damaged(count, "a decision key must stand once", got=event.decision_key)
        keys.add((event.workload, event.decision_key))
        _check_champion(event, states.setdefault(event.workload, Replay()))
        last, clock = event.hash, event.time
    return Verified(count, last)


def _check_champion(event: Event, state: Replay) -> None:
    switches = event.event in SWITCHES
    expected = (state.generation + switches, state.champion if switches else None)
    if (event.generation, event.replaced) != expected:
        raise damaged(
            event.sequence,
            f"generation and replaced version must be {expected[0]} and {expected[1]}",
            got=f"{event.generation} and {event.replaced}",
        )
    if switches:
        if event.version is None or event.version == state.champion:
            raise damaged(event.sequence, "a switch must name another version than the champion", got=event.version)
        state.switch(event)


def damaged(sequence: int, rule: str, *, got: Any) -> EquipoiseError:
    """The error of a ledger that was changed from outside or lost events."""
    return EquipoiseError(
        "LEDGER_DAMAGED",
        f"ledger event {sequence}",
        rule,
        got=got,
        hint="Nothing is promoted from a damaged ledger: restore a backup, then run `equipoise history --verify`",
        exit_code=Exit.CONFIGURATION,
    )
