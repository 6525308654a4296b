"""Campaigns over the toy's two weights, whole and killed: `python -m tests.tuning.toy_campaign KIND KILLS FOLDER`.

KIND is `plain`, or an engine whose campaign has a screen with a rung at which most candidates stop.

A process of its own: it imports torch and Optuna once, computes nothing itself, and forks a child for each campaign. A
child dies by SIGKILL at a chosen operation: a change of a file of its campaign or a statement of its database.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from dataclasses import asdict
from pathlib import Path

import sqlalchemy
import torch._dynamo  # noqa: F401  optimizers import it at their first step: once here instead of in every child

from components.config import TuningConfig
from components.tuning.campaign import Campaign, run
from tests.training import toy

TOTAL = 4


class TunedToy(toy.ToySection):
    tuning: TuningConfig


def section(**tuning) -> TunedToy:
    values = toy.section(training__epochs=1).model_dump(mode="json")
    values["tuning"] = {
        "candidates": TOTAL, "epochs": 2, "seed": 5, "sampler": "tpe", "objectives": ["objective", "above/accuracy"],
        "engine": "processes", "wave": 1, "screen": None, "closing": {"candidates": 1, "seeds": 3},
        "space": {"above.weight": [0.1, 10.0], "size.weight": [0.05, 5.0]},
    } | tuning  # fmt: skip
    return TunedToy.model_validate(values)


def screened(engine: str, **tuning) -> TunedToy:
    """Three epochs, in which what is ahead at the first rung stops all that is behind, then four for the best two."""
    screen = {"epochs": 3, "changes": {"model.width": 8}, "rungs": [1, 2], "margin": 0.0, "full": 2, "agreement": 0.5}
    space = {"above.weight": [0.001, 10.0], "size.weight": [0.0005, 5.0]}
    wave = 3 if engine == "batched" else 1
    return section(epochs=4, engine=engine, wave=wave, screen=screen, space=space, **tuning)


def settings_of(kind: str) -> TunedToy:
    return section() if kind == "plain" else screened(kind)


def campaign(prepared: Path, state: Path, total: int = TOTAL, settings: TunedToy | None = None, **more) -> Campaign:
    return run(
        toy.WORKLOAD, settings or section(), prepared, state, project="toys", total=total, device="cpu",
        say=more.pop("say", lambda line: None), **more,
    )  # fmt: skip


def in_child(prepared: Path, state: Path, settings: TunedToy, die_at: int | None) -> bool:
    """Forks a child that runs the campaign; returns whether it was killed. What it found lies in STATE.json."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(f"{state}.err", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        try:
            count = _count_operations(str(state), die_at)
            found = campaign(prepared, state, settings=settings)
            candidates = [plain(each) for each in found.candidates]
            full = None if found.full is None else [plain(each) for each in found.full]
            document = {"operations": count[0], "candidates": candidates, "full": full}
            Path(f"{state}.json").write_text(json.dumps(document))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, Path(f"{state}.err").read_text()
    return False


def plain(candidate) -> dict:
    return {key: value for key, value in asdict(candidate).items() if key != "cpu_seconds"}


def _count_operations(folder: str, die_at: int | None) -> list[int]:
    count = [0]

    def step(*_: object, **__: object) -> None:
        count[0] += 1
        if count[0] == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(name: str, arguments: tuple[object, ...]) -> None:
        if name in ("open", "os.rename", "os.remove", "os.truncate") and str(arguments[0]).startswith(folder):
            step()

    sys.addaudithook(hook)
    for moment in ("before_cursor_execute", "commit"):
        sqlalchemy.event.listen(sqlalchemy.engine.Engine, moment, step)
    return count


def main(kind: str, kills: int, folder: Path) -> None:
    settings = settings_of(kind)
    prepared = toy.prepare(settings, folder / "prepared")
    assert not in_child(prepared, folder / "whole", settings, None)
    whole = json.loads((folder / "whole.json").read_text())
    done = 0
    for index in range(kills):
        state = folder / f"killed-{index}"
        share = (index + 0.5) / kills
        assert in_child(prepared, state, settings, int(whole["operations"] * share) + 1)
        done += 1 + in_child(prepared, state, settings, 60)  # again, soon after it went on, unless little was left
        assert not in_child(prepared, state, settings, None)
        found = json.loads((folder / f"killed-{index}.json").read_text())
        for part in ("candidates", "full"):
            assert found[part] == whole[part], f"kill {index}, {part}: {found[part]}"
    print(json.dumps({**whole, "kills": done}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
