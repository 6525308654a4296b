"""The recursion of the Tiny Recursive Model (Jolicoeur-Martineau 2025, arXiv 2510.04871), one for all workloads."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor


def _improve(
    network: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, z: Tensor, latent_updates: int
) -> tuple[Tensor, Tensor]:
    """n updates of the latent z from question, answer and latent, then one update of the answer y."""
    for _ in range(latent_updates):
        z = network(x + y + z)
    return network(y + z), z


def recurse(
    network: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, z: Tensor, latent_updates: int, recursions: int
) -> tuple[Tensor, Tensor]:
    """T recursions of the one small network; all but the last run without gradient (figure 3 of the paper).

    Args:
        network: maps [B, L, D] to [B, L, D].
        x: embedded question [B, L, D].
        y, z: current answer and latent, same shape.

    Returns:
        The improved answer and latent, with the graph of the last recursion only.
    """
    with torch.no_grad():
        for _ in range(recursions - 1):
            y, z = _improve(network, x, y, z, latent_updates)
    return _improve(network, x, y, z, latent_updates)


def supervise(
    network: Callable[[Tensor], Tensor],
    embed: Callable[[], Tensor],
    y: Tensor,
    z: Tensor,
    *,
    latent_updates: int,
    recursions: int,
    steps: int,
    no_gradient_steps: int = 0,
) -> Iterator[Tensor]:
    """Yields the answer [B, L, D] after each supervision step that gives a loss; states are detached in between.

    The first `no_gradient_steps` steps improve the answer without gradient and yield nothing (truncated
    back-propagation through supervision). `embed` is called anew for each step with gradient, so that a step can be
    backpropagated, and its memory freed, before the next one starts. y and z are the fixed initial states.
    """
    with torch.no_grad():
        x = embed()
        for _ in range(no_gradient_steps):
            y, z = recurse(network, x, y, z, latent_updates, recursions)
    for _ in range(steps - no_gradient_steps):
        if torch.is_grad_enabled():
            x = embed()
        y, z = recurse(network, x, y, z, latent_updates, recursions)
        yield y
        y, z = y.detach(), z.detach()
