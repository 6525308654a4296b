"""A workload whose best weighting is known in closed form: two quadratics that pull one number to 0 and to 1.

(weights a, b) end at x = b / (a + b). A validation sample is right when x lies near its own target, and the targets lie
around BEST, so that the share of right ones has its maximum at b / a = BEST / (1 - BEST) and is known for every x.
Which training rows a run sees depends on its seed: runs differ as real ones do.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import torch
from safetensors.torch import load_file
from scipy.special import ndtr
from torch import nn

from components.config import Section, TermConfig, TrainingConfig, TuningConfig
from components.config_parts import EvaluationConfig, GateConfig, LossConfig, StudyConfig
from components.data import strict_json
from components.data.manifest import write_manifest
from components.losses.contract import Batch, Masked, Outputs, Term
from components.workload import Workload
from tests.training import toy

BEST = 0.8
SPREAD = 0.2  # of the targets of validation samples around BEST
NEAR = {"near/share": 0.25, "close/share": 0.15}  # objective -> how near is right
ROWS, CONVERSATIONS = 1200, 400
SEEN, NOISE = 64, 0.1  # training rows of a run, and their spread around 0 and 1
STEPS = 60  # each over all of them, which end where the closed form says
LUCK = 0.03  # spread over runs of where a model ends when weights do not matter


class Data(Section):
    matters: bool


class Loss(LossConfig):
    zero: TermConfig
    one: TermConfig


class QuadraticsSection(Section):
    data: Data
    model: toy.ToyModel
    loss: Loss
    training: TrainingConfig
    evaluation: EvaluationConfig
    gate: GateConfig
    tuning: TuningConfig
    study: StudyConfig


def section(seed: int, matters: bool = True, **tuning: Any) -> QuadraticsSection:
    """Default weights 1 and 2, so x = 2/3; `matters` False: a sample is right or wrong whatever x is."""
    values = toy.section(training__epochs=1, training__seed=seed).model_dump(mode="json")
    values["training"] |= {"learning_rate": 0.2, "weight_decay": 0.0, "ema": 0.0, "accumulate": 1,
                           "report_every": 1000, "checkpoint_every": 1000}  # fmt: skip
    head = {"head": "near", "metric": "share", "role": "primary", "margin": 0.05, "direction": "higher"}
    return QuadraticsSection.model_validate(
        {
            "data": {"matters": matters},
            "model": values["model"],
            "loss": {name: {"weight": w, "schedule": [[0.0, 1.0]]} for name, w in (("zero", 1.0), ("one", 2.0))},
            "training": values["training"],
            "evaluation": {"resamples": 400, "confidence": 0.95, "seed": 11, "calibration_bins": 5, "minimum_slice": 5},
            "gate": {"policy": "improve", "alpha": 0.05, "resamples": 200, "seed": 1, "cluster": "conversation",
                     "heads": [head]},
            "tuning": {"candidates": 24, "epochs": 1, "seed": seed, "sampler": "tpe", "engine": "processes", "wave": 1,
                       "screen": None, "closing": {"candidates": 2, "seeds": 5}, "objectives": list(NEAR),
                       "space": {"zero.weight": [0.1, 10.0], "one.weight": [0.1, 10.0]}} | tuning,
            "study": {"seeds": [1, 2, 3], "epochs": 1, "reference": "default", "leave_one_out": True,
                      "metrics": list(NEAR), "settings": {"default": {}}},
        }
    )  # fmt: skip


def minimiser(weights: dict[str, float]) -> float:
    """Where training with these weights ends."""
    return weights["one.weight"] / (weights["zero.weight"] + weights["one.weight"])


def share(x: float, radius: float) -> float:
    """Of all samples, how many are right at x."""
    return float(ndtr((x - BEST + radius) / SPREAD) - ndtr((x - BEST - radius) / SPREAD))


def prepare(folder: Path, seed: int) -> Path:
    """Training rows [n, 2] around (0, 1); validation targets, three of a conversation alike in part."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(seed)
    np.save(folder / "train.npy", draw.normal((0.0, 1.0), NOISE, size=(20_000, 2)).astype(np.float32))
    common = np.repeat(draw.normal(size=CONVERSATIONS), ROWS // CONVERSATIONS)
    targets = BEST + SPREAD * (0.6 * common + 0.8 * draw.normal(size=ROWS))
    np.save(folder / "validation.npy", targets.astype(np.float32))
    (folder / "tokenizer.json").write_text("{}\n")
    write_manifest(folder, {})
    return folder


def batches(settings: QuadraticsSection, prepared: Path, split: str, epoch: int) -> Iterator[Batch]:
    rows, draw = np.load(prepared / f"{split}.npy"), np.random.default_rng(settings.training.seed)
    seen = rows[draw.choice(len(rows), SEEN, replace=False)]
    for _ in range(STEPS):
        yield {"zero": torch.from_numpy(seen[:, 0].copy()), "one": torch.from_numpy(seen[:, 1].copy())}


class Guess(nn.Module):
    """One number."""

    def __init__(self) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.empty(1).uniform_(0.4, 0.6))

    def forward(self, batch: Batch) -> Iterator[Outputs]:
        yield {"x": self.x.expand(len(batch["zero"]))}


