"""The ledger: what it records, refuses, answers and notices."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from components.errors import EquipoiseError
from components.registry.ledger import (
    Ledger,
    PromotionBlocked,
    StaleChampion,
    StaleLook,
    decision_key,
    open_ledger,
    parse_time,
)
from components.registry.ledger_chain import GENESIS, Verified, event_hash, timestamp
from tests.registry.postgres import postgres_server, postgres_url  # noqa: F401

START = datetime(2026, 1, 1, tzinfo=UTC)
W = "tool_calling"


class Clock:
    """Goes on by an hour at every look; `now` may be set."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        self.now += timedelta(hours=1)
        return self.now


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "ledger.db") if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def ledger(target: str) -> Iterator[Ledger]:
    with open_ledger(target, Clock()) as opened:
        yield opened


def register(ledger: Ledger, *versions: int, data: str = "data-1") -> None:
    for version in versions:
        ledger.append_register(W, version, actor="ana", key=f"register-{version}", details={"data_digest": data})


def promote(ledger: Ledger, version: int, generation: int, **changes):
    given = {
        "expected_generation": generation,
        "evaluation_digest": "eval-1",
        "report_sha256": "ab" * 32,
        "key": f"promote-{version}-{generation}",
        "actor": "schedule",
        "reason": "better",
    }
    return ledger.promote(W, version, **(given | changes))


def rollback(ledger: Ledger, **changes):
    return ledger.rollback(W, **({"actor": "bo", "reason": "wrong answers", "key": "rollback-1"} | changes))


def test_an_empty_ledger_has_no_champion(ledger: Ledger) -> None:
    state = ledger.state(W)
    assert (state.champion, state.generation, state.since, state.blocked, state.previous) == (
        None,
        0,
        None,
        False,
        None,
    )
    assert ledger.champion(W) is None
    assert ledger.champion_at(W, START) is None
    assert ledger.history(W) == []
    assert ledger.verify() == Verified(0, GENESIS)


def test_a_promotion_replaces_the_champion_and_counts_the_generation(ledger: Ledger) -> None:
    register(ledger, 1, 2)
    first, second = promote(ledger, 1, 0), promote(ledger, 2, 1)
    assert (first.replaced, first.generation, second.replaced, second.generation) == (None, 1, 1, 2)
    state = ledger.state(W)
    assert (state.champion, state.generation, state.previous, state.since) == (2, 2, 1, second.time)
    assert ledger.verify() == Verified(4, second.hash)


def test_events_come_back_as_they_were_written(ledger: Ledger) -> None:
    details = {"run_id": "r", "nested": {"b": [1, 2.5, None], "a": "ü\n"}}
    event = ledger.append_register(W, "7", actor="ana", key="k", details=details, reason="зачем")
    assert ledger.history(W) == [event]
    assert event.version == 7
    assert event.document()["details"] == details
    assert event.hash == event_hash(
        {k: v for k, v in event.document().items() if k != "details"} | {"details": event.details}
    )


def test_workloads_share_the_chain_and_nothing_else(ledger: Ledger) -> None:
    register(ledger, 1)
    ledger.append_register("trading", 1, actor="ana", key="register-1", details={})
    promote(ledger, 1, 0)
    assert ledger.champion("trading") is None
    assert [e.sequence for e in ledger.history("trading")] == [2]
    assert ledger.verify().events == 3


def test_a_stale_promotion_is_refused_and_leaves_nothing(ledger: Ledger) -> None:
    register(ledger, 1, 2, 3)
    promote(ledger, 1, 0)
    promote(ledger, 2, 1)
    with pytest.raises(StaleChampion, match="generation 1, got generation 2, version 2") as caught:
        promote(ledger, 3, 1)
    assert caught.value.exit_code == 75
    assert ledger.champion(W) == 2
    assert len(ledger.history(W)) == 5


def test_the_same_decision_key_is_one_event(ledger: Ledger) -> None:
    register(ledger, 1, 2)
    first = promote(ledger, 1, 0, key="once")
    promote(ledger, 2, 1)
    assert promote(ledger, 1, 0, key="once") == first
    assert ledger.champion(W) == 2
    assert ledger.append_register(W, 1, actor="x", key="register-1", details={}) == ledger.history(W)[0]
    back = rollback(ledger)
    assert rollback(ledger) == back
    assert ledger.release(W, actor="bo", reason="", key="free") == ledger.release(W, actor="bo", reason="", key="free")
    assert ledger.verify().events == 6


