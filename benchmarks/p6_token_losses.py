"""P6: focal cross-entropy over tokens against kornia's, and the memory of cross-entropy some tokens at a time.

`ratio` is against kornia's own function where it is installed (extra `bench`), else against its formula written
plainly: a log-softmax of all classes, the label's gathered by one-hot, (1 - p)^gamma in between. The second claim
compares what torch allocates at the peak through loss and gradients with that of computing all logits first.

    python -m benchmarks.p6_token_losses
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.harness import Result, alternate, report
from benchmarks.p5_divergence import peak
from components.losses.distillation import focal_tokens
from components.losses.tokens import projected_ce

TOKENS, VOCABULARY, WIDTH, GAMMA, ALPHA = 640, 4096, 128, 2.0, 0.25


def plain_focal(logits: Tensor, labels: Tensor) -> Tensor:
    log_p = functional.log_softmax(logits, dim=1)
    chosen = functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return (-ALPHA * (1 - log_p.exp()) ** GAMMA * log_p * chosen).sum(1).mean()


def peer() -> tuple[str, Callable[[Tensor, Tensor], Tensor]]:
    """Name and function of the side to beat."""
    if importlib.util.find_spec("kornia") is None:
        return "the plain formula (kornia is not installed)", plain_focal
    from kornia.losses import focal_loss  # pyright: ignore[reportMissingImports]

    # kornia weighs the class 0 with 1 - alpha: without weights, then times alpha, both sides are the same
    return (
        "kornia",
        lambda logits, labels: ALPHA * focal_loss(logits, labels, None, GAMMA, reduction="none").sum(1).mean(),
    )


def main() -> None:
    torch.set_num_threads(1)
    make = torch.Generator().manual_seed(0)
    logits = torch.randn(TOKENS, VOCABULARY, generator=make).mul_(3).requires_grad_()
    labels = torch.randint(0, VOCABULARY, (TOKENS,), generator=make)
    states = torch.randn(TOKENS, WIDTH, generator=make).requires_grad_()
    table = torch.randn(VOCABULARY, WIDTH, generator=make).mul_(0.1).requires_grad_()
    name, theirs = peer()

    def focal() -> tuple[Tensor, ...]:
        loss = focal_tokens(logits, labels, GAMMA, ALPHA).values.mean()
        return loss, *torch.autograd.grad(loss, logits)

    def others() -> tuple[Tensor, ...]:
        loss = theirs(logits, labels)
        return loss, *torch.autograd.grad(loss, logits)

    def in_parts() -> tuple[Tensor, ...]:
        loss = projected_ce(states, table, labels, rows=64).values.mean()
        return loss, *torch.autograd.grad(loss, (states, table))

    def at_once() -> tuple[Tensor, ...]:
        loss = functional.cross_entropy(states @ table.T, labels)
        return loss, *torch.autograd.grad(loss, (states, table))

    torch.testing.assert_close(focal(), others(), rtol=1e-4, atol=1e-8)
    torch.testing.assert_close(in_parts(), at_once(), rtol=1e-4, atol=1e-6)
    slow, fast, parts, whole = alternate(others, focal, in_parts, at_once)
    ratio, memory = slow.median / fast.median, peak(in_parts) / peak(at_once)
    report(
        Result(
            name="P6",
            ratio=ratio,
            goal=">= 1.5x kornia's focal loss; chunked cross-entropy <= .6x of the memory of all logits",
            passed=ratio >= 1.5 and memory <= 0.6,
            ours=fast.median * 1e3,
            theirs=slow.median * 1e3,
            unit=f"ms of CPU per loss with gradient, [{TOKENS}, {VOCABULARY}] logits, one thread",
            note=f"against {name}; chunked cross-entropy takes {memory:.2f}x the memory and "
            f"{parts.median / whole.median:.2f}x the time of all logits at once",
            extra={"memory": memory},
        )
    )


if __name__ == "__main__":
    main()
