"""The writer of assertions: an encoder over the test and a decoder that may copy from it; teacher and student are this
same code at different sizes.

The source is one sequence with a segment a token: the test's name, the method under test, what the test did so far, its
last assertion, and the assertion of the most similar known test. Editing one of these is copying most of it. Every
position also sees the token before it directly, so that "what follows x" can be looked up without a layer to learn it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.config_distillation import AssertionsModel
from components.modules.attention import Block, normalise, rotary_table
from components.modules.crossing import CrossBlock, Memory, Pointer, Written
from components.modules.initialise import initialise_layers
from components.workloads.assertions.encode import PAD, SEGMENTS, Codec


@dataclass
class Read:
    """A source as the decoder needs it: memories of each block, what may be copied, which positions are real."""

    tokens: Tensor
    memories: list[Memory]
    offers: Tensor
    mask: Tensor

    def repeated(self, times: int) -> Read:
        """Each sample `times` times in a row, for as many hypotheses."""
        return self.chosen(torch.arange(len(self.tokens), device=self.tokens.device).repeat_interleave(times))

    def chosen(self, rows: Tensor) -> Read:
        """The samples with those indices."""
        memories = [Memory(m.key[rows], m.value[rows]) for m in self.memories]
        return Read(self.tokens[rows], memories, self.offers[rows], self.mask[rows])


class AssertionWriter(nn.Module):
    """Encoder-decoder with copying.

    Only where a loss asks for them, and no part of what is saved: `pieces`, frozen embeddings [V, E] of the vocabulary,
    `codec`, which turns ids into text, and `teacher`, the folder of the one to compare with.

    Args:
        settings: sizes.
        vocabulary: number of token ids.
        teacher_width: of a teacher whose states the decoder's are compared with; None without such a term.
    """

    pieces: Tensor | None

    def __init__(self, settings: AssertionsModel, vocabulary: int, teacher_width: int | None = None) -> None:
        super().__init__()
        width, heads = settings.width, settings.attention_heads
        self.settings = settings
        self.tokens = nn.Embedding(vocabulary, width)
        self.segments = nn.Embedding(len(SEGMENTS), width)
        self.before = nn.Linear(width, width, bias=False)
        self.encoder = nn.ModuleList(Block(width, heads) for _ in range(settings.encoder_layers))
        self.decoder = nn.ModuleList(CrossBlock(width, heads) for _ in range(settings.decoder_layers))
        self.pointer = Pointer(width, settings.copy_width)
        self.dropout = nn.Dropout(settings.dropout)
        initialise_layers(self)
        self.to_teacher = None if teacher_width is None else nn.Linear(width, teacher_width, bias=False)
        if self.to_teacher is not None:
            initialise_layers(self.to_teacher)
        self.register_buffer("pieces", None, persistent=False)
        self.codec: Codec | None = None
        self.teacher: Path | None = None

    def read(self, source: Tensor, segments: Tensor) -> Read:
        """source, segments [B, L], 0 pads -> what the decoder needs of it."""
        present = source != PAD
        mask = present[:, None, None, :]
        x = self._embed(source, torch.zeros_like(source[:, :1])) + self.segments(segments)
        x = self.dropout(normalise(x))
        cosine, sine = self._positions(source.shape[1], source.device)
        for block in self.encoder:
            x = self.dropout(block(x, cosine, sine, mask))
        memories = [block.remember(x) for block in self.decoder]  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
        return Read(source, memories, self.pointer.offers(x), mask)

    def write(self, target: Tensor, read: Read) -> tuple[Tensor, Tensor]:
        """Log-probabilities [B, T, V] of the token after each of `target` [B, T], and the states [B, T, D]."""
        length = target.shape[1]
        cosine, sine = self._positions(length, target.device)
        mask = torch.ones(length, length, dtype=torch.bool, device=target.device).tril()
        x = self.dropout(normalise(self._embed(target, torch.zeros_like(target[:, :1]))))
        for block, memory in zip(self.decoder, read.memories, strict=True):
            x, _ = block(x, cosine, sine, mask, memory, read.mask)
            x = self.dropout(x)
        return self._tell(x, read), x

    def next(
        self, last: Tensor, before: Tensor, position: int, read: Read, written: Sequence[Written] | None
    ) -> tuple[Tensor, list[Written]]:
        """Log-probabilities [B, V] of the token after `last` [B], which stands at `position` after `before` [B] (0 at
        the start), and the cache for the position that follows."""
        cosine, sine = (part[position:] for part in self._positions(position + 1, last.device))
        mask = torch.ones(1, position + 1, dtype=torch.bool, device=last.device)
        x = normalise(self._embed(last.unsqueeze(1), before.unsqueeze(1)))
        caches: list[Written] = []
        for i, (block, memory) in enumerate(zip(self.decoder, read.memories, strict=True)):
            x, cache = block(x, cosine, sine, mask, memory, read.mask, None if written is None else written[i])
            caches.append(cache)
        return self._tell(x, read).squeeze(1), caches

    def _embed(self, tokens: Tensor, first: Tensor) -> Tensor:
        """Embeddings [B, L, D] with what stands before each; `first` [B, 1] stands before the first."""
        before = torch.cat([first, tokens[:, :-1]], dim=1)
        return self.tokens(tokens) + self.before(self.tokens(before)) * (before != PAD).unsqueeze(-1)

    def _tell(self, states: Tensor, read: Read) -> Tensor:
        scores = functional.linear(states, self.tokens.weight) * states.shape[-1] ** -0.5
        return self.pointer(states, scores, read.offers, read.tokens)

    def _positions(self, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
        return rotary_table(length, self.settings.width // self.settings.attention_heads, device)


def inference_parameters(model: nn.Module) -> int:
    """Number of parameters that writing needs: the projection to a teacher's width is of training only."""
    return sum(p.numel() for name, p in model.named_parameters() if not name.startswith("to_teacher."))
