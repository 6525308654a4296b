"""Which terms pull the shared parameters, how hard, and against whom (cosine: Yu et al. 2020, arXiv 2001.06782)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from components.losses.composite import Composite
from components.losses.contract import Batch, Outputs

Gradients = dict[str, list[Tensor | None]]


@dataclass(frozen=True)
class GradientPanel:
    """Per weighted term: gradient norm and its part of the sum of norms; per pair of terms: the cosine.

    A norm is that of the gradient of weight x mean loss of the term, in loss units per unit of parameter. A pair with a
    zero gradient has no angle and is left out.
    """

    norms: dict[str, float]
    shares: dict[str, float]
    cosines: dict[tuple[str, str], float]

    def rows(self) -> dict[str, dict[str, float]]:
        """name -> {"norm", "share"} as it stands in a curve's line under "gradients"."""
        return {name: {"norm": norm, "share": self.shares[name]} for name, norm in self.norms.items()}


def gradient_panel(
    composite: Composite,
    parts: Iterable[tuple[Batch, Outputs]],
    counts: Mapping[str, Tensor],
    progress: float,
    parameters: Iterable[Tensor],
) -> GradientPanel:
    """One backward per weighted term and part; leaves no gradient behind in the parameters.

    Args:
        parts: batch and outputs of every supervision step, whose gradients add up; each part's graph is freed before
            the next is asked for.
        counts: numbers of valid values in all parts together. A term with none is left out: it has nothing to say.
        parameters: what the gradients are taken with respect to. Those that one term alone reaches (its head's) are
            left out where several terms are weighted, so that what is compared is the pull on what they share.
    """
    parameters = [p for p in parameters if p.requires_grad]
    found: Gradients = {}
    for batch, outputs in parts:
        _add(found, composite.shares(outputs, batch, counts, progress), parameters)
        del outputs
    found = {name: gradients for name, gradients in found.items() if int(counts[name])}
    names, products = list(found), _products(found, parameters)
    norms = {name: products[i][i] ** 0.5 for i, name in enumerate(names)}
    total = sum(norms.values())
    cosines = {
        (names[i], names[j]): products[i][j] / (norms[names[i]] * norms[names[j]])
        for i, j in combinations(range(len(names)), 2)
        if products[i][i] and products[j][j]
    }
    return GradientPanel(norms, {name: norm / total if total else 0.0 for name, norm in norms.items()}, cosines)


def _add(found: Gradients, shares: Mapping[str, Tensor], parameters: list[Tensor]) -> None:
    for name, share in shares.items():
        so_far = found.setdefault(name, [None] * len(parameters))
        if share.requires_grad:
            more = torch.autograd.grad(share, parameters, retain_graph=True, allow_unused=True)
            found[name] = [a if b is None else b if a is None else a + b for a, b in zip(so_far, more, strict=True)]


def _products(found: Gradients, parameters: list[Tensor]) -> list[list[float]]:
    """Scalar products of the terms' gradients [T][T] over the shared parameters, summed in float64 where there is."""
    total = torch.zeros(len(found), len(found), dtype=torch.float64)
    for index, parameter in enumerate(parameters):
        each = [gradients[index] for gradients in found.values()]
        if sum(g is not None for g in each) >= min(2, len(found)):
            rows = torch.stack([torch.zeros_like(parameter) if g is None else g for g in each]).flatten(1).detach()
            exact = rows if rows.device.type == "mps" else rows.double()
            total += (exact @ exact.T).cpu()
    return total.tolist()
