"""Processes that work on one campaign over the toy: `python -m tests.tuning.toy_workers SCENE FOLDER SOCKETS URL`.

A process of its own imports torch and Optuna once and forks a child for each worker. What happens when, is decided by
files: a child that has come to a point makes one, another waits for it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch._dynamo  # noqa: F401  optimizers import it at their first step: once here instead of in every child

from components.tuning import storage
from components.tuning.campaign import run
from tests.registry.postgres import running
from tests.training import toy
from tests.tuning.toy_campaign import plain, section

TOTAL, SECONDS = 5, 120.0
storage.BEAT_SECONDS, storage.GRACE_SECONDS = 1, 3
Hook = Callable[[int, int], None]  # (how many epochs were begun, epoch)


class Scene:
    """A folder of marks, the prepared data and the children that were forked."""

    def __init__(self, name: str, folder: Path, url: str) -> None:
        self.name, self.folder, self.url = name, folder, url
        self.prepared = toy.prepare(section(), folder / "prepared")
        self.children: dict[str, int] = {}

    def mark(self, name: str) -> None:
        (self.folder / name).touch()

    def wait(self, name: str) -> None:
        end = time.monotonic() + SECONDS
        while not (self.folder / name).exists():
            assert time.monotonic() < end, f"{name} never happened"
            time.sleep(0.02)

    def begin(self, name: str, state: str, hook: Hook, worker: bool) -> None:
        """Forks a worker whose training calls the hook before each epoch; what it found lies in NAME.json."""
        child = os.fork()
        if child:
            self.children[name] = child
            return
        os.dup2(os.open(self.folder / f"{name}.err", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        try:
            begun: list[int] = []

            def batches(settings, prepared, split, epoch):
                if not begun or begun[-1] != epoch:  # an epoch asks twice
                    begun.append(epoch)
                    hook(len(begun), epoch)
                return toy.batches(settings, prepared, split, epoch)

            lines: list[str] = []
            found = run(
                dataclasses.replace(toy.WORKLOAD, batches=batches), section(), self.prepared, self.folder / state,
                project="toys", total=None if worker else TOTAL, address=self.url, device="cpu", say=lines.append,
                worker=worker, name=self.name,
            )  # fmt: skip
            candidates = [plain(each) for each in found.candidates]
            document = {"candidates": candidates, "lines": lines, "epochs": begun}
            (self.folder / f"{name}.json").write_text(json.dumps(document))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)

    def end(self, name: str) -> dict | None:
        """What a child found, None of one that was killed."""
        _, status = os.waitpid(self.children.pop(name), 0)
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL
            return None
        assert os.WEXITSTATUS(status) == 0, (self.folder / f"{name}.err").read_text()
        return json.loads((self.folder / f"{name}.json").read_text())


def nothing(count: int, epoch: int) -> None:
    pass


def die(count: int, epoch: int) -> None:
    """In the second epoch, when the first one is in the checkpoint."""
    if count == 2:
        os.kill(os.getpid(), signal.SIGKILL)


def elsewhere(scene: Scene) -> dict:
    """A leader, a helper that comes late, and one that dies, each with a state folder of its own."""

    def leads(count: int, epoch: int) -> None:
        if count == 1:
            scene.mark("led")
            scene.wait("helped")

    def helps(count: int, epoch: int) -> None:
        scene.mark("helped")

    scene.begin("leader", "a", leads, worker=False)
    scene.wait("led")
    scene.begin("victim", "b", die, worker=True)
    assert scene.end("victim") is None
    scene.begin("late", "c", helps, worker=True)
    return {"leader": scene.end("leader"), "late": scene.end("late")}


def shared(scene: Scene) -> dict:
    """The leader dies in its first candidate, a helper in the same folder goes on from the checkpoint."""
    scene.begin("victim", "a", die, worker=False)
    assert scene.end("victim") is None
    scene.begin("helper", "a", nothing, worker=True)
    helper = scene.end("helper")
    scene.begin("leader", "a", nothing, worker=False)
    return {"helper": helper, "leader": scene.end("leader")}


def restarted(scene: Scene, sockets: Path) -> dict:
    """The database server is away when a candidate is told, and comes back."""

    def leads(count: int, epoch: int) -> None:
        if count == 3:  # the second candidate
            scene.mark("begun")
            scene.wait("away")

    with running(sockets, signal.SIGINT):  # restarted, not crashed: what was committed is there again
        scene.begin("leader", "a", leads, worker=False)
        scene.wait("begun")
    scene.mark("away")
    time.sleep(2.0)  # the candidate is told meanwhile
    with running(sockets):
        return {"leader": scene.end("leader")}


def main(name: str, folder: Path, sockets: Path, url: str) -> None:
    scene = Scene(name, folder, url)
    if name == "restarted":
        found = restarted(scene, sockets)
    else:
        with running(sockets):
            found = {"elsewhere": elsewhere, "shared": shared}[name](scene)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
