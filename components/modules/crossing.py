"""The decoder's side of an encoder-decoder: blocks that look back at what is written and across at what was read, and
a pointer that copies from it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.modules.attention import attend, normalise, rotate

SMALLEST = 1e-12  # a probability below it counts as this much, so that its logarithm is finite


@dataclass
class Memory:
    """What a decoder block reads of the source: keys and values [B, heads, L, D / heads]."""

    key: Tensor
    value: Tensor


@dataclass
class Written:
    """A decoder block's keys and values of what stands written so far [B, heads, t, D / heads]."""

    key: Tensor
    value: Tensor


class CrossBlock(nn.Module):
    """Causal self-attention, attention across to the source, gated feed-forward; a norm follows each.

    Args:
        width: channels D, a multiple of `heads`.
        heads: attention heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        hidden = -(-8 * width // 3 // 16) * 16
        self.heads = heads
        self.mix = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.ask = nn.Linear(width, width, bias=False)
        self.read = nn.Linear(width, 2 * width, bias=False)
        self.hear = nn.Linear(width, width, bias=False)
        self.gate = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def remember(self, source: Tensor) -> Memory:
        """The source's states [B, L, D] as this block reads them, computed once however much is written."""
        key, value = self._split(self.read(source), 2)
        return Memory(key, value)

    def forward(
        self,
        x: Tensor,
        cosine: Tensor,
        sine: Tensor,
        mask: Tensor,
        memory: Memory,
        memory_mask: Tensor,
        written: Written | None = None,
    ) -> tuple[Tensor, Written]:
        """x [B, T, D] -> [B, T, D] and the cache that a call for the next positions takes.

        Args:
            cosine, sine: [T, D / heads] of these positions.
            mask: [..., T, t + T], True where attention is allowed, t positions being written already.
            memory_mask: [B, 1, 1, L].
        """
        query, key, value = self._split(self.mix(x), 3)
        query, key = (rotate(part.transpose(1, 2), cosine, sine).transpose(1, 2) for part in (query, key))
        if written is not None:
            key, value = torch.cat([written.key, key], 2), torch.cat([written.value, value], 2)
        x = normalise(x + self.out(_joined(attend(query, key, value, mask))))
        (asked,) = self._split(self.ask(x), 1)
        x = normalise(x + self.hear(_joined(attend(asked, memory.key, memory.value, memory_mask))))
        gate, up = self.gate(x).chunk(2, dim=-1)
        return normalise(x + self.down(functional.silu(gate) * up)), Written(key, value)

    def _split(self, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        """[B, L, parts x D] -> parts of [B, heads, L, D / heads]."""
        batch, length, _ = x.shape
        return x.view(batch, length, parts, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)


def _joined(x: Tensor) -> Tensor:
    batch, _, length, _ = x.shape
    return x.transpose(1, 2).reshape(batch, length, -1)


def _full(x: Tensor) -> Tensor:
    """At least float32: half precisions have too few digits for logarithms."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class Pointer(nn.Module):
    """Writes a token of the vocabulary or copies one of the source (pointer-generator, See et al. 2017).

    Args:
        width: of the states.
        copy_width: of the vectors in which states and source positions are compared.
    """

    def __init__(self, width: int, copy_width: int) -> None:
        super().__init__()
        self.seek = nn.Linear(width, copy_width, bias=False)
        self.offer = nn.Linear(width, copy_width, bias=False)
        self.choose = nn.Linear(width, 1)

    def offers(self, source: Tensor) -> Tensor:
        """The source's states [B, L, D] -> [B, L, C], computed once however much is written."""
        return self.offer(source)

    def forward(self, states: Tensor, scores: Tensor, offers: Tensor, tokens: Tensor, leaning: Tensor) -> Tensor:
        """Log-probabilities [B, T, V] in full precision: g softmax(scores) + (1 - g) x what copying gives each token.

        Args:
            states: [B, T, D]; scores: [B, T, V] of the vocabulary; offers: of `offers`; tokens: [B, L] ids of the
                source, 0 where padded: there is nothing to copy there; leaning: [B, T, L] towards each position.
        """
        pull = _full(self.seek(states) @ offers.transpose(1, 2)) * offers.shape[-1] ** -0.5 + leaning
        pull = pull.masked_fill((tokens == 0).unsqueeze(1), float("-inf")).softmax(-1)
        writes = torch.sigmoid(_full(self.choose(states)))
        mixed = _full(scores).softmax(-1) * writes
        mixed = mixed.scatter_add(-1, tokens.unsqueeze(1).expand(pull.shape), pull * (1 - writes))
        return mixed.clamp_min(SMALLEST).log()
