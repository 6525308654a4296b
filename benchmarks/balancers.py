"""What each balancer costs: CPU seconds of an optimizer step, as a ratio to the step with static weights.

One JSON line a method. The steps are those of tool_calling's shipped recipe (its model, uncompiled, six weighted terms,
one micro-batch of `--tokens` a step) on its embedded data: one supervision step, or with `--supervision 4` four. That
`equal` ends with the parameters of `static`, whose weights are all 1 here, is checked.

    python -m benchmarks.balancers [--supervision 4] [--tokens 1000] [--steps 5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import torch

from components.config import load_config
from components.losses.balancing import METHODS
from components.training.loop import train
from components.workload import Workload, workload

ROOT = Path(__file__).resolve().parents[1]


def sections(base: Any, supervision: int, tokens: int) -> dict[str, Any]:
    """static and every method, in a short uncompiled run with all weights 1."""
    loss = base.loss
    ones = {name: term.model_copy(update={"weight": 1.0}) for name, term in loss if name != "content"}
    model = base.model.model_copy(update={"supervision_steps": supervision, "dropout": 0.0, "word_dropout": 0.0})
    quick = {"epochs": 1, "compile": False, "threads": 1, "checkpoint_every": 10_000, "report_every": 10_000}
    quick |= {"batch_tokens": tokens}
    found = {}
    for method in ("static", *METHODS):
        balancer = base.training.balancer.model_copy(update={"method": method})
        training = base.training.model_copy(update={**quick, "balancer": balancer})
        found[method] = base.model_copy(
            update={"loss": loss.model_copy(update=ones), "model": model, "training": training}
        )
    return found


def watched(record: Workload, steps: int, times: list[float]) -> Workload:
    """The workload with so many micro-batches an epoch, each of which notes the CPU time at which it was asked for."""

    def batches(section: Any, prepared: Path, split: str, epoch: int) -> Iterator[Mapping[str, torch.Tensor]]:
        for batch in list(islice(record.batches(section, prepared, split, epoch), steps)):
            times.append(time.process_time())
            yield batch
        times.append(time.process_time())

    return replace(record, batches=batches, validate=lambda *arguments: {"objective": 0.0})


def step_seconds(section: Any, prepared: Path, steps: int) -> tuple[float, dict[str, torch.Tensor]]:
    """Median CPU seconds of a step but the first, and the parameters after the last."""
    from safetensors.torch import load_file

    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        train(watched(workload("tool_calling"), steps, times), section, prepared, Path(folder) / "run", device="cpu")
        weights = load_file(Path(folder) / "run" / "model.safetensors")
    own = times[-(steps + 1) :]  # an epoch is counted before it is trained
    return statistics.median(b - a for a, b in pairwise(own[1:])), weights


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--supervision", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()
    record, base = workload("tool_calling"), load_config(ROOT / "params.yaml").tool_calling
    with tempfile.TemporaryDirectory() as folder:
        base = base.model_copy(update={"data": base.data.model_copy(update={"source": f"{folder}/raw"})})
        record.generate(base, Path(folder) / "raw")
        record.prepare(base, Path(folder) / "prepared")
        measured: dict[str, list[float]] = {}
        for _ in range(2):  # the methods take turns, so that a busy machine slows all of them alike
            weights = {}
            for method, section in sections(base, options.supervision, options.tokens).items():
                seconds, weights[method] = step_seconds(section, Path(folder) / "prepared", options.steps)
                measured.setdefault(method, []).append(seconds)
            assert all(torch.equal(weights["equal"][name], each) for name, each in weights["static"].items())
    static = min(measured["static"])
    for method, seconds in measured.items():
        line = {"name": f"balancer {method}", "ratio": round(min(seconds) / static, 3), "unit": "of a static step"}
        print(json.dumps({**line, "seconds": round(min(seconds), 4), "supervision_steps": options.supervision}))


if __name__ == "__main__":
    main()
