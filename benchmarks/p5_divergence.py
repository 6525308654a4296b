"""P5: Jensen-Shannon divergence to a teacher, forward and backward, against the textbook form and TRL's.

The textbook: two softmaxes, their mean, two sums of p (log p - log m). TRL's GKD trainer (2026): log-softmaxes, the
midpoint as logsumexp of both stacked, two `kl_div` in log space; its operations are repeated here, the package needs
transformers. Memory is what torch allocates beyond the inputs, at its peak through loss and gradient, in units of one
tensor of logits; the gradient itself is one of them.

    python -m benchmarks.p5_divergence
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.harness import Result, alternate, report
from components.losses.distillation import jsd

ROWS, VOCABULARY, TEMPERATURE = 640, 4096, 2.0


def textbook(student: Tensor, teacher: Tensor) -> Tensor:
    p, q = (student / TEMPERATURE).softmax(-1), (teacher / TEMPERATURE).softmax(-1)
    middle = (p + q) / 2
    apart = (p * (p.log() - middle.log())).sum(-1) + (q * (q.log() - middle.log())).sum(-1)
    return (apart / 2).mean() * TEMPERATURE**2


def like_trl(student: Tensor, teacher: Tensor) -> Tensor:
    p, q = (functional.log_softmax(x / TEMPERATURE, dim=-1) for x in (student, teacher))
    half = math.log(0.5)
    middle = torch.logsumexp(torch.stack([p + half, q + half]), dim=0)
    apart = [functional.kl_div(middle, x, reduction="none", log_target=True) for x in (q, p)]
    return ((apart[0] + apart[1]) / 2).sum(-1).mean() * TEMPERATURE**2


def ours(student: Tensor, teacher: Tensor, valid: Tensor) -> Tensor:
    return jsd(student, teacher, valid, TEMPERATURE).values.mean()


def peak(call: Callable[[], object]) -> int:
    """Bytes allocated at the peak of a call beyond what was there before; from the profiler's memory events."""
    with torch.profiler.profile(profile_memory=True) as profile:
        call()
    held = most = 0
    for event in sorted(profile.profiler.kineto_results.events(), key=lambda each: each.start_ns()):  # pyright: ignore[reportOptionalMemberAccess]
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most


def main() -> None:
    torch.set_num_threads(1)
    make = torch.Generator().manual_seed(0)
    student = torch.randn(ROWS, VOCABULARY, generator=make).mul_(3).requires_grad_()
    teacher = torch.randn(ROWS, VOCABULARY, generator=make).mul_(3)
    valid = torch.ones(ROWS, dtype=torch.bool)
    sides: list[Callable[[], Tensor]] = [
        lambda: torch.autograd.grad(textbook(student, teacher), student)[0],
        lambda: torch.autograd.grad(like_trl(student, teacher), student)[0],
        lambda: torch.autograd.grad(ours(student, teacher, valid), student)[0],
    ]
    for plain in (textbook, like_trl):
        torch.testing.assert_close(ours(student, teacher, valid), plain(student, teacher), rtol=1e-5, atol=1e-6)
    for side in sides[:2]:
        torch.testing.assert_close(sides[2](), side(), rtol=1e-4, atol=1e-9)
    book, trl, mine = alternate(*sides)
    tensors = [peak(side) / (ROWS * VOCABULARY * 4) for side in sides]
    ratio, to_trl = book.median / mine.median, trl.median / mine.median
    report(
        Result(
            name="P5",
            ratio=ratio,
            goal=">= 2.5x the textbook; beyond the inputs <= 1.5x the logits, and the gradient",
            passed=ratio >= 2.5 and tensors[2] - 1 <= 1.5,
            ours=mine.median * 1e3,
            theirs=book.median * 1e3,
            unit=f"ms of CPU per loss with gradient, [{ROWS}, {VOCABULARY}] logits, one thread",
            note=f"{to_trl:.1f}x TRL's form ({trl.median * 1e3:.0f} ms); memory beyond inputs and gradient "
            f"{tensors[2] - 1:.2f} logits, textbook {tensors[0] - 1:.2f}, TRL's {tensors[1] - 1:.2f}; agree to 1e-5",
            extra={"ratio_trl": to_trl, "memory": tensors[2] - 1},
        )
    )


if __name__ == "__main__":
    main()
