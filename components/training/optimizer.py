"""AdamW, its learning-rate schedule and gradient clipping."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

BETAS = (0.9, 0.95)  # of the Tiny Recursive Model paper (arXiv 2510.04871)
EPS = 1e-8


def adamw(model: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW over two groups: matrices decay, vectors (norm gains, biases) do not.

    Loshchilov & Hutter 2019, arXiv 1711.05101. Fused kernels where every parameter is floating point.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for _, p in named if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for _, p in named if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=learning_rate, betas=BETAS, eps=EPS, fused=True)


def rate_factor(progress: float, warmup_share: float) -> float:
    """Share of the full learning rate at `progress` in [0, 1]: linear warm-up, then half a cosine down to 0 at 1."""
    if progress < warmup_share:
        return progress / warmup_share
    return 0.5 * (1.0 + math.cos(math.pi * (progress - warmup_share) / (1.0 - warmup_share)))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Gives every parameter group this learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def fill_missing_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Zeros where no micro-batch reached a parameter, so that every rank and every split of a step does the same."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Global L2 norm of all gradients, a scalar; inf and NaN come through."""
    return torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])


def clip(parameters: list[nn.Parameter], norm: Tensor, limit: float) -> None:
    """Scales all gradients in place so that their global norm, now `norm`, is at most `limit`."""
    torch.nn.utils.clip_grads_with_norm_(parameters, limit, norm)
