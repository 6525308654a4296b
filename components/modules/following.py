"""Going on where the source says the same: how much of what was written last also stands before each of its positions.

A model that copies can learn this by itself, one piece of the vocabulary after the other (induction heads, Olsson et
al. 2022). Given as a number it holds for pieces that were never seen together, which is what a new project is made of.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

MOST = 4  # pieces compared


def ends_alike(written: Tensor, source: Tensor, start: int) -> Tensor:
    """How many pieces before each position of the source equal those written last, MOST at most.

    Args:
        written: [B, T] ids, 0 where nothing stands; `start` begins a text, and agreeing back to it is agreeing fully.
        source: [B, L] ids, 0 pads; `start` stands in front of everything that may be begun like a text.

    Returns:
        [B, T, L] int64, for each length of the text.
    """
    agree = torch.ones(*written.shape, source.shape[1], dtype=torch.bool, device=source.device)
    count = torch.zeros(agree.shape, dtype=torch.int64, device=source.device)
    for back in range(MOST):
        last, before = _shifted(written, back), _shifted(source, back + 1)
        agree = agree & (last[:, :, None] == before[:, None, :]) & (last != 0)[:, :, None]
        count = count + agree
        begun = (last == start)[:, :, None]
        count = count.masked_fill(agree & begun, MOST)
        agree = agree & ~begun
    return count


def _shifted(ids: Tensor, back: int) -> Tensor:
    """[B, T]: at each position what stands `back` before it, 0 in front."""
    return functional.pad(ids, (back, 0))[:, : ids.shape[1]]


class Follower(nn.Module):
    """What the source suggests to write next, heard in several ways, and where the pointer should lean.

    Args:
        width: of the states.
        segments: kinds of source positions; each has its own weight for every number of equal pieces.
        heads: ways of listening.
    """

    def __init__(self, width: int, segments: int, heads: int) -> None:
        super().__init__()
        self.weights = nn.Embedding(segments * (MOST + 1), heads + 1)
        self.slope = nn.Parameter(torch.ones(heads + 1))
        self.hear = nn.Linear(heads * width, width, bias=False)

    def forward(self, alike: Tensor, segments: Tensor, present: Tensor, said: Tensor) -> tuple[Tensor, Tensor]:
        """([B, T, D] to add to what the decoder reads, [B, T, L] to add to the pointer's scores).

        Args:
            alike: [B, T, L] of `ends_alike`.
            segments: [B, L].
            present: [B, L], True where the source is no padding.
            said: [B, L, D] what each position of the source would say.
        """
        scores = self.weights(segments[:, None, :] * (MOST + 1) + alike) + alike.unsqueeze(-1) * self.slope
        scores = scores.permute(0, 3, 1, 2)
        heard = scores[:, 1:].masked_fill(~present[:, None, None, :], float("-inf")).softmax(-1)
        batch, heads, length, _ = heard.shape
        mixed = heard.reshape(batch, heads * length, -1) @ said
        mixed = mixed.view(batch, heads, length, -1).transpose(1, 2).reshape(batch, length, -1)
        return self.hear(mixed), scores[:, 0]
