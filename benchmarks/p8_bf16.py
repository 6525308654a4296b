"""P8: training in bf16 autocast against float32, on hardware that multiplies bf16 natively.

Time: optimizer steps over the same micro-batches, alternating. Quality: both train the same embedded dialogues to the
end, and their validation objectives are compared.

    python -m benchmarks.p8_bf16
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness import Result, alternate, report
from benchmarks.p3_supervision_memory import prepared_data
from components.losses.composite import Composite
from components.training import optimizer
from components.training.loop import train
from components.training.precision import autocast, choose_device, has_native_bf16
from components.training.seeds import seed_everything
from components.workload import Workload, workload

GOAL = 2.3
MICRO_BATCHES = 2
TOLERANCE = 0.03  # of the objective, a mean of accuracies


def stepper(tool: Workload, section: Any, prepared: Path, precision: str) -> Callable[[], None]:
    """A function that takes MICRO_BATCHES optimizer steps."""
    device = choose_device(None)
    seed_everything(1, "build")
    model = tool.build(section, prepared).to(device).train()
    step = optimizer.adamw(model, 1e-4, 0.0)
    composite = Composite(tool.terms, section.loss)
    batches = list(islice(tool.batches(section, prepared, "train", 0), MICRO_BATCHES))

    def run() -> None:
        for batch in batches:
            counts = {n: c.to(device) for n, c in composite.counts([batch], tool.supervision_steps(section)).items()}
            moved = {n: t.to(device) for n, t in batch.items()}
            rollout = tool.rollout(model, moved, section)
            while True:
                with autocast(device, precision):
                    outputs = next(rollout, None)
                if outputs is None:
                    break
                composite(outputs, moved, counts, 0.0)[0].backward()
            step.step()
            step.zero_grad()

    return run


def objective(tool: Workload, section: Any, prepared: Path, folder: Path, precision: str) -> float:
    training = section.training.model_copy(update={"precision": precision, "epochs": 4, "threads": 1})
    return train(tool, section.model_copy(update={"training": training}), prepared, folder)["objective"]


def main() -> None:
    torch.set_num_threads(1)
    native = has_native_bf16(choose_device(None))
    if not native:
        note = "skipped: this hardware has no native bf16"
        report(Result("P8 bf16 training", 0.0, f">= {GOAL}x", True, None, None, "CPU s", note))
        return
    tool = workload("tool_calling")
    with tempfile.TemporaryDirectory() as scratch:
        section, prepared = prepared_data(Path(scratch))
        reached = {p: objective(tool, section, prepared, Path(scratch, p), p) for p in ("bf16", "fp32")}
        torch.set_num_threads(1)
        fast, plain = alternate(*(stepper(tool, section, prepared, p) for p in ("bf16", "fp32")), rounds=5)
    equal = reached["bf16"] >= reached["fp32"] - TOLERANCE
    report(
        Result(
            name="P8 bf16 training",
            ratio=plain.median / fast.median,
            goal=f">= {GOAL}x at equal quality",
            passed=plain.median / fast.median >= GOAL and equal,
            ours=fast.median / MICRO_BATCHES,
            theirs=plain.median / MICRO_BATCHES,
            unit="CPU s an optimizer step",
            note=f"objective {reached['bf16']:.4f} in bf16, {reached['fp32']:.4f} in fp32; first calls left out",
        )
    )


if __name__ == "__main__":
    main()
