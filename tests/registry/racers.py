"""What a racing process does: promotes against the generation it saw, and dies at a random moment when told to.

A module of its own, so that spawned processes import no test.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
from multiprocessing.synchronize import Barrier, Event

from components.registry.ledger import StaleChampion, open_ledger

W = "tool_calling"
PATIENCE = 120.0  # seconds to wait for the others before the race counts as hung


def race(target: str, racer: int, rounds: int, barrier: Barrier, won: list[str]) -> None:
    """In each round all racers promote a version of their own against the same generation; notes who won."""
    with open_ledger(target) as ledger:
        for generation in range(rounds):
            barrier.wait(PATIENCE)
            version = 1 + racer + (generation % 2) * barrier.parties  # never the version that is champion
            try:
                ledger.promote(
                    W,
                    version,
                    expected_generation=generation,
                    evaluation_digest="eval",
                    report_sha256="0" * 64,
                    key=f"{racer}-{generation}",
                    actor=f"racer-{racer}",
                    reason="race",
                )
                won.append(f"{racer}-{generation}")
            except StaleChampion as refusal:
                assert refusal.exit_code == 75
            barrier.wait(PATIENCE)


def promote_until_killed(target: str, seed: int, ready: Event) -> None:
    """Promotes as fast as it can, judging again whenever it was too late, until its own SIGKILL hits it."""
    chance = random.Random(seed)
    with open_ledger(target) as ledger:
        ready.wait(PATIENCE)
        last = chance.randint(1, 12)  # the promotion after which death comes, at some moment of the next ones
        for attempt in itertools.count():
            if attempt == last:
                threading.Timer(chance.uniform(0, 0.01), os.kill, (os.getpid(), signal.SIGKILL)).start()
            state = ledger.state(W)
            version = 1 + (state.generation + 1) % 4
            key = f"{seed}-{state.generation}"
            try:
                ledger.promote(
                    W,
                    version,
                    expected_generation=state.generation,
                    evaluation_digest=None,
                    report_sha256=None,
                    key=key,
                    actor="racer",
                    reason="",
                )
            except StaleChampion:
                continue


def open_at_once(target: str, barrier: Barrier, revisions: list[int]) -> None:
    """Opens a ledger that does not exist yet at the same moment as the others and writes one event."""
    barrier.wait(PATIENCE)
    with open_ledger(target) as ledger:
        event = ledger.append_register(W, os.getpid(), actor="racer", key=f"r{os.getpid()}", details={})
        revisions.append(event.sequence)
