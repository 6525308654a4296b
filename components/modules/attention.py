"""Transformer blocks small enough to read: norms without parameters, rotary positions, gated feed-forward."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def normalise(x: Tensor) -> Tensor:
    """Layer norm of the last axis without gain or bias: one fused kernel on CPUs (an RMS norm takes five passes)."""
    return functional.layer_norm(x, (x.shape[-1],))


def rotary_table(length: int, head_width: int, device: torch.device, base: float = 10_000.0) -> tuple[Tensor, Tensor]:
    """Cosine and sine [length, head_width] of rotary position embeddings (Su et al. 2021)."""
    frequencies = base ** (-torch.arange(0, head_width, 2, device=device, dtype=torch.float32) / head_width)
    angles = torch.arange(length, device=device, dtype=torch.float32)[:, None] * frequencies[None]
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turns queries and keys [B, L, heads, head_width] by their positions."""
    first, second = x.chunk(2, dim=-1)
    return x * cosine[:, None].to(x.dtype) + torch.cat([-second, first], dim=-1) * sine[:, None].to(x.dtype)


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Softmax attention [B, heads, L, head_width]; float32 on CPUs, whose bfloat16 backward is far slower."""
    if query.device.type != "cpu":
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    with torch.autocast("cpu", enabled=False):
        return functional.scaled_dot_product_attention(query.float(), key.float(), value.float(), attn_mask=mask)


class Block(nn.Module):
    """Self-attention and a gated feed-forward, each followed by a norm (post-norm keeps a recursion bounded).

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
        self.gate = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor, mask: Tensor) -> Tensor:
        """x [B, L, D]; cosine, sine [L, D / heads]; mask [B, 1, L, L], True where attention is allowed -> [B, L, D]."""
        batch, length, width = x.shape
        query_key, value = (
            self.mix(x).view(batch, length, 3 * self.heads, -1).split([2 * self.heads, self.heads], dim=2)
        )
        query, key = rotate(query_key, cosine, sine).transpose(1, 2).chunk(2, dim=1)
        mixed = attend(query, key, value.transpose(1, 2), mask)
        x = normalise(x + self.out(mixed.transpose(1, 2).reshape(batch, length, width)))
        gate, up = self.gate(x).chunk(2, dim=-1)
        return normalise(x + self.down(functional.silu(gate) * up))
