"""What every loss term is: a pure function that returns unreduced values and a mask.

Only the composite reduces, as sum(values[valid]) / count with the count of a whole optimizer step, so micro-batches,
deep-supervision steps and DDP ranks add up to the gradient of one big batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor


class Masked(NamedTuple):
    """Unreduced float32 values (one per sample, span or token) and a boolean mask of the same shape."""

    values: Tensor
    valid: Tensor


Outputs = Mapping[str, Tensor]
Batch = Mapping[str, Tensor]


@dataclass(frozen=True)
class Term:
    """A loss term as a workload offers it.

    Attributes:
        loss: (outputs, batch, settings) -> Masked; settings is the term's section of params.yaml.
        count: (batch, settings) -> scalar tensor, the number of valid values. It reads labels only, so the counts of a
            whole optimizer step are known before its first backward.
        every_step: True when every supervision step gives this term; False when only the last one does.
        compares_samples: True for terms that relate samples to each other (InfoNCE, load balance).
        has_gradient: False for measures that cannot be a loss; the composite refuses them.
        needs: names of the outputs the term reads. A term with every_step=False is skipped where one is missing.

    Outputs of a term with every_step=True may carry one more leading dimension, the supervision steps stacked; labels
    broadcast against it and values and valid keep it.
    """

    loss: Callable[[Outputs, Batch, Any], Masked]
    count: Callable[[Batch, Any], Tensor]
    every_step: bool = True
    compares_samples: bool = False
    has_gradient: bool = True
    needs: tuple[str, ...] = ()