def _term(name: str) -> Term:
    def loss(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
        values = (outputs["x"].float() - batch[name]) ** 2
        return Masked(values, torch.ones_like(values, dtype=torch.bool))

    return Term(loss, lambda batch, settings: torch.tensor(len(batch[name])), needs=("x",))


def samples(prepared: Path, split: str) -> Iterator[tuple[int, float]]:
    return enumerate(np.load(prepared / f"{split}.npy").tolist()) if split == "validation" else iter(())


def load(folder: Path) -> Any:
    x = float(load_file(folder / "model.safetensors")["x"])
    matters = strict_json.read(folder / "model.json")["section"]["data"]["matters"]
    return SimpleNamespace(predict=lambda rows: [(x, matters)] * len(rows))


def score(rows: list[tuple[int, float]], said: list[tuple[float, bool]]) -> pl.DataFrame:
    """Where x does not matter, luck decides how good a run's model is, and x, as the number of the run, draws it."""
    targets = np.array([target for _, target in rows])
    x, matters = said[0]
    if not matters:
        x = BEST + 0.1 + LUCK * np.random.default_rng(int(abs(x) * 1e9)).normal()
    off = np.abs(targets - x)
    columns: dict[str, Any] = {
        "id": [str(i) for i, _ in rows],
        "conversation": [f"c{i // (ROWS // CONVERSATIONS)}" for i, _ in rows],
    }
    for name, radius in NEAR.items():
        columns |= {f"{name}/hit": (off < radius).astype(np.float64), f"{name}/of": np.ones(len(rows))}
    return pl.DataFrame(columns)


def validate(model: nn.Module, settings: QuadraticsSection, prepared: Path, device: Any) -> dict[str, float]:
    rows = list(samples(prepared, "validation"))
    frame = score(rows, [(float(model.x), settings.data.matters)] * len(rows))  # pyright: ignore[reportArgumentType]
    found = {name: float(frame[f"{name}/hit"].mean()) for name in NEAR}  # pyright: ignore[reportArgumentType]
    return {**found, "objective": found["near/share"]}


def _never(*arguments: Any) -> Any:
    raise AssertionError("a campaign must not call this")


WORKLOAD = Workload(
    name="quadratics",
    generate=_never,
    prepare=_never,
    batches=batches,
    build=lambda settings, prepared: Guess(),
    rollout=lambda model, batch, settings: model(batch),
    supervision_steps=lambda settings: 1,
    terms={"zero": _term("zero"), "one": _term("one")},
    validate=validate,
    evaluate=_never,
    load=load,
    samples=samples,
    score=score,
    read_request=_never,
    request=_never,
    render=_never,
    served=("tokenizer.json",),
)
