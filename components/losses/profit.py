"""Cross-entropy that learns more from losses than from luck: each sample weighted by what its trade earned.

The weight is 1 - tanh(pnl / scale): 1 where nothing was earned, near 2 after a large loss, near 0 after a large gain
(the Trade Reasoning Module's specification; its table of weights is wrong, its formula and its printed run are right).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from components.errors import misconfigured
from components.losses.contract import Masked
from components.losses.cross_entropy import class_ce
from components.losses.precision import full


def profit_weights(pnl: Tensor, scale: float, w_min: float = 0.0) -> Tensor:
    """max(1 - tanh(pnl / scale), w_min), as 2 sigmoid(-2 pnl / scale), which keeps its digits when it is small.

    Args:
        pnl: [S] realised PnL as a fraction; .05 is five percent.
        scale: the PnL at which the weight is 1 - tanh 1 = .238. At nine times the scale the weight is below 1e-7.
        w_min: the floor below which no sample's weight falls.
    """
    return (2 * torch.sigmoid(full(pnl) * (-2 / scale))).clamp_min(w_min)


def task_ce(logits: Tensor, labels: Tensor, class_weights: Tensor | None = None, ignore: int = -1) -> Masked:
    """Cross-entropy over strategies, each sample times the weight of its class.

    Args:
        logits: [..., S, C].
        labels: [S] in [0, C), or `ignore`.
        class_weights: [C] or None.

    Returns:
        values and valid [..., S]. Their plain mean divides by the samples, not by the weights of their classes.

    Raises:
        EquipoiseError: E_LOSS_SHAPE (78) when sizes do not fit together.
    """
    _check_sizes(logits, labels=labels)
    ce, valid = class_ce(logits, labels, ignore)
    if class_weights is None:
        return Masked(ce, valid)
    if class_weights.shape != logits.shape[-1:]:
        raise _wrong_size("class_weights", f"[{logits.shape[-1]}]", class_weights)
    return Masked(ce * class_weights.to(ce)[labels.clamp(min=0)], valid)


def profit_ce(
    logits: Tensor,
    labels: Tensor,
    pnl: Tensor,
    scale: float = 0.05,
    w_min: float = 0.0,
    class_weights: Tensor | None = None,
    ignore: int = -1,
) -> Masked:
    """`task_ce` x `profit_weights`: values and valid [..., S]; pnl [S] carries no gradient.

    Raises:
        EquipoiseError: E_LOSS_SHAPE (78) when sizes do not fit together.
    """
    _check_sizes(logits, labels=labels, pnl=pnl)
    values, valid = task_ce(logits, labels, class_weights, ignore)
    return Masked(values * profit_weights(pnl.detach(), scale, w_min).to(values.dtype), valid)


def balanced_class_weights(counts: Tensor, limit: float) -> Tensor:
    """[C] weights 1 / count, of mean 1 over the classes that occur, none above `limit`; says nothing, never waits.

    A class that never occurs would have an infinite weight, and leave nothing for the others once they are scaled to a
    sum: it takes the limit and no part in the scaling.
    """
    occurs = counts > 0
    inverse = torch.where(occurs, 1 / counts.clamp(min=1).to(torch.get_default_dtype()), 0.0)
    scaled = inverse * (occurs.sum().clamp(min=1) / inverse.sum().clamp(min=torch.finfo(inverse.dtype).tiny))
    return torch.where(occurs, scaled, math.inf).clamp(max=limit)


def clamped_class_weights(weights: Sequence[float], limit: float) -> Tensor:
    """[C] given weights as a tensor, none above `limit`; a warning names the classes that were too heavy.

    Raises:
        EquipoiseError: E_CLASS_WEIGHTS (78) for a weight that is negative or no number.
    """
    for index, weight in enumerate(weights):
        if math.isnan(weight) or weight < 0:
            raise misconfigured(
                f"class_weights[{index}]",
                "a class weight must be a number of at least 0",
                got=weight,
                hint="Give 1 for a class that should count as it is",
                code="CLASS_WEIGHTS",
            )
    heavy = [index for index, weight in enumerate(weights) if weight > limit]
    if heavy:
        warnings.warn(
            f"class weights of {_named(heavy)} are above {limit:g} and were set to it: has the class no samples?",
            stacklevel=2,
        )
    return torch.tensor(weights, dtype=torch.get_default_dtype()).clamp(max=limit)


def warn_of_rare_classes(counts: Tensor, limit: float) -> None:
    """A warning that names the classes whose balanced weight is infinite or above the limit."""
    balanced = torch.where(counts > 0, balanced_class_weights(counts, math.inf), math.inf)
    heavy = torch.nonzero(balanced > limit).flatten().tolist()
    if heavy:
        warnings.warn(
            f"class_weights auto: {_named(heavy)} with {counts[heavy].tolist()} samples would weigh above {limit:g} "
            "and were set to it",
            stacklevel=2,
        )


def _named(classes: Sequence[int]) -> str:
    return f"{'class' if len(classes) == 1 else 'classes'} {', '.join(map(str, classes))}"


def _check_sizes(logits: Tensor, **columns: Tensor) -> None:
    if logits.dim() < 2:
        raise _wrong_size("logits", "[..., samples, classes]", logits)
    for name, column in columns.items():
        if column.dim() != 1 or len(column) != logits.shape[-2]:
            raise _wrong_size(name, f"[{logits.shape[-2]}], one a sample of the logits", column)


def _wrong_size(name: str, wanted: str, got: Tensor) -> Exception:
    return misconfigured(
        f"loss input {name}",
        f"must have the shape {wanted}",
        got=list(got.shape),
        hint="Take logits and labels from the same batch",
        code="LOSS_SHAPE",
    )