def test_a_key_stands_for_one_decision(ledger: Ledger) -> None:
    register(ledger, 1, 2)
    promote(ledger, 1, 0, key="once")
    for wrong in (lambda: promote(ledger, 2, 1, key="once"), lambda: rollback(ledger, key="once")):
        with pytest.raises(EquipoiseError, match="E_LEDGER_KEY") as caught:
            wrong()
        assert caught.value.exit_code == 78


def test_decision_key_tells_decisions_apart() -> None:
    assert decision_key("w", 1, 2) == decision_key("w", 1, 2)
    assert (
        len({decision_key("w", 1, 2), decision_key("w", 12), decision_key("w", "1", 2), decision_key("w", 2, 1)}) == 4
    )


REFUSED: list[tuple[str, int, Callable[[Ledger], object]]] = [
    ("must be registered, got 9", 66, lambda ledger: promote(ledger, 9, 1)),
    ("another version must serve now, got 1", 78, lambda ledger: promote(ledger, 1, 1)),
    ("registered once, got 1", 78, lambda ledger: ledger.append_register(W, 1, actor="a", key="new", details={})),
    ("must be registered, got 9", 66, lambda ledger: rollback(ledger, to=9)),
    ("another version must serve now, got 1", 78, lambda ledger: rollback(ledger, to=1)),
    ("a rollback needs an earlier champion", 78, rollback),
    ("must still be that of generation 7", 75, lambda ledger: rollback(ledger, expected_generation=7)),
    ("there must be a rollback to release", 78, lambda ledger: ledger.release(W, actor="a", reason="", key="k")),
    ("must be registered, got 4", 66, lambda ledger: ledger.record(W, "hold", 4, key="k", actor="a", reason="")),
    ("whole number from 1, got -1", 2, lambda ledger: promote(ledger, -1, 1)),
    ("whole number from 1, got 1.5", 2, lambda ledger: rollback(ledger, to="1.5")),
    ("whole number from 1, got True", 2, lambda ledger: rollback(ledger, to=True)),
    ("whole number from 1, got 99999999999", 2, lambda ledger: rollback(ledger, to=99999999999)),
    ("must be non-empty text, got ", 2, lambda ledger: rollback(ledger, actor=" ")),
    ("must be non-empty text, got None", 2, lambda ledger: rollback(ledger, key=None)),
    ("NUL or half characters", 2, lambda ledger: rollback(ledger, reason="a\x00b")),
    ("NUL or half characters", 2, lambda ledger: rollback(ledger, reason="\ud800")),
    ("at most 2000 characters", 2, lambda ledger: rollback(ledger, reason="x" * 2001)),
]


@pytest.mark.parametrize("message,code,act", REFUSED)
def test_what_is_refused_leaves_no_event(
    tmp_path: Path, message: str, code: int, act: Callable[[Ledger], object]
) -> None:
    with open_ledger(tmp_path / "ledger.db", Clock()) as ledger:
        register(ledger, 1, 2)
        promote(ledger, 1, 0)
        with pytest.raises(EquipoiseError) as caught:
            act(ledger)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
        assert caught.value.exit_code == code
        assert ledger.verify().events == 3


def test_rollback_walks_back_and_never_forward_again(ledger: Ledger) -> None:
    register(ledger, 1, 2, 3)
    for generation, version in enumerate((1, 2, 3)):
        promote(ledger, version, generation)
    assert rollback(ledger, key="a").version == 2
    assert (ledger.state(W).champion, ledger.state(W).previous, ledger.state(W).blocked) == (2, 1, True)
    assert rollback(ledger, key="b").version == 1
    assert ledger.state(W).previous is None
    assert rollback(ledger, to=3, key="c").replaced == 1
    assert (ledger.champion(W), ledger.state(W).previous, ledger.state(W).generation) == (3, 1, 6)
    assert ledger.verify().events == 9


def test_two_people_rolling_back_the_same_champion_go_back_one_step(ledger: Ledger) -> None:
    register(ledger, 1, 2, 3)
    for generation, version in enumerate((1, 2, 3)):
        promote(ledger, version, generation)
    rollback(ledger, key="ana", expected_generation=3)
    with pytest.raises(StaleChampion):
        rollback(ledger, key="bo", expected_generation=3)
    assert ledger.champion(W) == 2


def test_a_rollback_blocks_automatic_promotion_until_released(ledger: Ledger) -> None:
    register(ledger, 1, 2, 3)
    promote(ledger, 1, 0)
    promote(ledger, 2, 1)
    rollback(ledger)
    assert ledger.promotion_blocked(W, 3)
    with pytest.raises(PromotionBlocked) as caught:
        promote(ledger, 3, 3)
    assert caught.value.exit_code == 10
    ledger.release(W, actor="bo", reason="looked into it", key="free")
    assert not ledger.promotion_blocked(W, 3)
    assert not ledger.state(W).blocked
    assert ledger.state(W).generation == 3
    assert promote(ledger, 3, 3).version == 3


