"""A whole workload in one file that trains in a fraction of a second: does a sum lie above 0, how large is it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from components.config import Section, TermConfig, TrainingConfig
from components.data.manifest import write_manifest
from components.losses.contract import Batch, Masked, Outputs, Term
from components.training.loop import train
from components.workload import Workload

FEATURES = 6
STATIC = {
    "method": "static", "temperature": 2.0, "smoothing": 0.1, "logit_rate": 0.025, "logit_decay": 0.001, "radius": 0.5
}  # fmt: skip


class ToyData(Section):
    samples: int
    batch: int


class ToyModel(Section):
    width: int
    steps: int
    dropout: float


class ToyLoss(Section):
    above: TermConfig
    size: TermConfig


class ToySection(Section):
    data: ToyData
    model: ToyModel
    loss: ToyLoss
    training: TrainingConfig


def section(**changes: Any) -> ToySection:
    """The toy's parameters; `training__epochs=3` changes one."""
    values: dict[str, Any] = {
        "data": {"samples": 44, "batch": 8},
        "model": {"width": 12, "steps": 3, "dropout": 0.2},
        "loss": {
            "above": {"weight": 1.0, "schedule": [[0.0, 1.0]]},
            "size": {"weight": 0.5, "schedule": [[0.0, 1.0], [1.0, 0.2]]},
        },
        "training": {
            "seed": 3, "epochs": 3, "batch_tokens": 100, "accumulate": 2, "learning_rate": 0.01, "warmup_share": 0.2,
            "weight_decay": 0.1, "clip_norm": 1.0, "ema": 0.9, "precision": "fp32", "compile": False,
            "checkpoint_every": 2, "report_every": 1, "patience": 5, "threads": 1, "balancer": STATIC,
        },
    }  # fmt: skip
    for path, value in changes.items():
        part, _, key = path.partition("__")
        values[part][key] = value
    return ToySection.model_validate(values)


def prepare(settings: ToySection, folder: Path) -> Path:
    folder.mkdir(parents=True)
    draw = np.random.default_rng(5)
    for split, size in (("train", settings.data.samples), ("validation", 30)):
        np.save(folder / f"{split}.npy", draw.normal(size=(size, FEATURES)).astype(np.float32))
    (folder / "tokenizer.json").write_text("{}\n")
    write_manifest(folder, {})
    return folder


def batches(settings: ToySection, prepared: Path, split: str, epoch: int) -> Iterator[Batch]:
    rows = np.load(prepared / f"{split}.npy")
    order = np.random.default_rng([settings.training.seed, epoch]).permutation(len(rows))
    for first in range(0, len(order), settings.data.batch):
        yield as_batch(rows, order[first : first + settings.data.batch])


def as_batch(rows: np.ndarray, index: np.ndarray) -> Batch:
    """Every third sample has no size label."""
    total = rows[index].sum(axis=1)
    return {
        "x": torch.from_numpy(rows[index]),
        "above": torch.from_numpy((total > 0).astype(np.float32)),
        "size": torch.from_numpy(total.astype(np.float32)),
        "sized": torch.from_numpy(index % 3 != 0),
        "sample_id": torch.from_numpy(index),
    }


class Recursive(nn.Module):
    """A small network applied to its own answer, with the heads of both terms."""

    def __init__(self, settings: ToyModel) -> None:
        super().__init__()
        self.steps = settings.steps
        self.embed = nn.Linear(FEATURES, settings.width)
        self.network = nn.Sequential(nn.Linear(settings.width, settings.width), nn.Tanh(), nn.Dropout(settings.dropout))
        self.above = nn.Linear(settings.width, 1)
        self.size = nn.Linear(settings.width, 1)
        self.register_buffer("start", torch.full((settings.width,), 0.1))

    def forward(self, x: Tensor) -> Iterator[Outputs]:
        answer = self.start.expand(len(x), -1)
        for step in range(self.steps):
            answer = self.network(self.embed(x) + answer.detach())
            outputs = {"above_logits": self.above(answer).squeeze(-1)}
            if step == self.steps - 1:
                outputs["size"] = self.size(answer).squeeze(-1)
            yield outputs


def above_loss(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    values = F.binary_cross_entropy_with_logits(outputs["above_logits"].float(), batch["above"], reduction="none")
    return Masked(values, torch.ones_like(values, dtype=torch.bool))


def size_loss(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    return Masked((outputs["size"].float() - batch["size"]) ** 2, batch["sized"])


TERMS = {
    "above": Term(above_loss, lambda batch, settings: torch.tensor(len(batch["above"])), needs=("above_logits",)),
    "size": Term(size_loss, lambda batch, settings: batch["sized"].sum(), every_step=False, needs=("size",)),
}


def validate(model: nn.Module, settings: ToySection, prepared: Path, device: torch.device) -> dict[str, float]:
    rows = np.load(prepared / "validation.npy")
    batch = {name: t.to(device) for name, t in as_batch(rows, np.arange(len(rows))).items()}
    *_, last = model(batch["x"])
    error = (last["size"].float() - batch["size"]).square().mean()
    hits = ((last["above_logits"] > 0) == (batch["above"] > 0)).float().mean()
    return {"objective": -float(error), "above/accuracy": float(hits)}


def _absent(*arguments: Any) -> Any:
    raise AssertionError("training must not call this")


WORKLOAD = Workload(
    name="toy",
    generate=_absent,
    prepare=_absent,
    batches=batches,
    build=lambda settings, prepared: Recursive(settings.model),
    rollout=lambda model, batch, settings: model(batch["x"]),
    supervision_steps=lambda settings: settings.model.steps,
    terms=TERMS,
    validate=validate,
    evaluate=_absent,
    load=_absent,
    samples=_absent,
    score=_absent,
    read_request=_absent,
    request=_absent,
    render=_absent,
    served=("tokenizer.json",),
)


if __name__ == "__main__":
    chosen = {**STATIC, "method": sys.argv[3] if len(sys.argv) > 3 else "static"}
    summary = train(WORKLOAD, section(training__balancer=chosen), Path(sys.argv[1]), Path(sys.argv[2]), device="cpu")
    print(summary["steps"])
