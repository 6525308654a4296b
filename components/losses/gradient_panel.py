"""Which terms pull the shared parameters, how hard, and against whom (cosine: Yu et al. 2020, arXiv 2001.06782)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from components.losses.composite import Composite
from components.losses.contract import Batch, Outputs


@dataclass(frozen=True)
class GradientPanel:
    """Per weighted term: gradient norm and its part of the sum of norms; per pair of terms: the cosine.

    A pair with a zero gradient has no angle and is left out.
    """

    norms: dict[str, float]
    shares: dict[str, float]
    cosines: dict[tuple[str, str], float]

    def rows(self) -> dict[str, dict[str, float]]:
        """name -> {"norm", "share"} as it stands in a curve's line under "gradients"."""
        return {name: {"norm": norm, "share": self.shares[name]} for name, norm in self.norms.items()}


def gradient_panel(
    composite: Composite,
    outputs: Outputs,
    batch: Batch,
    counts: Mapping[str, Tensor],
    progress: float,
    parameters: Iterable[Tensor],
) -> GradientPanel:
    """One backward per weighted term; the graph is kept, so the loss's own backward may follow.

    Args:
        parameters: what the gradients are taken with respect to, usually the shared network's parameters.
    """
    parameters = [p for p in parameters if p.requires_grad]
    gradients = {}
    for name, share in composite.shares(outputs, batch, counts, progress).items():
        found = torch.autograd.grad(share, parameters, retain_graph=True, allow_unused=True)
        gradients[name] = torch.cat(
            [
                (torch.zeros_like(p) if g is None else g).flatten().double()
                for p, g in zip(parameters, found, strict=True)
            ]
        )
    norms = {name: float(g.norm()) for name, g in gradients.items()}
    total = sum(norms.values())
    cosines = {
        (a, b): float(gradients[a] @ gradients[b]) / (norms[a] * norms[b])
        for a, b in combinations(gradients, 2)
        if norms[a] and norms[b]
    }
    return GradientPanel(norms, {name: norm / total if total else 0.0 for name, norm in norms.items()}, cosines)
