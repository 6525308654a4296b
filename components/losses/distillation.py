"""Distillation: a student's distribution over tokens drawn towards its teacher's, which never gets a gradient.

Temperatures soften both sides: p proportional to exp(logit / T). Gradients shrink with 1 / T^2, so values carry T^2.
Teachers are given as logits, as log-probabilities or as `buckets`: the teacher's likeliest outcomes and all the rest
as one more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from components.losses.contract import Masked
from components.losses.focal import focal_ce
from components.losses.gradients import lanes_first
from components.losses.precision import full

IMPOSSIBLE = -1e30
CPU_NUMBERS, GPU_NUMBERS = 2**16, 2**24  # that a stretch of rows holds: the cache of a core, or enough for a device
Pair = tuple[Tensor, Tensor]  # log-probabilities and probabilities
OfRows = Callable[[Pair, Pair, Tensor], Tensor]


def focal_tokens(logits: Tensor, labels: Tensor, gamma: float, alpha: float | None = None, ignore: int = -1) -> Masked:
    """Focal cross-entropy of every target token, times the constant `alpha` where it is given.

    Args:
        logits: [..., B, T, V]; labels: [B, T] with `ignore`.

    Returns:
        values and valid [..., B, T]: alpha (1 - p)^gamma (-log p).
    """
    values, valid = focal_ce(logits, labels, gamma, ignore)
    return Masked(values if alpha is None else values * alpha, valid)


def jsd(student: Tensor, teacher: Tensor, valid: Tensor, temperature: float = 1.0) -> Masked:
    """T^2 x Jensen-Shannon divergence of the softened distributions; before the T^2 it lies within [0, ln 2].

    One pass forwards: with the midpoint m = (p + q) / 2, d/d log p = p (log p - log m) / 2, the other parts cancel; the
    derivative by the student's logits is known then. First derivatives only.

    Args:
        student, teacher: logits [..., V] of equal shape; an outcome that is -inf on both sides counts for nothing.
        valid: [...] bool.

    Returns:
        values and valid [...]; invalid values are 0.
    """
    student, teacher, valid = _alike(student, teacher, valid)
    values, _ = _Divergence.apply(student, teacher, temperature, _jensen_shannon)  # pyright: ignore[reportGeneralTypeIssues]
    return Masked(values.masked_fill(~valid, 0.0), valid)


def kl(student: Tensor, teacher: Tensor, valid: Tensor, temperature: float = 1.0) -> Masked:
    """T^2 x KL(teacher || student) of the softened distributions (Hinton et al. 2015, arXiv 1503.02531).

    Args and returns as for `jsd`. First derivatives only.
    """
    student, teacher, valid = _alike(student, teacher, valid)
    values, _ = _Divergence.apply(student, teacher, temperature, _kullback_leibler)  # pyright: ignore[reportGeneralTypeIssues]
    return Masked(values.masked_fill(~valid, 0.0), valid)


def buckets(logits: Tensor, ids: Tensor) -> Tensor:
    """Log-probabilities [..., K + 1] of the outcomes `ids` [..., K] and, last, of all others together.

    Merging outcomes never raises a divergence, and a divergence of buckets is 0 only where every bucket has the same
    mass on both sides: with the teacher's likeliest K tokens what is given up is how the rest is spread.
    """
    ids = ids.expand(*logits.shape[:-1], ids.shape[-1])
    logits = full(logits)
    chosen = logits.gather(-1, ids)
    rest = logits.scatter(-1, ids, float("-inf")).logsumexp(-1, keepdim=True)
    return torch.cat([chosen, rest], dim=-1) - logits.logsumexp(-1, keepdim=True)


def hidden_distance(student: Tensor, teacher: Tensor, valid: Tensor) -> Masked:
    """Mean squared difference of states (TinyBERT, Jiao et al. 2020): [..., D] of equal width -> values [...].

    The student's states come projected to the teacher's width; the teacher's get no gradient.
    """
    values = (full(student) - full(teacher.detach())).square().mean(-1)
    valid = valid.expand(values.shape)
    return Masked(values.masked_fill(~valid, 0.0), valid)


def _alike(student: Tensor, teacher: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    student, teacher = full(student), full(teacher.detach())
    kind = torch.promote_types(student.dtype, teacher.dtype)
    return student.to(kind), teacher.to(kind).expand(student.shape), valid.expand(student.shape[:-1])


def _softened(logits: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Log-probabilities and probabilities [R, V] from one exponential. An outcome that is -inf gets a number so low
    that its probability stays 0 and its share 0 x number is 0."""
    logits = logits / temperature
    logits.sub_(logits.amax(-1, keepdim=True)).clamp_min_(IMPOSSIBLE)
    likely = torch.exp(logits)
    total = likely.sum(-1, keepdim=True)
    return logits.sub_(total.log()), likely.div_(total)


def _jensen_shannon(student: Pair, teacher: Pair, slope: Tensor) -> Tensor:
    """Divergence [R] of two sides [R, V], which it overwrites; puts its derivative by the logits in `slope`."""
    (log_p, p), (log_q, q) = student, teacher
    # log((p + q) / 2): what logaddexp gives, without its exponential. Where both underflow their shares are 0.
    middle = torch.add(p, q).mul_(0.5).clamp_min_(torch.finfo(p.dtype).tiny).log_()
    other = torch.linalg.vecdot(log_q.sub_(middle), q)
    torch.mul(log_p.sub_(middle), p, out=slope)
    own = slope.sum(-1)
    slope.addcmul_(p, own.unsqueeze(-1), value=-1).mul_(0.5)
    return own.add_(other).mul_(0.5)


def _kullback_leibler(student: Pair, teacher: Pair, slope: Tensor) -> Tensor:
    (log_p, p), (log_q, q) = student, teacher
    torch.sub(p, q, out=slope)
    return torch.linalg.vecdot(log_q.sub_(log_p), q)


class _Divergence(torch.autograd.Function):
    """A divergence of softened distributions, some rows at a time: what lies between stays in the cache, and beyond
    the inputs only the derivative, the second output, is ever held."""

    @staticmethod
    def forward(student: Tensor, teacher: Tensor, temperature: float, of_rows: OfRows) -> tuple[Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        width = student.shape[-1]
        rows, others = student.reshape(-1, width), teacher.reshape(-1, width)
        slope, values = torch.empty_like(rows), rows.new_empty(len(rows))
        step = max(1, (CPU_NUMBERS if rows.device.type == "cpu" else GPU_NUMBERS) // width)
        for low in range(0, len(rows), step):
            part = slice(low, low + step)
            values[part] = of_rows(
                _softened(rows[part], temperature), _softened(others[part], temperature), slope[part]
            )
        return values.mul_(temperature**2).view(student.shape[:-1]), slope.view(student.shape)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        _, slope = output
        ctx.set_materialize_grads(False)  # no zeros of the slope's size for an output nobody differentiates
        ctx.mark_non_differentiable(slope)
        ctx.save_for_backward(slope)
        ctx.temperature = inputs[2]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (slope,) = ctx.saved_tensors
        pulled = None if gradient is None else slope * (gradient * ctx.temperature).unsqueeze(-1)
        return pulled, None, None, None

    @staticmethod
    def vmap(  # pyright: ignore[reportIncompatibleMethodOverride]
        info: Any, in_dims: Any, student: Tensor, teacher: Tensor, temperature: float, of_rows: OfRows
    ) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        both = lanes_first(info.batch_size, in_dims[:2], student, teacher)
        values, slope = _Divergence.apply(*both, temperature, of_rows)  # pyright: ignore[reportGeneralTypeIssues]
        return (values, slope), (0, 0)
