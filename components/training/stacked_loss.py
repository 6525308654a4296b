"""The losses of several candidates over the stacked outputs of their models.

Terms whose numbers (gamma, tau, ...) are the same in all lanes are computed once for the whole stack; the others lane
by lane, because a number may enter a formula in any way. Weights and schedules never split the stack: they multiply
sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from components.losses.composite import Composite, Leaf
from components.losses.contract import Batch

NOT_OF_THE_FORMULA = ("weight", "schedule")
Sums = tuple[Tensor, Tensor]  # sum of valid values and their number


@dataclass(frozen=True)
class StackedReport:
    """Detached sums and numbers of valid values [K, T] of a part of the loss [K]."""

    loss: Tensor
    sums: Tensor
    numbers: Tensor


class StackedLoss:
    """The composites of K lanes, callable with outputs [K, ...] as a composite is with those of one model.

    Args:
        composites: one a lane; they have the same terms.
    """

    def __init__(self, composites: Sequence[Composite]) -> None:
        self.composites = tuple(composites)
        self.names = self.composites[0].names
        formulas = [[_formula(leaf) for leaf in composite.leaves] for composite in self.composites]
        self._alike = [all(own == first for own in column) for first, *column in zip(*formulas, strict=True)]

    def counts(self, batches: Sequence[Batch], supervision_steps: int) -> Tensor:
        """Numbers of valid values [K, T] in the micro-batches of one optimizer step, as `Composite.counts` gives them.

        Raises:
            EquipoiseError: E_LOSS_TERM (78) for a term that would not see all samples it compares.
        """
        found: list[Mapping[str, Tensor]] = []
        for composite in self.composites:
            alike = found and all(self._alike)
            found.append(found[0] if alike else composite.counts(batches, supervision_steps))
        if all(self._alike):
            return torch.stack([found[0][name] for name in self.names]).expand(len(found), -1)
        return torch.stack([torch.stack([counts[name] for name in self.names]) for counts in found])

    def __call__(
        self, outputs: Mapping[str, Tensor], batch: Batch, counts: Tensor, progress: float
    ) -> tuple[Tensor, StackedReport]:
        """The sum of the lanes' shares of the loss, a scalar whose gradient is every lane's own, and what to log.

        Args:
            outputs: [K, ...] of one supervision step.
            batch: of all lanes.
            counts: [K, T] of `counts`.

        Raises:
            EquipoiseError: E_LOSS_OUTPUT (78) when the models do not give what a weighted term needs.
        """
        factors = [each.in_force(outputs, each.factors(progress)) for each in self.composites]
        leaves, device = self.composites[0].leaves, next(iter(outputs.values())).device
        given = [i for i, leaf in enumerate(leaves) if leaf.given(outputs)]
        learning = [any(row[i] > 0 for row in factors) for i in range(len(leaves))]
        with torch.autocast(device.type, enabled=False):
            found = self._together([i for i in given if self._alike[i]], learning, outputs, batch)
            found |= self._each([i for i in given if not self._alike[i]], learning, outputs, batch)
        nothing = torch.zeros(len(self.composites), device=device)
        sums = torch.stack([found[i][0] if i in found else nothing for i in range(len(leaves))], dim=1)
        numbers = torch.stack([found[i][1] if i in found else nothing.long() for i in range(len(leaves))], dim=1)
        weights = torch.tensor(factors, dtype=sums.dtype).to(device, non_blocking=True)
        shares = (sums * (weights / counts.clamp(min=1))).sum(1)
        return shares.sum(), StackedReport(shares.detach(), sums.detach(), numbers)

    def _together(
        self, chosen: list[int], learning: list[bool], outputs: Mapping[str, Tensor], batch: Batch
    ) -> dict[int, Sums]:
        """Terms whose numbers are those of every lane."""
        leaves = self.composites[0].leaves

        def of_lane(own: Mapping[str, Tensor]) -> list[Sums]:
            return [_sums(leaves[i], own, batch, learning[i]) for i in chosen]

        if not chosen:
            return {}
        return dict(zip(chosen, torch.vmap(of_lane, randomness="same")(dict(outputs)), strict=True))

    def _each(
        self, chosen: list[int], learning: list[bool], outputs: Mapping[str, Tensor], batch: Batch
    ) -> dict[int, Sums]:
        """Terms that have numbers of their own in some lane."""
        if not chosen:
            return {}
        needed = {name for i in chosen for name in self.composites[0].leaves[i].term.needs}
        unbound = {name: outputs[name].unbind(0) for name in outputs if name in needed}
        owns = [{name: values[lane] for name, values in unbound.items()} for lane in range(len(self.composites))]
        found = {}
        for i in chosen:
            leaves = [composite.leaves[i] for composite in self.composites]
            parts = [_sums(leaf, own, batch, learning[i]) for leaf, own in zip(leaves, owns, strict=True)]
            found[i] = torch.stack([total for total, _ in parts]), torch.stack([number for _, number in parts])
        return found


def _sums(leaf: Leaf, outputs: Mapping[str, Tensor], batch: Batch, learning: bool) -> Sums:
    with torch.set_grad_enabled(torch.is_grad_enabled() and learning):
        values, valid = leaf.term.loss(outputs, batch, leaf.settings)
        return torch.where(valid, values, 0.0).sum(), valid.sum()


def _formula(leaf: Leaf) -> Mapping[str, Any]:
    """The term's own numbers."""
    return {name: value for name, value in dict(leaf.settings).items() if name not in NOT_OF_THE_FORMULA}
