"""P2: a campaign of 30 candidates against the ways there were before it, by CPU at the same final quality.

Ours: a short, narrow screen of all candidates as one stack, of which the beaten stop early, then the best few and the
default at full length. The peers train one candidate after another at full length, with Optuna alone and the mean of
the objectives as their one value: TPE, TPE with the median pruner, random search. All choose on validation among the
same ranges; the quality is that of the chosen model on the test split. The closing comparison with fresh seeds, which
no peer has, is left out on all sides.

    python -m benchmarks.p2_campaign [--seeds 10] [--epochs 4]
    python -m benchmarks.p2_campaign --dialogues FOLDER --every 128 --test-every 16 --validation 0.25 \
        --widths 64 16 --heads 1 --epochs 10 --screen-epochs 1 --full 1 --peers tpe --seeds 10

The second form takes every n-th dialogue of each file of the published Schema-Guided Dialogue archives.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from scipy.stats import ttest_1samp

from benchmarks.harness import Result, report
from components.config import load_config
from components.training.loop import train
from components.tuning import campaign
from components.tuning.pareto import best
from components.tuning.space import knobs, with_weights
from components.tuning.trial import objectives_of
from components.workload import Workload, workload
from components.workloads.tool_calling.sgd_files import origins, split_name

ROOT = Path(__file__).parents[1]
GOAL = 8.0
CANDIDATES = 30
TOLERANCE = 0.03  # of the mean of three accuracies on the test split
CONVERSATIONS = 60
PEERS = ("tpe", "median", "random")

Outcome = tuple[float, float]  # CPU seconds, quality


def section(folder: Path, given: argparse.Namespace) -> Any:
    """A small model; the seeds are set for each run."""
    values = load_config(ROOT / "params.yaml").tool_calling.model_dump(mode="json")
    values["data"] |= {"embedded_conversations": CONVERSATIONS, "source": str(folder / "raw"), "vocabulary": 600,
                       "validation_share": given.validation}  # fmt: skip
    values["model"] |= {"width": given.widths[0], "layers": given.layers, "attention_heads": given.heads}
    values["training"] |= {"epochs": given.epochs, "patience": given.epochs, "batch_tokens": 1000,
                           "learning_rate": 3e-3, "ema": 0.95, "warmup_share": 0.15, "clip_norm": 0.5, "compile": False,
                           "threads": 1}  # fmt: skip
    changes = {"model.width": given.widths[1], "model.layers": 1}
    screen = {"epochs": given.screen_epochs, "changes": changes, "margin": 0.02, "full": given.full,
              "rungs": list(range(1, given.screen_epochs)), "agreement": -1.0}  # fmt: skip
    values["tuning"] |= {"epochs": given.epochs, "engine": "batched", "wave": CANDIDATES // 2, "screen": screen}
    return type(load_config(ROOT / "params.yaml").tool_calling).model_validate(values)


def every_nth(source: Path, every: int, test_every: int, target: Path) -> int:
    """Writes every n-th of the published dialogues of each file below `target`; returns how many these are.

    Args:
        test_every: the same of the files that become the test split.
    """
    kept = 0
    for part in origins(source):
        for folder, _, raw in part.schemas():
            (target / folder).mkdir(parents=True)
            (target / folder / "schema.json").write_bytes(raw)
        for number, (folder, _, raw) in enumerate(part.dialogues()):
            dialogues = json.loads(raw)[:: every if split_name(folder) == "train" else test_every]
            kept += len(dialogues)
            (target / folder / f"dialogues_{number:03d}.json").write_text(json.dumps(dialogues))
    return kept


def seeded(whole: Any, seed: int) -> Any:
    values = whole.model_dump(mode="json")
    values["training"]["seed"] = values["tuning"]["seed"] = seed
    return type(whole).model_validate(values)


def ours(tool: Workload, settings: Any, prepared: Path, scratch: Path) -> Outcome:
    """The campaign's CPU and what the candidate with the best mean at full length reaches."""
    begin = time.process_time()
    found = campaign.run(tool, settings, prepared, scratch, project="p2", total=CANDIDATES, say=lambda line: None)
    spent = time.process_time() - begin
    return spent, quality(tool, settings, prepared, found.model(best(found.judged)))


def theirs(name: str, tool: Workload, settings: Any, prepared: Path, scratch: Path) -> Outcome:
    """The same of a study of Optuna's."""
    seed, space = settings.tuning.seed, knobs("tool_calling", settings)
    sampler = optuna.samplers.RandomSampler(seed) if name == "random" else optuna.samplers.TPESampler(seed=seed)
    pruner = optuna.pruners.MedianPruner() if name == "median" else optuna.pruners.NopPruner()
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    study.enqueue_trial({knob.key: knob.default for knob in space})

    def value(metrics: Mapping[str, float]) -> float:
        return statistics.fmean(objectives_of("tool_calling", metrics, settings.tuning.objectives).values())

    def objective(trial: optuna.Trial) -> float:
        weights = {knob.key: trial.suggest_float(knob.key, knob.low, knob.high, log=True) for knob in space}

        def judge(line: Mapping[str, Any]) -> None:
            if "validation" in line:
                trial.report(value(line["validation"]), line["epoch"])
                if trial.should_prune():
                    raise optuna.TrialPruned

        recipe = with_weights(settings, weights)
        return value(train(tool, recipe, prepared, scratch / str(trial.number), on_report=judge)["metrics"])

    begin = time.process_time()
    study.optimize(objective, n_trials=CANDIDATES)
    spent = time.process_time() - begin
    return spent, quality(tool, settings, prepared, scratch / str(study.best_trial.number))