def test_newer_data_or_a_person_passes_the_block(ledger: Ledger) -> None:
    register(ledger, 1, 2)
    promote(ledger, 1, 0)
    promote(ledger, 2, 1)
    rollback(ledger)
    register(ledger, 3, data="data-1")
    register(ledger, 4, data="data-2")
    ledger.append_register(W, 5, actor="ana", key="register-5", details={})
    assert [ledger.promotion_blocked(W, v) for v in (2, 3, 4, 5, 6)] == [True, True, False, True, True]
    assert promote(ledger, 3, 3, automatic=False).generation == 4
    assert not ledger.state(W).blocked
    rollback(ledger, key="again")
    assert promote(ledger, 4, 5, automatic=False).version == 4


def test_history_and_champion_at_a_time(ledger: Ledger) -> None:
    register(ledger, 1, 2)  # 01:00 and 02:00
    promote(ledger, 1, 0)  # 03:00
    promote(ledger, 2, 1)  # 04:00
    rollback(ledger)  # 05:00
    at = [ledger.champion_at(W, START + timedelta(hours=h)) for h in (0, 2.9, 3, 3.5, 4, 4.999, 5, 99)]
    assert at == [None, None, 1, 1, 2, 2, 1, 1]
    assert [len(ledger.history(W, START + timedelta(hours=h))) for h in (0, 1, 2.5, 5)] == [0, 1, 2, 5]
    zoned = parse_time("2026-01-01T06:30+02:00")
    assert ledger.champion_at(W, zoned) == 2
    assert [e.event for e in ledger.history(W)] == ["register", "register", "promote", "promote", "rollback"]


def test_times_never_go_back_when_the_clock_does(tmp_path: Path) -> None:
    clock = Clock()
    with open_ledger(tmp_path / "ledger.db", clock) as ledger:
        register(ledger, 1)
        clock.now = datetime(1970, 1, 1, tzinfo=UTC)
        register(ledger, 2)
        clock.now = START + timedelta(days=1)
        register(ledger, 3)
        times = [e.time for e in ledger.history(W)]
        assert times[0] == times[1] < times[2]
        assert ledger.verify().events == 3


@pytest.mark.parametrize(
    "given,expected",
    [
        ("2026-11-01T00:00Z", "2026-11-01T00:00:00.000000Z"),
        ("2026-11-01", "2026-11-01T00:00:00.000000Z"),
        ("2026-03-29T02:30+01:00", "2026-03-29T01:30:00.000000Z"),
    ],
)
def test_times_are_read_as_utc(given: str, expected: str) -> None:
    assert timestamp(parse_time(given)) == expected


def test_a_time_that_is_none_is_a_usage_error() -> None:
    with pytest.raises(EquipoiseError, match="E_TIME --at: must be an ISO 8601 time, got yesterday") as caught:
        parse_time("yesterday")
    assert caught.value.exit_code == 2


def test_looks_count_judgements_of_one_evaluation_set(ledger: Ledger) -> None:
    register(ledger, 1, 2, 3)
    promote(ledger, 1, 0)
    for n, (event, version, digest) in enumerate(
        (("hold", 2, "eval-1"), ("reject", 3, "eval-1"), ("hold", 3, "eval-2"))
    ):
        ledger.record(W, event, version, key=f"j{n}", actor="a", reason="", evaluation_digest=digest)
    ledger.record(W, "repair", 1, key="fix", actor="doctor", reason="alias", evaluation_digest="eval-1")
    assert [ledger.looks(W, digest) for digest in ("eval-1", "eval-2", "eval-3")] == [3, 1, 0]
    assert ledger.champion(W) == 1
    assert {e.generation for e in ledger.history(W)[4:]} == {1}


def test_the_same_comparison_again_is_no_further_look(ledger: Ledger) -> None:
    register(ledger, 1, 2, 3)
    promote(ledger, 1, 0)

    def hold(version: int, comparison: str, look: int, key: str) -> None:
        details = {"comparison": comparison, "look": look}
        ledger.record(W, "hold", version, key=key, actor="a", reason="", evaluation_digest="eval", details=details)

    assert ledger.look(W, "eval", "2 against 1") == 1
    hold(2, "2 against 1", 1, "k1")
    hold(2, "2 against 1", 1, "k1")  # the same key: one event
    hold(2, "2 against 1", 1, "k2")  # asked by name: the same look
    assert [ledger.look(W, "eval", c) for c in ("2 against 1", "3 against 1")] == [1, 2]
    assert ledger.looks(W, "eval") == 1 and ledger.look(W, "other", "3 against 1") == 1
    hold(3, "3 against 1", 2, "k3")
    assert ledger.looks(W, "eval") == 2


