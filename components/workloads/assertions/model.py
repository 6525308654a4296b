"""The writer of assertions: an encoder over the test and a decoder that may copy from it; teacher and student are this
same code at different sizes.

The source is one sequence with a segment a token: the test's name, the method under test, what the test did so far, its
last assertion, and the assertion of the most similar known test. Editing one of these is copying most of it. Every
position also sees the token before it directly, so that "what follows x" can be looked up without a layer to learn it,
and the decoder is told where the source goes on like what it has just written.
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
from components.modules.following import MOST, Follower, ends_alike
from components.modules.initialise import initialise_layers
from components.workloads.assertions.encode import BOS, PAD, SEGMENTS, SEP, Codec

LISTENING = 4  # ways in which the decoder hears what the source would say next


@dataclass
class Read:
    """A source as the decoder needs it: its pieces and segments, what each would say, memories of each block, what may
    be copied."""

    tokens: Tensor
    segments: Tensor
    said: Tensor
    memories: list[Memory]
    offers: Tensor

    @property
    def present(self) -> Tensor:
        """[B, L]: which positions are real."""
        return self.tokens != PAD

    def repeated(self, times: int) -> Read:
        """Each sample `times` times in a row, for as many hypotheses."""
        return self.chosen(torch.arange(len(self.tokens), device=self.tokens.device).repeat_interleave(times))

    def chosen(self, rows: Tensor) -> Read:
        """The samples with those indices."""
        memories = [Memory(m.key[rows], m.value[rows]) for m in self.memories]
        return Read(self.tokens[rows], self.segments[rows], self.said[rows], memories, self.offers[rows])


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
        self.follower = Follower(width, len(SEGMENTS), LISTENING)
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
        mask = (source != PAD)[:, None, None, :]
        parts = self.segments(segments)
        x = self.dropout(normalise(self._embed(source) + parts))
        cosine, sine = self._positions(source.shape[1], source.device)
        for block in self.encoder:
            x = self.dropout(block(x, cosine, sine, mask))
        memories = [block.remember(x) for block in self.decoder]  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
        return Read(source, segments, self.tokens(source) + parts, memories, self.pointer.offers(x))

    def write(self, target: Tensor, read: Read) -> tuple[Tensor, Tensor]:
        """Log-probabilities [B, T, V] of the token after each of `target` [B, T], and the states [B, T, D]."""
        length = target.shape[1]
        mask = torch.ones(length, length, dtype=torch.bool, device=target.device).tril()
        told, states, _ = self._decode(target, target, 0, mask, read, None)
        return told, states

    def next(
        self, recent: Tensor, position: int, read: Read, written: Sequence[Written] | None
    ) -> tuple[Tensor, list[Written]]:
        """Log-probabilities [B, V] of the token after `recent` [B, MOST], the last of which stands at `position` (0 in
        front of a start mark), and the cache for the position that follows."""
        mask = torch.ones(1, position + 1, dtype=torch.bool, device=recent.device)
        told, _, caches = self._decode(recent[:, -1:], recent, position, mask, read, written)
        return told.squeeze(1), caches

    def _decode(
        self, target: Tensor, recent: Tensor, position: int, mask: Tensor, read: Read, written: Sequence[Written] | None
    ) -> tuple[Tensor, Tensor, list[Written]]:
        """(log-probabilities [B, T, V], states [B, T, D], caches) of `target` [B, T] at `position` and after it, with
        which `recent` ends."""
        new = target.shape[1]
        alike = ends_alike(recent, read.tokens.masked_fill(read.tokens == SEP, BOS), BOS)[:, -new:]
        heard, leaning = self.follower(alike, read.segments, read.present, read.said)
        cosine, sine = (part[position:] for part in self._positions(position + new, target.device))
        x = self.dropout(normalise(self._embed(recent)[:, -new:] + heard))
        caches: list[Written] = []
        for i, (block, memory) in enumerate(zip(self.decoder, read.memories, strict=True)):
            past = None if written is None else written[i]
            x, cache = block(x, cosine, sine, mask, memory, read.present[:, None, None, :], past)
            x = self.dropout(x)
            caches.append(cache)
        scores = functional.linear(x, self.tokens.weight) * x.shape[-1] ** -0.5
        return self.pointer(x, scores, read.offers, read.tokens, leaning), x, caches

    def _embed(self, tokens: Tensor) -> Tensor:
        """Embeddings [B, L, D] with what stands before each."""
        before = functional.pad(tokens, (1, 0))[:, :-1]
        return self.tokens(tokens) + self.before(self.tokens(before)) * (before != PAD).unsqueeze(-1)

    def _positions(self, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
        return rotary_table(length, self.settings.width // self.settings.attention_heads, device)


def start(samples: int, device: torch.device) -> Tensor:
    """[B, MOST]: what is written before anything is, a start mark alone."""
    recent = torch.zeros(samples, MOST, dtype=torch.int64, device=device)
    recent[:, -1] = BOS
    return recent


def inference_parameters(model: nn.Module) -> int:
    """Number of parameters that writing needs: the projection to a teacher's width is of training only."""
    return sum(p.numel() for name, p in model.named_parameters() if not name.startswith("to_teacher."))
