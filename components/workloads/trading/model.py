"""The Trade Reasoning Module: a Tiny Recursive Model over a window of daily bars that chooses one strategy.

Every bar of the window is one vector of features; a learnt vector after the last bar is where the answer is read. All
bars are in the past of the decision, so they see each other freely.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from components.config_trading import TradingConfig, TradingModel
from components.losses.contract import Batch, Outputs
from components.modules.attention import Block, normalise, rotary_table
from components.modules.initialise import initialise_layers
from components.modules.recursion import recurse, supervise


@dataclass(frozen=True)
class Sizes:
    """What the data decides about the model's shapes."""

    features: int
    strategies: int


class TradeReasoningModule(nn.Module):
    """Embedding of bars, one small network applied recursively, a head for the strategy and one for halting."""

    answer_start: Tensor
    latent_start: Tensor

    def __init__(self, settings: TradingModel, sizes: Sizes) -> None:
        super().__init__()
        width = settings.width
        self.settings = settings
        self.bars = nn.Linear(sizes.features, width)
        self.question = nn.Parameter(torch.empty(width))
        self.blocks = nn.ModuleList(Block(width, settings.attention_heads) for _ in range(settings.layers))
        self.dropout = nn.Dropout(settings.dropout)
        self.task = nn.Linear(width, sizes.strategies)
        self.halting = nn.Linear(width, 1)
        self.register_buffer("answer_start", torch.empty(width))
        self.register_buffer("latent_start", torch.empty(width))
        self._initialise()

    def _initialise(self) -> None:
        for start in (self.question, self.answer_start, self.latent_start):
            nn.init.trunc_normal_(start, std=1.0)
        initialise_layers(self)
        nn.init.zeros_(self.halting.weight)  # halting starts at ln 2: it knows nothing

    def embed(self, features: Tensor) -> Tensor:
        """features [B, W, F] -> [B, W + 1, D]: the bars, then the question."""
        bars = normalise(self.bars(features))
        question = self.question.to(bars.dtype).expand(len(bars), 1, -1)
        return self.dropout(torch.cat([bars, question], dim=1))

    def forward(self, batch: Batch) -> Iterator[Outputs]:
        """One Outputs per supervision step that gives a loss."""
        settings, features = self.settings, batch["features"]
        shape = (len(features), features.shape[1] + 1, settings.width)
        answers = supervise(
            self.network(features.shape[1] + 1, features.device),
            lambda: self.embed(features),
            self.answer_start.expand(shape),
            self.latent_start.expand(shape),
            latent_updates=settings.latent_updates,
            recursions=settings.recursions,
            steps=settings.supervision_steps,
            no_gradient_steps=settings.no_gradient_steps,
        )
        for answer in answers:
            yield self.decide(answer)

    def network(self, length: int, device: torch.device) -> Callable[[Tensor], Tensor]:
        """The one small network over sequences of `length` vectors."""
        cosine, sine = rotary_table(length, self.settings.width // self.settings.attention_heads, device)
        mask = torch.ones(1, 1, length, length, dtype=torch.bool, device=device)

        def apply(x: Tensor) -> Tensor:
            for block in self.blocks:
                x = block(x, cosine, sine, mask)
            return x

        return apply

    def decide(self, answer: Tensor) -> dict[str, Tensor]:
        """answer [B, W + 1, D] -> task_logits [B, C] and halt_logits [B], read at the question."""
        state = answer[:, -1]
        return {"task_logits": self.task(state).float(), "halt_logits": self.halting(state).squeeze(-1).float()}

    @torch.inference_mode()
    def infer(self, features: Tensor, threshold: float) -> tuple[dict[str, Tensor], Tensor]:
        """Thinks until each sample is sure; a sample that halted leaves the batch.

        A sample halts at the first supervision step where sigmoid(halt) > threshold, or at the last one.

        Args:
            features: [B, W, F].

        Returns:
            The outputs of `decide`, each sample's from its own halting step; steps [B] taken.
        """
        settings = self.settings
        network = self.network(features.shape[1] + 1, features.device)
        x = self.embed(features)
        y, z = self.answer_start.expand(x.shape), self.latent_start.expand(x.shape)
        thinking = torch.arange(len(features), device=features.device)
        steps = torch.zeros(len(features), dtype=torch.long, device=features.device)
        final = {name: value.clone() for name, value in self.decide(y).items()}
        for step in range(1, settings.supervision_steps + 1):
            y, z = recurse(network, x, y, z, settings.latent_updates, settings.recursions)
            outputs = self.decide(y)
            for name, value in outputs.items():
                final[name][thinking] = value
            steps[thinking] = step
            unsure = outputs["halt_logits"].sigmoid() <= threshold
            if step == settings.supervision_steps or not bool(unsure.any()):
                break
            x, y, z, thinking = x[unsure], y[unsure], z[unsure], thinking[unsure]
        return final, steps


def sizes_of(prepared: Path) -> Sizes:
    """Numbers of features and strategies from what prepare wrote."""
    scaler = json.loads((prepared / "scaler.json").read_text("utf-8"))
    strategies = json.loads((prepared / "strategies.json").read_text("utf-8"))
    return Sizes(len(scaler["features"]), len(strategies["strategies"]))


def build(section: TradingConfig, prepared: Path) -> TradeReasoningModule:
    """A freshly initialised model for the prepared data; the caller has seeded torch."""
    return TradeReasoningModule(section.model, sizes_of(prepared))


def rollout(model: nn.Module, batch: Batch, section: Any) -> Iterator[Outputs]:
    """The supervision steps of one batch."""
    return model(batch)


def supervision_steps(section: TradingConfig) -> int:
    """How many Outputs `rollout` yields."""
    return section.model.supervision_steps - section.model.no_gradient_steps
