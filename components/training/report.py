"""What is reported of a stretch of optimizer steps: sums that add up over steps, micro-batches and ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from components.losses.composite import Report
from components.training.distributed import Ranks, sum_over_ranks

STEPS_PER_TERM = 50  # a panel costs at most an optimizer step a term, so 50 of them apart it costs at most 2%


def panel_due(step: int, left: int, first_epoch: bool, report_every: int, terms: int) -> bool:
    """Whether the report after optimizer step `step` (counted from 1) carries the gradient panel.

    A panel every `STEPS_PER_TERM x terms` steps and, so that a short run has one, in the first epoch's last report. A
    function of the place in the run alone: what was killed and resumed before does not matter.

    Args:
        left: optimizer steps of the epoch after this one.
        terms: loss terms of the run, each of which costs the panel a backward pass.
    """
    reported = step % report_every == 0
    return reported and (step % (STEPS_PER_TERM * terms) < report_every or (first_epoch and left < report_every))


class Window:
    """Running sums since the last report, on the device in float64, so that collecting them never waits for it.

    Row i of `sums` is term i: sum of valid values, number of valid values. The last row holds the loss as it was
    backpropagated.
    """

    def __init__(self, terms: tuple[str, ...], device: torch.device) -> None:
        self.terms = terms
        kind = torch.float64 if device.type != "mps" else torch.float32
        self.sums = torch.zeros(len(terms) + 1, 2, dtype=kind, device=device)
        self.steps = 0
        self.factors = (0.0,) * len(terms)  # weights in force in the latest step

    def add(self, loss: Tensor, report: Report) -> None:
        """One optimizer step: its loss and the sum of its parts' reports."""
        self.sums[:-1, 0] += report.sums
        self.sums[:-1, 1] += report.numbers
        self.sums[-1, 0] += loss
        self.factors = report.factors

    def clear(self) -> None:
        self.sums.zero_()
        self.steps = 0

    def restore(self, sums: Tensor, steps: int) -> None:
        self.sums.copy_(sums)
        self.steps = steps

    def summarise(self, ranks: Ranks) -> dict[str, Any]:
        """Loss a step, and per term the raw mean, the weight in force at the latest step (schedule included), the share
        of the loss (weight x raw) and the number of valid values.

        A term with nothing valid has raw 0 and n_valid 0.
        """
        return summary(self.terms, self.factors, sum_over_ranks(self.sums.clone(), ranks), self.steps)


def summary(terms: Sequence[str], factors: Sequence[float], sums: Tensor, steps: int) -> dict[str, Any]:
    """What `Window.summarise` gives, of `sums` [T + 1, 2] as a window holds them over `steps` optimizer steps."""
    *rows, (loss, _) = sums.tolist()
    found = {}
    for name, factor, (total, count) in zip(terms, factors, rows, strict=True):
        raw = total / count if count else 0.0
        found[name] = {"raw": raw, "weight": factor, "share": factor * raw, "n_valid": int(count)}
    return {"loss": loss / max(steps, 1), "terms": found}
