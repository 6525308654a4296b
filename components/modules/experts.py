"""A mixture of small networks of one shape, computed together: one product in, one out, whichever experts are asked."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def routed(logits: Tensor, top: int) -> Tensor:
    """Routing weights [..., n] from logits: a softmax over the `top` likeliest experts; the others get exactly 0."""
    if top >= logits.shape[-1]:
        return logits.softmax(-1)
    kept = logits.topk(top, dim=-1)
    return torch.zeros_like(logits).scatter(-1, kept.indices, kept.values.softmax(-1))


class Experts(nn.Module):
    """x + the weighted sum of n two-layer networks of x.

    Args:
        width: channels D of input and output.
        count: experts n.
        hidden: channels between the two layers of one expert.
    """

    def __init__(self, width: int, count: int, hidden: int) -> None:
        super().__init__()
        self.count = count
        self.up = nn.Linear(width, count * hidden, bias=False)
        self.down = nn.Linear(count * hidden, width, bias=False)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """x [N, D], weights [N, n] -> [N, D]."""
        inner = functional.silu(self.up(x)).view(len(x), self.count, -1) * weights.unsqueeze(-1)
        return x + self.down(inner.flatten(1))
