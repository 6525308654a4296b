"""One champion: processes that race to promote, and processes that are killed while they do."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from components.registry.ledger import Ledger, open_ledger
from tests.registry.postgres import postgres_server, postgres_url  # noqa: F401
from tests.registry.racers import PATIENCE, W, open_at_once, promote_until_killed, race

SPAWN = multiprocessing.get_context("spawn")
# Waves of short-lived processes: clean as spawned ones, but the imports are paid once.
FORKSERVER = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload(["tests.registry.racers", "sqlalchemy.dialects.postgresql.psycopg", "psycopg"])
RACERS = 4


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "ledger.db") if request.param == "sqlite" else request.getfixturevalue("postgres_url")


def registered(target: str, versions: int) -> None:
    with open_ledger(target) as ledger:
        for version in range(1, versions + 1):
            ledger.append_register(W, version, actor="test", key=f"r{version}", details={})


def check_history(ledger: Ledger, rounds: int, won: list[str]) -> None:
    """The checker: one promotion per generation, by exactly the racers that were told so, in an unbroken chain."""
    promotions = [e for e in ledger.history(W) if e.event == "promote"]
    assert [e.generation for e in promotions] == list(range(1, rounds + 1))
    assert sorted(e.decision_key for e in promotions) == sorted(won)
    assert [int(key.split("-")[1]) for key in (e.decision_key for e in promotions)] == list(range(rounds))
    assert [e.replaced for e in promotions] == [None, *(e.version for e in promotions[:-1])]
    assert ledger.state(W).champion == promotions[-1].version
    assert ledger.verify().events == len(ledger.history(W))


def run_race(target: str, rounds: int) -> set[str]:
    """Races, checks the history, and returns which racers won at least once."""
    registered(target, 2 * RACERS)
    with SPAWN.Manager() as manager:
        won, barrier = manager.list(), SPAWN.Barrier(RACERS)
        processes = [SPAWN.Process(target=race, args=(target, n, rounds, barrier, won)) for n in range(RACERS)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [p.exitcode for p in processes] == [0] * RACERS
        winners = list(won)
    with open_ledger(target) as ledger:
        check_history(ledger, rounds, winners)
    return {key.split("-")[0] for key in winners}


@pytest.mark.timeout(300)
def test_200_races_have_exactly_one_winner_each(target: str) -> None:
    winners = run_race(target, 200)
    assert len(winners) > 1, "one process won every round: this was no race"


@pytest.mark.torture
@pytest.mark.timeout(7200)
def test_thousands_of_races_have_exactly_one_winner_each(target: str) -> None:
    winners = run_race(target, 2_000 if target.startswith("postgresql") else 10_000)
    assert len(winners) > 1


def kill_promoters(target: str, waves: int) -> None:
    """Waves of three processes that promote until SIGKILL; after every wave the ledger must be whole and go on."""
    registered(target, 4)
    generation = 0
    for wave in range(waves):
        ready = FORKSERVER.Event()
        arguments = [(target, 3 * wave + n, ready) for n in range(3)]
        processes = [FORKSERVER.Process(target=promote_until_killed, args=a) for a in arguments]
        for process in processes:
            process.start()
        ready.set()
        for process in processes:
            process.join(PATIENCE)
        assert [p.exitcode for p in processes] == [-9] * 3
        with open_ledger(target) as ledger:
            verified = ledger.verify()
            state = ledger.state(W)
            assert verified.events == 4 + state.generation, "half an event, or a promotion lost"
            assert state.generation >= generation
            generation = state.generation
    assert generation > waves, "no promotion got through: nothing was tested"


@pytest.mark.timeout(300)
def test_kills_during_promotion_leave_a_whole_ledger(target: str) -> None:
    kill_promoters(target, 6)


@pytest.mark.torture
@pytest.mark.timeout(7200)
def test_hundreds_of_kills_during_promotion_leave_a_whole_ledger(target: str) -> None:
    kill_promoters(target, 100)


@pytest.mark.timeout(300)
def test_processes_that_create_the_ledger_at_once_agree_on_one(target: str) -> None:
    with FORKSERVER.Manager() as manager:
        sequences, barrier = manager.list(), FORKSERVER.Barrier(RACERS)
        processes = [FORKSERVER.Process(target=open_at_once, args=(target, barrier, sequences)) for _ in range(RACERS)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(PATIENCE)
        assert [p.exitcode for p in processes] == [0] * RACERS
        assert sorted(sequences) == list(range(1, RACERS + 1))
    with open_ledger(target) as ledger:
        assert ledger.verify().events == RACERS
