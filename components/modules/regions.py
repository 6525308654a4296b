"""Average pooling of a map of features over boxes, by the exact share of every cell that a box covers."""

from __future__ import annotations

import torch
from torch import Tensor


def covered(low: Tensor, high: Tensor, cells: int) -> Tensor:
    """Share of each of `cells` equal parts of [0, 1] that lies between low and high [...] -> [..., cells]."""
    edges = torch.linspace(0, 1, cells + 1, device=low.device, dtype=low.dtype)
    inside = torch.minimum(high.unsqueeze(-1), edges[1:]) - torch.maximum(low.unsqueeze(-1), edges[:-1])
    return inside.clamp(min=0) * cells


def pool_regions(maps: Tensor, boxes: Tensor) -> Tensor:
    """Mean features of boxes.

    Args:
        maps: [I, C, H, W].
        boxes: [I, M, 4] as x0, y0, x1, y1 in 0..1 of width and height.

    Returns:
        [I, M, C]; 0 for a box without area.
    """
    boxes = boxes.to(maps.dtype)
    across = covered(boxes[..., 0], boxes[..., 2], maps.shape[3])
    down = covered(boxes[..., 1], boxes[..., 3], maps.shape[2])
    area = across.sum(-1) * down.sum(-1)
    total = torch.einsum("ichw,imh,imw->imc", maps, down, across)
    return total / area.clamp(min=1e-6).unsqueeze(-1)
