"""The keyboard's model: text left of the cursor, the word being typed and the screen -> what the user is doing, which
layout comes next, and which words.

The text encoder is causal, so one pass over a message serves all its events, and the decoder's states of a target are
those of the message itself. Five experts, one a layout, work on them in front of one softmax over pieces, whose table
is the one that is read with. Everything leaves as logits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.config_keyboard_model import KeyboardModel
from components.losses.contract import Batch, Outputs
from components.modules.attention import normalise
from components.modules.experts import Experts, routed
from components.modules.initialise import initialise_layers
from components.modules.regions import pool_regions
from components.workloads.keyboard.encode import BOS, SEP, load_codec
from components.workloads.keyboard.events import REGIONS, TYPED_BYTES, Layout, Task

IGNORED = -1
BYTES = 257  # 0 pads, byte b is b + 1
CELLS = (6, 2)  # rows and columns that the whole of a screen is pooled over
MIXED = 1_000_003  # spreads pairs of pieces over their buckets


@dataclass(frozen=True)
class Seen:
    """What the screens of a batch say: `whole` [I, F], `regions` [I, M, F], `state` [I, D]."""

    whole: Tensor
    regions: Tensor
    state: Tensor


class ScreenReader(nn.Module):
    """Grey pixels -> features of the whole screen and of its regions.

    Args:
        channels: C of the map, an eighth of the screen high and wide.
        features: F.
        width: D of the vector that joins the text's state.
    """

    def __init__(self, channels: int, features: int, width: int) -> None:
        super().__init__()
        half = max(channels // 2, 4)
        self.layers = nn.Sequential(
            nn.Conv2d(1, half // 2, 4, stride=4),
            nn.GELU(),
            nn.Conv2d(half // 2, half, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(half, channels, 3, padding=1),
            nn.GELU(),
        )
        self.whole = nn.Linear(channels * (CELLS[0] * CELLS[1] + len(REGIONS)), features)
        self.regions = nn.ModuleList(nn.Linear(channels, features) for _ in REGIONS)
        self.state = nn.Linear(features, width)

    def forward(self, screens: Tensor, boxes: Tensor) -> Seen:
        """screens [I, H, W] uint8, boxes [I, M, 4] in 0..1."""
        maps = self.layers(screens.unsqueeze(1).float() / 127.5 - 1)
        pooled = pool_regions(maps, boxes)
        parts = functional.adaptive_avg_pool2d(maps, CELLS)  # where bubbles stand, not only that some do
        whole = self.whole(torch.cat([parts.flatten(1), pooled.flatten(1)], dim=1))
        regions = torch.stack([layer(pooled[:, i]) for i, layer in enumerate(self.regions)], dim=1)
        return Seen(whole, regions, self.state(functional.gelu(whole)))


class Keyboard(nn.Module):
    """Text encoder, reader of the typed word, reader of screens, router, layout head, experts, tied softmax.

    Args:
        settings: sizes.
        vocabulary: number V of piece ids.
    """

    def __init__(self, settings: KeyboardModel, vocabulary: int) -> None:
        super().__init__()
        width, typed, experts = settings.width, settings.typed_width, len(Layout)
        self.settings = settings
        self.pieces = nn.Embedding(vocabulary, width)
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.text = nn.GRU(width, width, settings.layers, batch_first=True)
        self.reads = nn.Linear(width, width)
        self.bag = nn.Embedding(vocabulary, settings.bag_width)
        self.pairs = nn.Embedding(settings.bag_pairs, settings.bag_width)
        self.bagged = nn.Linear(settings.bag_width, width, bias=False)
        self.length = nn.Linear(2, width, bias=False)
        self.bytes = nn.Embedding(BYTES, typed // 2)
        self.word = nn.Linear(TYPED_BYTES * (typed // 2), typed)
        self.spelled = nn.Linear(typed, width)
        self.layouts = nn.Embedding(experts, width)
        self.compared = nn.Linear(width + typed, settings.features)
        self.task = nn.Linear(width, len(Task))
        self.layout = nn.Linear(width, experts)
        self.gate = nn.Linear(width, experts)
        self.wanted = nn.Linear(len(Task), width, bias=False)
        self.told = nn.Linear(width, width)
        self.experts = Experts(width, experts, settings.expert_width)
        self.dropout = nn.Dropout(settings.dropout)
        self.screen = ScreenReader(settings.screen_width, settings.features, width) if settings.image else None
        self.unseen = nn.Parameter(torch.zeros(width))
        initialise_layers(self)
        nn.init.normal_(self.pieces.weight, std=0.05)  # also the softmax's: small, or it starts sure of itself
        for layer in (self.told, self.wanted, self.experts.down):
            nn.init.zeros_(layer.weight)  # the decoder starts as a language model

    def read(self, tokens: Tensor) -> Tensor:
        """tokens [R, L] -> states [R, L, D] that tell of the next piece, each of those up to its own alone."""
        x = self.dropout(self.pieces(tokens))
        if self.training and self.settings.word_dropout:
            x = x * (torch.rand(tokens.shape, device=x.device) >= self.settings.word_dropout).unsqueeze(-1)
        x, _ = self.text(x)
        return self.dropout(self.reads(self.dropout(x)) + self._gathered(tokens))

    def _gathered(self, tokens: Tensor) -> Tensor:
        """[R, L, D] what order does not tell: the mean of the message's pieces and pairs so far (a bag of words and
        pairs of neighbours, Joulin et al. 2017), how many there are, and how many with the history."""
        place = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        begun = torch.where((tokens == BOS) | (tokens == SEP), place, 0).cummax(1).values
        pairs = (functional.pad(tokens, (1, 0))[:, :-1] * MIXED + tokens) % self.settings.bag_pairs
        sums = (self.bag(tokens) + self.pairs(pairs)).cumsum(1)
        many = (place - begun).unsqueeze(-1)
        mean = (sums - sums.gather(1, begun.unsqueeze(-1).expand_as(sums))) / many.clamp(min=1)
        return self.bagged(self.dropout(mean)) + self.length(torch.cat([many, place.unsqueeze(-1)], -1).float().log1p())

    def see(self, screens: Tensor, boxes: Tensor) -> Seen | None:
        """What the screens [I, H, W] with regions [I, M, 4] say; None without screens or without a reader of them."""
        return None if self.screen is None or not len(screens) else self.screen(screens, boxes)

    def decide(
        self, state: Tensor, typed: Tensor, layout: Tensor, seen: Seen | None, screen: Tensor
    ) -> dict[str, Tensor]:
        """Everything about events but their words.

        Args:
            state: [S, D] of the text at the cursor; typed: [S, TYPED_BYTES] ids; layout: [S] shown.
            seen, screen: what is seen, and the index [S] of each event's screen in it, -1 where there is none.

        Returns:
            task_logits [S, 3], layout_logits [S, 5], gate_logits [S, 5], text_feature [S, F], context [S, D].
        """
        word = functional.gelu(self.word(self.bytes(typed).flatten(1)))
        shown = self.unseen.expand(len(state), -1)
        if seen is not None:
            shown = torch.where((screen >= 0).unsqueeze(-1), seen.state[screen.clamp(min=0)], shown)
        joined = normalise(state + self.spelled(word) + self.layouts(layout) + shown)
        task = self.task(joined)
        return {
            "task_logits": task,
            "layout_logits": self.layout(joined),
            "gate_logits": self.gate(joined),
            "text_feature": self.compared(torch.cat([state, word], dim=-1)),
            "context": self.told(joined) + self.wanted(task.softmax(-1)),
        }

    def write(self, states: Tensor, context: Tensor, gate_logits: Tensor) -> Tensor:
        """states [N, D] of the text, with context [N, D] and routing logits [N, 5] of their event -> [N, D + 1], whose
        product with `table` is the logits of the next piece."""
        mixed = self.experts(states + context, routed(gate_logits, self.settings.experts_used))
        return torch.cat([mixed, mixed.new_ones(len(mixed), 1)], dim=-1)

    def table(self) -> Tensor:
        """[V, D + 1]: each piece's vector and its bias."""
        return torch.cat([self.pieces.weight, self.bias.unsqueeze(-1)], dim=-1)

    def forward(self, batch: Batch) -> Outputs:
        """All outputs of a batch of `collate`; `written` [N, D + 1] follows the valid targets in their order."""
        states = self.read(batch["tokens"])
        row, position, screen = batch["row"], batch["position"], batch["screen"]
        seen = self.see(batch["screens"], batch["boxes"])
        lost = torch.rand(screen.shape, device=screen.device) < (self.settings.screen_dropout if self.training else 0.0)
        answers = self.decide(
            states[row, position], batch["typed"], batch["layout"], seen, screen.masked_fill(lost, -1)
        )
        event, step = (batch["target"] != IGNORED).nonzero(as_tuple=True)
        there = states[row[event], position[event] + step]
        context, gate = answers.pop("context")[event], answers["gate_logits"][event]
        answers |= {"written": self.write(there, context, gate), "table": self.table()}
        if seen is not None:
            index = screen.clamp(min=0)
            answers |= {"screen_feature": seen.whole[index], "region_features": seen.regions[index]}
        return answers


def build(section: Any, prepared: Path) -> Keyboard:
    """A freshly initialised model for the prepared data; the caller has seeded torch."""
    return Keyboard(section.model, load_codec(prepared).size)


def rollout(model: nn.Module, batch: Batch, section: Any) -> Iterator[Outputs]:
    """One pass over a batch."""
    yield model(batch)
