"""Which terms pull the shared parameters, how hard, and against whom (cosine: Yu et al. 2020, arXiv 2001.06782)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

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

    def rows(self) -> dict[str, Any]:
        """What stands of it in a curve's line: "gradients" name -> {"norm", "share"}, "cosines" name -> {later name ->
        cosine} and "effective_terms"."""
        cosines: dict[str, dict[str, float]] = {}
        for (one, other), cosine in self.cosines.items():
            cosines.setdefault(one, {})[other] = cosine
        gradients = {name: {"norm": norm, "share": self.shares[name]} for name, norm in self.norms.items()}
        effective = {"effective_terms": effective_number(self.shares.values())} if any(self.shares.values()) else {}
        return {"gradients": gradients, **({"cosines": cosines} if cosines else {}), **effective}


def effective_number(shares: Iterable[float]) -> float:
    """How many terms there would be if all pulled alike: exp(-sum p ln p) over p = share / sum of shares.

    T equal shares give T, a single one gives 1 (the exponential of Shannon's entropy: Hill 1973, number of order 1).

    Args:
        shares: none below 0, one above.
    """
    kept = [share for share in shares if share]
    total = sum(kept)
    return math.exp(-sum(share / total * math.log(share / total) for share in kept))


def gradient_panel(
    composite: Composite,
    parts: Iterable[tuple[Batch, Outputs]],
    counts: Mapping[str, Tensor],
    progress: float,
    parameters: Iterable[Tensor],
    factors: tuple[float, ...] | None = None,
) -> GradientPanel:
    """One backward per weighted term and part; leaves no gradient behind in the parameters.

    Args:
        parts: batch and outputs of every supervision step, whose gradients add up; each part's graph is freed before
            the next is asked for.
        counts: numbers of valid values in all parts together. A term with none is left out: it has nothing to say.
        parameters: what the gradients are taken with respect to. Those that one term alone reaches (its head's) are
            left out where several terms are weighted, so that what is compared is the pull on what they share.
        factors: of every term, in force; None takes those of the settings.
    """
    parameters = [p for p in parameters if p.requires_grad]
    found: Gradients = {}
    for batch, outputs in parts:
        add_gradients(found, composite.shares(outputs, batch, counts, progress, factors)[0], parameters)
        del outputs
    found = {name: gradients for name, gradients in found.items() if int(counts[name])}
    names, products = list(found), scalar_products(found, parameters).tolist()
    norms = {name: products[i][i] ** 0.5 for i, name in enumerate(names)}
    total = sum(norms.values())
    cosines = {
        (names[i], names[j]): products[i][j] / (norms[names[i]] * norms[names[j]])
        for i, j in combinations(range(len(names)), 2)
        if products[i][i] and products[j][j]
    }
    return GradientPanel(norms, {name: norm / total if total else 0.0 for name, norm in norms.items()}, cosines)


def add_gradients(found: Gradients, shares: Mapping[str, Tensor], parameters: Sequence[Tensor]) -> None:
    """Adds each share's gradient with respect to each parameter, None where it does not reach it; one backward each."""
    for name, share in shares.items():
        so_far = found.setdefault(name, [None] * len(parameters))
        if share.requires_grad:
            more = torch.autograd.grad(share, parameters, retain_graph=True, allow_unused=True)
            found[name] = [a if b is None else b if a is None else a + b for a, b in zip(so_far, more, strict=True)]


def scalar_products(found: Gradients, parameters: Sequence[Tensor]) -> Tensor:
    """[T, T] scalar products of the terms' gradients, on the CPU, summed in float64 where the device has it.

    Only over parameters that several terms reach, where there are several terms.
    """
    total = torch.zeros(len(found), len(found), dtype=torch.float64)
    for index, parameter in enumerate(parameters):
        each = [gradients[index] for gradients in found.values()]
        if each and sum(g is not None for g in each) >= min(2, len(found)):
            rows = torch.stack([torch.zeros_like(parameter) if g is None else g for g in each]).flatten(1).detach()
            exact = rows if rows.device.type == "mps" else rows.double()
            total += (exact @ exact.T).cpu()
    return total
