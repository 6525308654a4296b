"""A retraining killed again and again, in every stage: run again it ends as an undisturbed one, and leaves no trace."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.config_edit import edit
from components.files import sha256_tree
from components.registry import tracking
from components.registry.ledger import open_ledger
from flows import doctor, provenance, stages
from flows.lineage import JUDGEMENTS
from flows.present import STATUS
from flows.scheduling import server
from flows.state import Place, at_work, exclusive, make_state
from tests.flows.projects import ROOT, real_project, train_here

W = "tool_calling"
PARTS = ("generate", "prepare", "train", "evaluate", "register", "gate", "promote")
STEPS = ("training.batch_tokens=1500", "training.checkpoint_every=2")
PROMOTED = ("data.embedded_conversations=120", "gate.policy=refresh", "gate.alpha=0.4")
OPEN = ("PENDING", "RUNNING", "CANCELLING")
MANY, MORE = 100, 20  # kills from which on every part must have been hit, and how many follow where one was not
KILLED, RUNNING = -9, "attributes.status = 'RUNNING'"

Live = Callable[[float | None, bool], int]


def quiet(_line):
    pass


def project(folder: Path) -> Place:
    """One whose candidates are promoted where a look at few conversations can show it: margins of nine tenths."""
    place = Place(real_project(folder), folder / ".equipoise")
    edit(place.params, W, (*STEPS, *PROMOTED))
    text = place.params.read_text()
    place.params.write_text(re.sub(r"margin: 0\.\d+, direction", "margin: 0.9, direction", text))
    return place


@contextlib.contextmanager
def living(place: Place, address: str) -> Iterator[Live]:
    """`live(seconds, everything)`: the exit status of a life of `equipoise retrain`, after all it started has ended."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_", "EQUIPOISE_"))}
    wanted = {"PREFECT_API_URL": address, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.flows.lives", str(place.state)], cwd=place.project, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, env=keep | wanted | {"EQUIPOISE_DEVICE": "cpu"},
    )  # fmt: skip
    asked = {"arguments": ["retrain", W, "--json"], "log": str(place.project.parent / "life")}
    assert process.stdin and process.stdout and process.stdout.readline() == "ready\n"

    def live(seconds: float | None, everything: bool) -> int:
        assert process.stdin and process.stdout
        print(json.dumps(asked | {"seconds": seconds, "all": everything}), file=process.stdin, flush=True)
        answer = process.stdout.readline()
        assert answer, "something outlived the command"
        return json.loads(answer)["status"]

    try:
        yield live
    finally:
        process.kill()
        process.communicate()


@dataclass
class Killer:
    """Chooses when the next life ends: at any moment of a time that grows while nothing gets done, and else shrinks."""

    chance: random.Random
    wanted: int
    seconds: float = 10.0

    def moment(self) -> float | None:
        """Seconds until the kill; None where there were enough."""
        return self.chance.uniform(0, self.seconds) if self.wanted else None

    def killed(self, progress: bool) -> None:
        self.wanted -= 1
        self.seconds *= 0.6 if progress else 1.15


def part(place: Place) -> str:
    """What the next life has to begin with; `promote` is all that comes after the gate's word is in the ledger."""
    if left := stages.stale(place, W, stages.needed(place, W)):
        return left[0]
    version = version_of(place, provenance.candidate_digest(place, W))
    if version is None:
        return "register"
    return "promote" if judgements(place, version) else "gate"


def events(place: Place) -> list[dict[str, Any]]:
    """The ledger's events of the workload, after its chain was verified."""
    if not place.ledger_exists():
        return []
    with open_ledger(place.ledger) as ledger:
        ledger.verify()
        return [event.document() for event in ledger.history(W)]


def judgements(place: Place, version: int) -> list[str]:
    return [each["event"] for each in events(place) if each["version"] == version and each["event"] in JUDGEMENTS]


def version_of(place: Place, digest: str) -> int | None:
    found = [e["version"] for e in events(place) if e["details"].get("model_digest") == digest]
    assert len(found) <= 1, f"one model, registered {len(found)} times"
    return found[0] if found else None


def retrained(place: Place, live: Live, killer: Killer) -> Counter[str]:
    """Lives until one ends by itself; how many were killed in each part."""
    kills: Counter[str] = Counter()
    while True:
        before, seconds = part(place), killer.moment()
        status = live(seconds, killer.chance.random() < 0.5)
        log = place.project.parent / "life"
        if status != KILLED:
            assert status in (STATUS["PROMOTE"], STATUS["HOLD"]), log.with_suffix(".err").read_text()[-3000:]
            return kills
        kills[now := part(place)] += 1
        print(f"killed in {now}, after {seconds:.1f} s")
        killer.killed(PARTS.index(now) > PARTS.index(before))


def left_open(place: Place, address: str) -> dict[str, Any]:
    """What says that it runs, by system, though nothing does."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    store = tracking.open_store(place.state, place.config().project)
    mlflow = tracking.client(store)
    experiments = [each.experiment_id for each in mlflow.search_experiments()]
    found: dict[str, Any] = {"mlflow": [run.info.run_id for run in mlflow.search_runs(experiments, RUNNING)]}
    with temporary_settings({PREFECT_API_URL: address}), get_client(sync_client=True) as client:
        for kind in ("flow_runs", "task_runs"):
            wanted = {kind: {"state": {"type": {"any_": OPEN}}}}
            found[kind] = client.request("POST", f"/{kind}/count", json=wanted).json()  # type: ignore[arg-type]
    return found


def whole(place: Place, twin: Place, address: str) -> None:
    """Every system agrees, nothing is open, one promotion a candidate, and the bytes are those of the twin."""
    mended = doctor.run(place, True, quiet)
    assert doctor.status(mended) == 0, mended
    assert doctor.run(place, False, quiet) == {"findings": [], "notes": []}
    assert left_open(place, address) == {"mlflow": [], "flow_runs": 0, "task_runs": 0}
    assert not at_work(place, W)
    with exclusive(place, W):
        promoted = Counter(event["version"] for event in events(place) if event["event"] == "promote")
    version = version_of(place, provenance.servable_digest(twin.checkpoint(W)))
    assert version is not None and max(promoted.values()) == 1
    (judged,) = judgements(place, version)
    with open_ledger(place.ledger) as ledger:
        assert (ledger.champion(W) == version) == (judged == "promote")
    for folder in (Place.prepared, Place.checkpoint):
        assert sha256_tree(folder(place, W)) == sha256_tree(folder(twin, W))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends children with their parent on Linux only")
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("kills", [3, pytest.param(300, marks=pytest.mark.torture)])
def test_killed_at_random_moments_a_retraining_ends_as_if_it_had_not_been(tmp_path, monkeypatch, kills):
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "EQUIPOISE_DATABASE_URL", "EQUIPOISE_STATE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EQUIPOISE_DEVICE", "cpu")
    place, twin = project(tmp_path / "killed" / "project"), project(tmp_path / "twin")
    servers = Place(tmp_path, tmp_path / "servers")
    for each in (place, servers):
        make_state(each)
    counted, killer, seed = Counter(), Killer(random.Random(kills), kills), 0
    with server(servers) as address, living(place, address) as live:
        while (left := kills - counted.total()) > 0 or (kills > MANY and set(counted) != set(PARTS)):
            killer.wanted, seed = left if left > 0 else MORE, seed + 1
            for each in (place, twin):
                edit(each.params, W, [f"training.seed={seed}", f"data.seed={seed}"])
            counted += retrained(place, live, killer)
            train_here(twin, W)
            whole(place, twin, address)
    print(dict(counted), f"{seed} retrainings")
