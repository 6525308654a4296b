"""Studies over the toy, whole and killed: `python -m tests.tuning.toy_study KILLS FOLDER`.

Its scores are real: the trained network says of every validation row whether its sum lies above 0, rows of one
conversation are five neighbours. Children are forked and die by SIGKILL at a chosen change of a file.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib.figure  # noqa: F401  once here instead of in every child
import numpy as np
import polars as pl
import torch
import torch._dynamo  # optimizers import it at their first step: once here instead of in every child
from safetensors.torch import load_file

from components.config_parts import EvaluationConfig, GateConfig, LossConfig, StudyConfig, TermConfig
from components.data import strict_json
from components.tuning.study import Study, run
from components.tuning.study_report import conclude
from tests.training import toy

SETTINGS = {"full": {}, "almost full": {"loss.size.weight": 0.5001}, "sizes": {"loss.above.weight": 0}}
TIMES = ("cpu_seconds", "files", "folder")  # of a document: what differs between two ways to the same result


class StudiedLoss(LossConfig):
    above: TermConfig
    size: TermConfig


class StudiedToy(toy.ToySection):
    loss: StudiedLoss  # pyright: ignore[reportIncompatibleVariableOverride]
    evaluation: EvaluationConfig
    gate: GateConfig
    study: StudyConfig


def section(**study: Any) -> StudiedToy:
    values = toy.section(training__epochs=1).model_dump(mode="json")
    values["study"] = {
        "seeds": [1, 2, 3], "epochs": 2, "reference": "full", "leave_one_out": False,
        "metrics": ["above/accuracy"], "settings": SETTINGS,
    } | study  # fmt: skip
    values["evaluation"] = {
        "resamples": 400, "confidence": 0.95, "seed": 11, "calibration_bins": 5, "minimum_slice": 5
    }  # fmt: skip
    head = {"head": "above", "metric": "accuracy", "role": "primary", "margin": 0.1, "direction": "higher"}
    values["gate"] = {
        "policy": "improve", "alpha": 0.05, "resamples": 200, "seed": 1, "cluster": "conversation", "heads": [head]
    }  # fmt: skip
    return StudiedToy.model_validate(values)


def samples(prepared: Path, split: str) -> list[tuple[int, np.ndarray]]:
    return list(enumerate(np.load(prepared / f"{split}.npy"))) if (prepared / f"{split}.npy").is_file() else []


def load(folder: Path) -> Any:
    recipe = strict_json.read(folder / "model.json")["section"]
    model = toy.Recursive(toy.ToyModel.model_validate(recipe["model"])).eval()
    model.load_state_dict(load_file(folder / "model.safetensors"))

    def predict(rows: list[tuple[int, np.ndarray]]) -> list[bool]:
        with torch.no_grad():
            *_, last = model(torch.from_numpy(np.stack([row for _, row in rows])))
        return [bool(logit > 0) for logit in last["above_logits"]]

    return SimpleNamespace(predict=predict)


def score(rows: list[tuple[int, np.ndarray]], said: list[bool]) -> pl.DataFrame:
    hits = [float((row.sum() > 0) == each) for (_, row), each in zip(rows, said, strict=True)]
    return pl.DataFrame(
        {
            "id": [str(i) for i, _ in rows],
            "conversation": [f"c{i // 5}" for i, _ in rows],
            "above/accuracy/hit": hits,
            "above/accuracy/of": [1.0] * len(hits),
            "above/error/hit": [1 - hit for hit in hits],
            "above/error/of": [1.0] * len(hits),
        }
    )


WORKLOAD = dataclasses.replace(toy.WORKLOAD, load=load, samples=samples, score=score)


def prepare(folder: Path) -> Path:
    """The toy's data with 400 rows in each split that may judge."""
    made, draw = toy.prepare(section(), folder), np.random.default_rng(6)
    for split in ("validation", "test"):
        np.save(made / f"{split}.npy", draw.normal(size=(400, toy.FEATURES)).astype(np.float32))
    (made / "manifest.json").unlink()
    toy.write_manifest(made, {})
    return made


def study(prepared: Path, state: Path, settings: StudiedToy | None = None, said: list[str] | None = None,
          workload: Any = WORKLOAD, **more: Any) -> Study:  # fmt: skip
    say = said.append if said is not None else (lambda line: None)
    return run(workload, settings or section(), prepared, state, project="toys", device="cpu", say=say, **more)


def plain(value: Any) -> Any:
    """A document without what two ways to the same result need not share: times and folders."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items() if key not in TIMES}
    return [plain(each) for each in value] if isinstance(value, list) else value


def in_child(prepared: Path, state: Path, die_at: int | None) -> bool:
    """Forks a child that runs and concludes the study; returns whether it was killed. What it says is STATE.json."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(f"{state}.err", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        try:
            count = _count_changes(str(state), die_at)
            document = conclude(study(prepared, state))
            Path(f"{state}.json").write_text(json.dumps({"changes": count[0], "document": document}))
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


def _count_changes(folder: str, die_at: int | None) -> list[int]:
    count = [0]

    def hook(name: str, arguments: tuple[object, ...]) -> None:
        if name in ("open", "os.rename", "os.remove", "os.truncate") and str(arguments[0]).startswith(f"{folder}/"):
            count[0] += 1
            if count[0] == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return count


def main(kills: int, folder: Path) -> None:
    prepared = prepare(folder / "prepared")
    assert not in_child(prepared, folder / "whole", None)
    whole = json.loads((folder / "whole.json").read_text())
    done = 0
    for index in range(kills):
        state = folder / f"killed-{index}"
        assert in_child(prepared, state, int(whole["changes"] * (index + 0.5) / kills) + 1)
        done += 1 + in_child(prepared, state, 90)  # a second kill, soon after it went on
        assert not in_child(prepared, state, None)
        found = json.loads((folder / f"killed-{index}.json").read_text())
        assert plain(found["document"]) == plain(whole["document"]), f"kill {index}: {found['document']}"
    print(json.dumps({"kills": done, "changes": whole["changes"], "document": whole["document"]}))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