def quality(tool: Workload, settings: Any, prepared: Path, folder: Path) -> float:
    """The mean of the objectives on the test split, as the model would be served."""
    samples = list(tool.samples(prepared, "test"))
    frame = tool.score(samples, tool.load(folder).predict(samples))
    return statistics.fmean(
        float(frame[f"{n}/hit"].sum()) / float(frame[f"{n}/of"].sum()) for n in settings.tuning.objectives
    )


def compared(found: Mapping[str, list[Outcome]]) -> dict[str, Any]:
    """Per peer how many times our CPU it took, and our quality less its own with the interval over seeds."""
    mine, lines = np.array(found["ours"]), {}
    for name in found.keys() - {"ours"}:
        other = np.array(found[name])
        gain = mine[:, 1] - other[:, 1]
        interval = ttest_1samp(gain, 0.0).confidence_interval(0.95) if len(gain) > 1 else (None, None)
        lines[name] = {"cpu_ratio": float(other[:, 0].sum() / mine[:, 0].sum()), "cpu": float(other[:, 0].mean()),
                       "quality": float(other[:, 1].mean()), "quality_difference": float(gain.mean()),
                       "interval": [None if end is None else float(end) for end in interval]}  # fmt: skip
    return lines


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first", type=int, default=1, help="the first of the seeds")
    parser.add_argument("--epochs", type=int, default=4, help="of a training at full length")
    parser.add_argument("--layers", type=int, default=1, help="at full length; the screen has one")
    parser.add_argument("--widths", type=int, nargs=2, default=(64, 32), help="at full length, in the screen")
    parser.add_argument("--heads", type=int, default=4, help="of attention")
    parser.add_argument("--validation", type=float, default=0.12, help="share of the training dialogues")
    parser.add_argument("--screen-epochs", type=int, default=2)
    parser.add_argument("--full", type=int, default=2, help="candidates of the screen that go on beside the default")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument("--dialogues", type=Path, help="the published archives; without it embedded conversations")
    parser.add_argument("--every", type=int, default=80, help="of each of their files one in so many")
    parser.add_argument("--test-every", type=int, help="the same of the test split; as the others")
    return parser.parse_args()


def measured(tool: Workload, given: argparse.Namespace, folder: Path) -> tuple[dict[str, list[Outcome]], str]:
    """Outcomes by way, a pair a seed, and what the data are."""
    whole = section(folder, given)
    if given.dialogues:
        kept = every_nth(given.dialogues, given.every, given.test_every or given.every, folder / "raw")
        data = f"{kept} of the published dialogues"
    else:
        tool.generate(whole, folder / "raw")
        data = f"{CONVERSATIONS} embedded conversations"
    tool.prepare(whole, folder / "prepared")
    train(tool, with_weights(whole, {}), folder / "prepared", folder / "first")  # what a process pays once
    found: dict[str, list[Outcome]] = {name: [] for name in ("ours", *given.peers)}
    for seed in range(given.first, given.first + given.seeds):
        settings = seeded(whole, seed)
        for way, each in found.items():
            place = folder / "prepared", folder / f"{way}-{seed}"
            each.append(ours(tool, settings, *place) if way == "ours" else theirs(way, tool, settings, *place))
            print(f"seed {seed}, {way}: {each[-1][0]:.1f} CPU s, quality {each[-1][1]:.4f}", file=sys.stderr)
    return found, data


def main() -> None:
    given = arguments()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="equipoise-p2-") as name:
        found, data = measured(workload("tool_calling"), given, Path(name))
    lines = compared(found)
    cpu, reached = (float(np.mean([each[i] for each in found["ours"]])) for i in range(2))
    peer = given.peers[0]
    equal = lines[peer]["quality_difference"] >= -TOLERANCE
    report(
        Result(
            name=f"P2 campaign of {CANDIDATES}",
            ratio=lines[peer]["cpu_ratio"],
            goal=f"<= 1/{GOAL:g} of the CPU of {peer}, one after another, at the same final quality",
            passed=lines[peer]["cpu_ratio"] >= GOAL and equal,
            ours=cpu,
            theirs=lines[peer]["cpu"],
            unit="CPU s",
            note=f"{given.seeds} seeds; {data}, width {given.widths[0]}, {given.epochs} epochs; the screen: "
            f"{given.screen_epochs} epochs of width {given.widths[1]}; quality: mean of the objectives on test",
            extra={"seeds": given.seeds, "quality": reached, "peers": lines},
        )
    )


if __name__ == "__main__":
    main()
