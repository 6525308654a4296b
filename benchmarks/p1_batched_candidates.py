"""P1: an optimizer step of K loss-weight candidates as one stack against K steps one after another.

tool_calling on embedded dialogues with a narrow model; float32, one thread. Both sides read the same micro-batch, with
forward and backward pass, losses, clipping, AdamW and averaging; the averaged weights after some steps are compared
first. What a stack saves is the starting of operations; what each candidate computes, it computes in a stack too. So
the gain ends where computing begins to outweigh starting, and is given for a tiny batch and for a middling one.

    python -m benchmarks.p1_batched_candidates [--fast]
"""

from __future__ import annotations

import copy
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness import Result, alternate, report
from components.config import load_config
from components.losses.composite import Composite
from components.losses.contract import Batch
from components.training import ema, optimizer
from components.training.candidates import start, take_step
from components.training.lanes import Lane, fresh_model
from components.training.precision import reproducible
from components.training.seeds import seed_everything
from components.training.together import Together
from components.workload import workload
from components.workloads.tool_calling.data import generate, prepare

ROOT = Path(__file__).parents[1]
WORKLOAD = workload("tool_calling")
CPU = torch.device("cpu")
GOALS = {(32, 32): 20.0, (128, 32): 35.0, (32, 64): 8.0}  # (candidates, width) -> times faster
SMALL, LARGE = 80, 1000  # tokens a micro-batch, padding included
PROGRESS = 0.5  # of the schedules, which stand still here


def prepared(folder: Path) -> Any:
    """The shipped section over a few embedded dialogues with short histories."""
    shipped = load_config(ROOT / "params.yaml").tool_calling
    data = {"source": str(folder / "raw"), "embedded_conversations": 40, "vocabulary": 400, "window": 64}
    section = shipped.model_copy(update={"data": shipped.data.model_copy(update=data)})
    generate(section, folder / "raw")
    prepare(section, folder / "prepared")
    return section


def candidate(section: Any, number: int, width: int, tokens: int) -> Lane:
    loss = section.loss
    decision = loss.decision.model_copy(update={"weight": 0.25 + 0.05 * number})
    training = {"batch_tokens": tokens, "threads": 1, "compile": False, "precision": "fp32"}
    return Lane(
        number,
        section.model_copy(
            update={
                "loss": loss.model_copy(update={"decision": decision}),
                "model": section.model.model_copy(update={"width": width}),
                "training": section.training.model_copy(update=training),
            }
        ),
    )


def largest_batch(section: Any, folder: Path) -> Batch:
    return max(WORKLOAD.batches(section, folder, "train", 0), key=lambda batch: batch["tokens"].numel())


def one_alone(lane: Lane, folder: Path, batch: Batch) -> tuple[Callable[[], object], dict[str, Tensor]]:
    """An optimizer step as `loop.train` takes it, and the averaged weights that it moves."""
    section, settings = lane.section, lane.section.training
    model = fresh_model(WORKLOAD, section, folder, CPU)
    average = copy.deepcopy(model).eval().requires_grad_(False)
    composite, pairs = Composite(WORKLOAD.terms, section.loss), ema.pairs(average, model)
    adamw = optimizer.adamw(model, settings.learning_rate, settings.weight_decay)
    parameters = [p for p in model.parameters() if p.requires_grad]
    factor, done = optimizer.rate_factor(PROGRESS, settings.warmup_share), iter(range(1 << 30))

    def step() -> None:
        number = next(done)
        counts = composite.counts([batch], WORKLOAD.supervision_steps(section))
        adamw.zero_grad(set_to_none=True)
        seed_everything(settings.seed, number, 0)
        for outputs in WORKLOAD.rollout(model, batch, section):
            composite(outputs, batch, counts, PROGRESS)[0].backward()
        optimizer.fill_missing_gradients(parameters)
        norm = optimizer.gradient_norm(parameters)
        assert norm.isfinite()
        optimizer.clip(parameters, norm, settings.clip_norm)
        optimizer.set_rate(adamw, settings.learning_rate * factor)
        adamw.step()
        ema.update(pairs, ema.decay_at(number + 1, settings.ema))

    return step, dict(average.named_parameters())


def all_together(lanes: list[Lane], folder: Path, state: Path, batch: Batch) -> tuple[Callable[[], object], Together]:
    numbers = {lane.number: "" for lane in lanes}
    run = start(WORKLOAD, lanes, folder, state, "", numbers, CPU, lambda: False, lambda text: None)

    def step() -> None:
        take_step(run, [batch], PROGRESS)
        run.position.step += 1

    return step, run


def measured(section: Any, root: Path, count: int, width: int, tokens: int, rounds: int) -> tuple[float, float, float]:
    """(times faster, CPU seconds of a step of all, relative difference of the weights after three steps)."""
    lanes = [candidate(section, number, width, tokens) for number in range(count)]
    folder = root / "prepared"
    batch = largest_batch(lanes[0].section, folder)
    alone, weights = one_alone(lanes[-1], folder, batch)
    together, run = all_together(lanes, folder, root / "state", batch)
    for _ in range(3):
        alone()
        together()
    ours = run.stack.layout.views(run.stack.average[count - 1])
    gap = sum(float((ours[n] - w).square().sum()) for n, w in weights.items())
    gap = (gap / sum(float(w.square().sum()) for w in weights.values())) ** 0.5
    assert gap < 1e-3, f"weights differ by {gap}"
    one, other = alternate(together, alone, rounds=rounds)
    return count * other.median / one.median, one.median, gap


def main() -> None:
    fast = "--fast" in sys.argv
    cases = [(32, 32, SMALL), (32, 32, LARGE)]
    if not fast:
        cases += [(128, 32, SMALL), (32, 64, SMALL)]
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place, reproducible(1):
        section = prepared(Path(place))
        ratio, seconds, gap = 0.0, 0.0, 0.0
        for count, width, tokens in cases:
            times, taken, apart = measured(section, Path(place), count, width, tokens, 5)
            found[f"K={count} H={width} {tokens} tokens"] = times
            if (count, width, tokens) == cases[0]:
                ratio, seconds, gap = times, taken, apart
    passed = all(
        found[f"K={k} H={h} {SMALL} tokens"] >= goal for (k, h), goal in GOALS.items() if (k, h, SMALL) in cases
    )
    report(
        Result(
            name="P1 batched candidates",
            ratio=ratio,
            goal=">= 20x at K=32 and 35x at K=128 with H=32, 8x with H=64",
            passed=passed,
            ours=seconds,
            theirs=seconds * ratio,
            unit="s CPU a step of all",
            note=f"32 candidates, width 32, {SMALL} tokens a step; relative weight difference {gap:.1e}",
            extra=found,
        )
    )


if __name__ == "__main__":
    main()