def test_of_two_judgements_side_by_side_one_gets_the_look(ledger: Ledger) -> None:
    """Both were concluded as the first look; the second to write must conclude again at what is left for it."""
    register(ledger, 1, 2, 3)
    promote(ledger, 1, 0)
    first, second = ({"comparison": f"{v} against 1", "look": 1} for v in (2, 3))
    ledger.record(W, "hold", 2, key="a", actor="a", reason="", evaluation_digest="eval", details=first)
    before = len(ledger.history(W))
    with pytest.raises(StaleLook, match="must be look 2 at the hold-out, got look 1") as caught:
        ledger.promote(W, 3, expected_generation=1, evaluation_digest="eval", report_sha256=None, key="b", actor="a",
                       reason="", details=second)  # fmt: skip
    assert (caught.value.code, caught.value.exit_code) == ("E_STALE_LOOK", 75)
    assert len(ledger.history(W)) == before and ledger.champion(W) == 1
    again = second | {"look": 2}
    ledger.promote(W, 3, expected_generation=1, evaluation_digest="eval", report_sha256=None, key="b", actor="a",
                   reason="", details=again)  # fmt: skip
    assert ledger.champion(W) == 3 and ledger.looks(W, "eval") == 2


def test_a_repair_may_concern_no_version_and_a_judgement_never(ledger: Ledger) -> None:
    register(ledger, 1)
    done = ledger.record("project", "repair", None, key="sweep", actor="doctor", reason="", details={"repairs": []})
    assert (done.version, done.generation) == (None, 0) and ledger.history("project") == [done]
    with pytest.raises(EquipoiseError, match="E_LEDGER_VERSION"):
        ledger.record(W, "hold", None, key="h", actor="a", reason="")
    with pytest.raises(EquipoiseError, match="E_LEDGER_VERSION"):
        ledger.record(W, "repair", 7, key="r", actor="a", reason="")
    assert ledger.verify().events == 2


CHANGES = {
    "sequence": 99,
    "workload": "other",
    "event": "reject",
    "version": 3,
    "replaced": 3,
    "evaluation_digest": None,
    "report_sha256": "00",
    "decision_key": "other",
    "actor": "mallory",
    "reason": "none",
    "details": '{"x":1}',
    "time": "2026-01-01T04:00:00.000001Z",
    "generation": 8,
    "previous_hash": "11" * 32,
    "hash": "22" * 32,
}


def tamper(target: str, *statements: str) -> None:
    """Changes the table as somebody with the file (or the owner's password) could: triggers switched off first."""
    if target.startswith("postgresql"):
        engine = create_engine(target.replace("postgresql://", "postgresql+psycopg://"))
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE equipoise_ledger DISABLE TRIGGER ALL"))
            for statement in statements:
                connection.execute(text(statement.replace(":", r"\:")))
        engine.dispose()
        return
    connection = sqlite3.connect(target)
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def literal(value: object) -> str:
    return "NULL" if value is None else str(value) if isinstance(value, int) else f"'{value}'"


@pytest.mark.parametrize("column", sorted(CHANGES))
def test_a_change_of_any_column_is_found_and_named(ledger: Ledger, target: str, column: str) -> None:
    register(ledger, 1, 2)
    promote(ledger, 1, 0)
    promote(ledger, 2, 1)
    ledger.record(W, "hold", 1, key="h", actor="a", reason="")
    tamper(target, f"UPDATE equipoise_ledger SET {column} = {literal(CHANGES[column])} WHERE sequence = 4")
    with pytest.raises(EquipoiseError, match=r"E_LEDGER_DAMAGED ledger event 4:") as caught:
        ledger.verify()
    assert caught.value.exit_code == 78


def test_a_damaged_champion_is_not_served(ledger: Ledger, target: str) -> None:
    register(ledger, 1, 2)
    promote(ledger, 1, 0)
    tamper(target, "UPDATE equipoise_ledger SET version = 2 WHERE sequence = 3")
    for read in (
        lambda: ledger.champion(W),
        lambda: ledger.state(W),
        lambda: ledger.history(W),
        lambda: promote(ledger, 2, 1),
    ):
        with pytest.raises(EquipoiseError, match="E_LEDGER_DAMAGED"):
            read()


