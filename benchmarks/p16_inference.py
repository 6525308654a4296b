"""P16: raw requests answered together against one at a time, and what halting saves. Goals: 5x; 30% of the steps.

The model is that of a trained folder, asked about dialogues that it has not seen; without one, a model of the recipe of
`make run` is trained first, but with four supervision steps. A raw request is a line of JSON, read and tokenised anew
by both sides. Together, requests of one conversation share a pass and rows of like length a batch; alone, each is
called for by itself. Halting is compared with the same model held to its last step: accuracy is equal where no head of
the gate can be more than its margin worse.

    python -m benchmarks.p16_inference [--fast] [--model checkpoints/tool_calling --dialogues FOLDER_OR_ARCHIVE]
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from benchmarks.harness import Result, alternate, report
from components.config import ToolCallingConfig, load_config
from components.config_edit import edit
from components.evaluation.statistics import paired_differences
from components.training.loop import train
from components.workload import workload
from components.workloads.tool_calling.dialogues import Prediction, Sample
from components.workloads.tool_calling.generator import write_dialogues
from components.workloads.tool_calling.labelled import labelled
from components.workloads.tool_calling.predict import TrmPredictor
from flows.tour import RECIPE, WORKLOAD

ROOT = Path(__file__).parents[1]
RECORD = workload(WORKLOAD)
REQUESTS, TIMED, ALONE, EPOCHS = 10_000, 2_048, 64, 3
FAST = (2_000, 512, 32, 1)  # the same for --fast
STEPS = 4
FASTER, SAVED = 5.0, 0.3


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.p16_inference")
    parser.add_argument("--fast", action="store_true", help="fewer requests and epochs")
    parser.add_argument("--model", type=Path, help="a trained folder")
    parser.add_argument("--dialogues", type=Path, help="labelled, and not seen by that model")
    asked = parser.parse_args()
    if (asked.model is None) != (asked.dialogues is None):
        parser.error("--model and --dialogues go together")
    return asked


def learnt(folder: Path, epochs: int) -> None:
    """Generates and prepares dialogues below `folder`, trains on them, and writes others of another seed."""
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    ours = (f"data.source={folder / 'raw'}", f"model.supervision_steps={STEPS}", f"training.epochs={epochs}")
    edit(folder / "params.yaml", WORKLOAD, [*RECIPE, *ours])
    section = load_config(folder / "params.yaml").tool_calling
    RECORD.generate(section, folder / "raw")
    RECORD.prepare(section, folder / "prepared")
    train(RECORD, section, folder / "prepared", folder / "model")
    write_dialogues(section.data.seed + 1, section.data.embedded_conversations, folder / "unseen")


def opened(model: Path, dialogues: Path, section: ToolCallingConfig, count: int) -> tuple[TrmPredictor, list[Sample]]:
    """The model, and the first `count` labelled decisions."""
    predictor = RECORD.load(model)
    assert isinstance(predictor, TrmPredictor), f"{model} holds no recursive model"
    return predictor, list(islice(labelled(section, dialogues), count))


def together(predictor: TrmPredictor, lines: Sequence[str]) -> list[Prediction]:
    return predictor.predict([RECORD.read_request(json.loads(line), "request") for line in lines])


def alone(predictor: TrmPredictor, lines: Sequence[str]) -> list[Prediction]:
    return [together(predictor, [line])[0] for line in lines]


def same(ours: Prediction, theirs: Prediction) -> bool:
    """Whether both ways lead to one answer, but for the order in which numbers are added."""
    names = ("tool", "intent", "steps")
    close = abs(ours.decision_probability - theirs.decision_probability) < 1e-4
    return close and all(getattr(ours, name) == getattr(theirs, name) for name in names)


def halting(section: ToolCallingConfig, predictor: TrmPredictor, samples: list[Sample]) -> dict[str, Any]:
    """Share of steps saved, each head's difference (95%), and whether none is worse by more than its margin."""
    held = replace(predictor, settings=predictor.settings.model_copy(update={"halt_threshold": 1.0}))
    early, late = (RECORD.score(samples, each.predict(samples)) for each in (predictor, held))
    heads = section.gate.heads
    steps, all_steps = (table["steps"].to_numpy() for table in (early, late))
    hits, of, other = (
        np.column_stack([table[f"{h.head}/{h.metric}/{kind}"].cast(pl.Float64).to_numpy() for h in heads])
        for table, kind in ((early, "hit"), (early, "of"), (late, "hit"))
    )
    clusters = early["conversation"].rank("dense").to_numpy().astype(np.int64) - 1
    pairs = paired_differences(hits, of, other, of, clusters, 2000, 0.95, 1)
    return {
        "steps": float(steps.mean()),
        "steps_saved": 1 - float(steps.sum() / all_steps.sum()),
        "accuracy": {h.head: round(float(hits[:, i].sum() / of[:, i].sum()), 4) for i, h in enumerate(heads)},
        "difference": {h.head: [round(v, 4) for v in (p.low, p.high)] for h, p in zip(heads, pairs, strict=True)},
        "equal": all(pair.low >= -head.margin for head, pair in zip(heads, pairs, strict=True)),
    }


def main() -> None:
    """Checks that both ways answer alike, times them, counts steps, prints the line."""
    torch.set_num_threads(1)
    asked = arguments()
    requests, timed, lone, epochs = FAST if asked.fast else (REQUESTS, TIMED, ALONE, EPOCHS)
    section = load_config(ROOT / "params.yaml").tool_calling
    with tempfile.TemporaryDirectory() as name:
        if asked.model is None:
            learnt(Path(name), epochs)
        model, dialogues = asked.model or Path(name) / "model", asked.dialogues or Path(name) / "unseen" / "train.jsonl"
        predictor, samples = opened(model, dialogues, section, requests)
    lines = [json.dumps(RECORD.request(sample)) for sample in samples]
    many, few = lines[:timed], lines[:lone]
    alike = sum(same(*each) for each in zip(together(predictor, many), alone(predictor, few), strict=False))
    assert alike >= 0.95 * len(few), f"only {alike} of {len(few)} answers are alike"
    ours, theirs = alternate(lambda: together(predictor, many), lambda: alone(predictor, few), rounds=5)
    found = halting(section, predictor, samples)
    each, each_alone = ours.median / len(many), theirs.median / len(few)
    report(
        Result(
            name="P16 inference",
            ratio=each_alone / each,
            goal=f">= {FASTER:g}x one at a time; halting saves >= {SAVED:.0%} of the steps at equal accuracy",
            passed=bool(each_alone >= FASTER * each and found["steps_saved"] >= SAVED and found["equal"]),
            ours=each * 1e3,
            theirs=each_alone * 1e3,
            unit="CPU ms a request",
            note=f"{len(many)} raw requests together, {len(few)} one at a time, {alike} of those answered alike; "
            f"steps over {len(lines)} decisions, at most {predictor.settings.supervision_steps} each",
            extra=found,
        )
    )


if __name__ == "__main__":
    main()
