"""P3: peak memory of deep supervision with 16 steps against 1, backward after every step on detached states.

The other way, all steps kept until one backward, is measured beside it. All give equal gradients. Memory is what torch
allocates above the model, the batch and the gradients, read from the profiler's memory events (CPU) or the allocator
(CUDA).

    python -m benchmarks.p3_supervision_memory
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.harness import Result, report
from components.config import load_config
from components.losses.composite import Composite
from components.training.seeds import seed_everything
from components.workload import Workload, workload
from components.workloads.tool_calling.data import generate, prepare

ROOT = Path(__file__).parents[1]
STEPS = 16
GOAL = 1.15


def prepared_data(folder: Path) -> tuple[Any, Path]:
    """Embedded dialogues, prepared; the section has no dropout, so that all ways compute the same."""
    whole = load_config(ROOT / "params.yaml").tool_calling
    data = whole.data.model_copy(
        update={"embedded_conversations": 60, "source": str(folder / "raw"), "vocabulary": 800}
    )
    model = whole.model.model_copy(update={"dropout": 0.0})
    training = whole.training.model_copy(update={"batch_tokens": 2000})
    section = whole.model_copy(update={"data": data, "model": model, "training": training})
    generate(section, folder / "raw")
    prepare(section, folder / "prepared")
    return section, folder / "prepared"


def gradients(tool: Workload, section: Any, prepared: Path, steps: int, lean: bool) -> tuple[nn.Module, float]:
    """One backward pass of a whole step on one micro-batch; returns the model with gradients and the peak in bytes."""
    section = section.model_copy(update={"model": section.model.model_copy(update={"supervision_steps": steps})})
    seed_everything(1, "build")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = tool.build(section, prepared).to(device).train()
    batch = {n: t.to(device) for n, t in next(tool.batches(section, prepared, "train", 0)).items()}
    composite = Composite(tool.terms, section.loss)
    counts = {n: c.to(device) for n, c in composite.counts([batch], tool.supervision_steps(section)).items()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)

    def run() -> None:
        kept: list[Tensor] = []
        for outputs in tool.rollout(model, batch, section):
            loss, _ = composite(outputs, batch, counts, 0.0)
            if lean:
                loss.backward()
                del outputs, loss
            else:
                kept.append(loss)
        if kept:
            torch.stack(kept).sum().backward()

    return model, peak(run, device)


def peak(run: Any, device: torch.device) -> float:
    """Highest number of bytes allocated during `run` above what was allocated before."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        run()
    assert recorded.profiler is not None
    events = [e for e in recorded.profiler.kineto_results.events() if e.name() == "[memory]"]
    level, highest = 0, 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        level += event.nbytes()
        highest = max(highest, level)
    return float(highest)


def main() -> None:
    tool = workload("tool_calling")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        section, prepared = prepared_data(Path(scratch))
        _, one = gradients(tool, section, prepared, 1, lean=True)
        lean_model, lean = gradients(tool, section, prepared, STEPS, lean=True)
        kept_model, kept = gradients(tool, section, prepared, STEPS, lean=False)
    for (name, a), b in zip(lean_model.named_parameters(), kept_model.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-5, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}")
    report(
        Result(
            name="P3 supervision memory",
            ratio=lean / one,
            goal=f"<= {GOAL}x of one step",
            passed=lean / one <= GOAL,
            ours=lean / 2**20,
            theirs=kept / 2**20,
            unit="MiB peak of 16 steps",
            note=f"theirs: all steps kept, {kept / one:.1f}x of one step ({one / 2**20:.1f} MiB); gradients equal",
        )
    )


if __name__ == "__main__":
    main()