def test_lost_events_are_found(ledger: Ledger, target: str) -> None:
    register(ledger, 1, 2, 3)
    whole = ledger.verify()
    tamper(target, "DELETE FROM equipoise_ledger WHERE sequence = 3")
    assert ledger.verify().events == 2  # a cut at the end leaves a whole chain ...
    with pytest.raises(EquipoiseError, match=r"E_LEDGER_DAMAGED ledger event 3: .* got nothing there"):
        ledger.verify(anchor=whole)  # ... which only somebody who remembers its end can tell
    tamper(target, "DELETE FROM equipoise_ledger WHERE sequence = 1")
    with pytest.raises(EquipoiseError, match="E_LEDGER_DAMAGED ledger event 1: events must be numbered without gaps"):
        ledger.verify()


def test_a_forged_promotion_with_right_hashes_is_found(ledger: Ledger, target: str) -> None:
    """Somebody who can compute the hashes still cannot make a promotion that replaces the wrong champion."""
    register(ledger, 1, 2)
    last = promote(ledger, 1, 0)
    forged = {k: v for k, v in last.__dict__.items() if k != "hash"} | {
        "sequence": 4,
        "version": 2,
        "replaced": None,
        "generation": 2,
        "decision_key": "forged",
        "previous_hash": last.hash,
    }
    forged["hash"] = event_hash(forged)
    columns = ", ".join(forged)
    tamper(
        target, f"INSERT INTO equipoise_ledger ({columns}) VALUES ({', '.join(literal(v) for v in forged.values())})"
    )
    with pytest.raises(
        EquipoiseError, match="ledger event 4: generation and replaced version must be 2 and 1, got 2 and None"
    ):
        ledger.verify()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE equipoise_ledger SET actor = 'mallory'",
        "DELETE FROM equipoise_ledger WHERE sequence = 1",
        "INSERT INTO equipoise_ledger SELECT 7, workload, event, version, replaced, evaluation_digest, report_sha256,"
        " 'k', actor, reason, details, time, generation, previous_hash, 'h' FROM equipoise_ledger",
    ],
)
def test_the_database_itself_refuses_changes(ledger: Ledger, target: str, statement: str) -> None:
    register(ledger, 1)
    url = target.replace("postgresql://", "postgresql+psycopg://") if "://" in target else f"sqlite:///{target}"
    engine = create_engine(url)
    with pytest.raises(DBAPIError, match="the ledger is append-only"), engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()
    assert ledger.verify().events == 1


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["promote", "rollback", "to", "release", "hold"]), st.integers(1, 4)), max_size=25
    )
)
def test_any_order_of_commands_leaves_a_ledger_that_verifies(
    tmp_path_factory: pytest.TempPathFactory, commands: list
) -> None:
    """The ledger against a plain list of champions, whatever is asked of it in whatever order."""
    with open_ledger(tmp_path_factory.mktemp("any") / "ledger.db", Clock()) as ledger:
        register(ledger, 1, 2, 3, 4)
        model: list[int] = []
        for n, (command, version) in enumerate(commands):
            generation = ledger.state(W).generation
            try:
                if command == "promote":
                    promote(ledger, version, generation, key=f"k{n}", automatic=False)
                    model.append(version)
                elif command == "rollback":
                    rollback(ledger, key=f"k{n}")
                    model.pop()
                elif command == "to":
                    rollback(ledger, to=version, key=f"k{n}")
                    last = max((i for i, v in enumerate(model[:-1]) if v == version), default=None)
                    model = [*model, version] if last is None else model[: last + 1]
                elif command == "release":
                    ledger.release(W, actor="a", reason="", key=f"k{n}")
                else:
                    ledger.record(W, "hold", version, key=f"k{n}", actor="a", reason="")
            except EquipoiseError as refusal:
                assert refusal.exit_code == 78
                assert ledger.state(W).generation == generation
            state = ledger.state(W)
            assert state.champion == (model[-1] if model else None)
            assert state.previous == (model[-2] if len(model) > 1 else None)
        assert ledger.verify().events == len(ledger.history(W))


def test_opening_again_needs_neither_alembic_nor_any_engine(tmp_path: Path) -> None:
    """`equipoise status` must answer within a second: nothing heavy may come with the ledger."""
    path = tmp_path / "ledger.db"
    open_ledger(path).close()
    code = (
        "import sys; from components.registry.ledger import open_ledger; "
        "open_ledger(sys.argv[1]).state('tool_calling'); "
        "heavy = {'alembic', 'mlflow', 'torch', 'numpy', 'scipy', 'polars', 'psycopg', 'prefect'} & set(sys.modules); "
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
