"""P4: the loss of 16 supervision steps, all kept: the composite on stacked steps against the TRM specification's loop.

Both sides give loss and gradients from the same 16 outputs, each in the form it works on: the specification's loop a
list of outputs per step, the composite the stacked ones that heads applied to all kept states at once give. The note
says what remains when the composite has to stack the list first. Kernels are the operators dispatched that compute or
move data; views, and the scalars that an operator takes as an argument, launch none. Host syncs are those that bring a
value or a data-dependent size back from the device.

    python -m benchmarks.p4_supervision_loss
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.harness import Result, alternate, report
from components.losses.composite import Composite, stack_steps
from components.workloads.tool_calling.loss import TERMS

STEPS, BATCH, TOOLS, INTENTS = 16, 32, 20, 30
WEIGHTS = {"decision": 1.0, "tool": 1.0, "intent": 1.0, "q": 0.5}
SYNCS = {
    "aten::_local_scalar_dense",
    "aten::nonzero",
    "aten::is_nonzero",
    "aten::equal",
    "aten::item",
    "aten::masked_select",
}


def outputs_and_labels() -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
    make = torch.Generator().manual_seed(0)

    def logits(*shape: int) -> Tensor:
        return torch.randn(shape, generator=make).requires_grad_()

    steps = [
        {
            "decision_logits": logits(BATCH),
            "tool_logits": logits(BATCH, TOOLS),
            "intent_logits": logits(BATCH, INTENTS),
            "q_logits": logits(BATCH),
        }
        for _ in range(STEPS)
    ]
    decision = torch.randint(0, 2, (BATCH,), generator=make)
    tool = torch.randint(0, TOOLS, (BATCH,), generator=make)
    intent = torch.randint(-1, INTENTS, (BATCH,), generator=make)
    return steps, {"decision": decision.float(), "tool": torch.where(decision > 0, tool, -1), "intent": intent}


def specification(steps: list[dict[str, Tensor]], labels: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """The published formulation written plainly: step by step, label by label selected, then averaged."""
    sums = dict.fromkeys((*WEIGHTS, "total"), torch.zeros(()))
    for outputs in steps:
        losses = step_losses(outputs, labels)
        losses["total"] = sum((weight * losses[name] for name, weight in WEIGHTS.items()), torch.zeros(()))
        sums = {name: total + losses[name] for name, total in sums.items()}
    means = {name: total / len(steps) for name, total in sums.items()}
    return means["total"], means


def step_losses(outputs: dict[str, Tensor], labels: dict[str, Tensor]) -> dict[str, Tensor]:
    logits, target = outputs["decision_logits"], labels["decision"]
    bce = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    probability = torch.sigmoid(logits)
    pt = torch.where(target == 1, probability, 1 - probability)
    alpha = torch.where(target == 1, 0.25, 0.75)
    losses = {"decision": (alpha * (1 - pt) ** 2.0 * bce).mean()}
    chosen = labels["tool"] >= 0
    losses["tool"] = (
        functional.cross_entropy(outputs["tool_logits"][chosen], labels["tool"][chosen])
        if chosen.any()
        else torch.zeros(())
    )
    known = labels["intent"] >= 0
    losses["intent"] = torch.zeros(())
    if known.any():
        selected, intents = outputs["intent_logits"][known], labels["intent"][known]
        ignored = intents != -1
        if ignored.any():
            selected, intents = selected[ignored], intents[ignored]
            pt = functional.softmax(selected, dim=-1)[torch.arange(len(intents)), intents]
            losses["intent"] = ((1 - pt) ** 2.0 * functional.cross_entropy(selected, intents, reduction="none")).mean()
    with torch.no_grad():
        right = ((torch.sigmoid(logits) > 0.5).float() == target).float()
    losses["q"] = functional.binary_cross_entropy_with_logits(outputs["q_logits"], right)
    return losses


HOST_ONLY = {"aten::_local_scalar_dense", "aten::detach", "aten::lift_fresh", "aten::scalar_tensor"}


class Operators(TorchDispatchMode):
    """Counts kernels and host syncs among the operators dispatched."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = self.syncs = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name
        view = any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)
        selects = name in ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_") and any(
            i is not None and i.dtype == torch.bool for i in args[1]
        )
        self.syncs += name in SYNCS or selects
        self.kernels += not view and name not in HOST_ONLY
        return func(*args, **(kwargs or {}))


def count(call: Callable[[], object]) -> Operators:
    with Operators() as operators:
        call()
    return operators


def main() -> None:
    torch.set_num_threads(1)
    steps, labels = outputs_and_labels()
    leaves = [value for outputs in steps for value in outputs.values()]
    numbers = {"decision": {"alpha": 0.25, "gamma": 2.0}, "intent": {"gamma": 2.0}, "q": {"target": "decision"}}
    settings = SimpleNamespace(
        **{n: SimpleNamespace(weight=w, schedule=((0.0, 1.0),), **numbers.get(n, {})) for n, w in WEIGHTS.items()}
    )
    composite = Composite({name: TERMS[name] for name in WEIGHTS}, settings)
    counts = composite.counts([labels], STEPS)  # once an optimizer step, from the labels alone

    stacked = {name: value.detach().requires_grad_() for name, value in stack_steps(steps).items()}

    def loss_of(outputs: dict[str, Tensor], labels: dict[str, Tensor], counts: dict[str, Tensor]) -> tuple:
        loss, logged = composite(outputs, labels, counts, 0.5)
        return loss, logged.sums, logged.numbers

    compiled = torch.compile(loss_of, fullgraph=True)

    def theirs() -> tuple:
        loss, _ = specification(steps, labels)
        return loss, torch.autograd.grad(loss, leaves)

    def ours() -> tuple:
        loss = loss_of(stacked, labels, counts)[0]
        return loss, torch.autograd.grad(loss, list(stacked.values()))

    def ours_compiled() -> tuple:
        loss = compiled(stacked, labels, counts)[0]
        return loss, torch.autograd.grad(loss, list(stacked.values()))

    def ours_from_list() -> tuple:
        loss = loss_of(stack_steps(steps), labels, counts)[0]
        return loss, torch.autograd.grad(loss, leaves)

    loss, gradients = theirs()
    together = tuple(torch.stack(gradients[i :: len(stacked)]) for i in range(len(stacked)))
    for side, expected in ((ours, together), (ours_compiled, together), (ours_from_list, gradients)):
        torch.testing.assert_close(side(), (loss, expected), rtol=1e-5, atol=1e-7)
    mine, plain = count(ours), count(theirs)
    slow, eager, fast, listed = alternate(theirs, ours, ours_compiled, ours_from_list)
    ratio, ratio_compiled = slow.median / eager.median, slow.median / fast.median
    report(
        Result(
            name="P4",
            ratio=ratio,
            goal=">= 10x eager, >= 25x compiled, <= 85 kernels, 0 syncs",
            passed=ratio >= 10 and ratio_compiled >= 25 and mine.kernels <= 85 and mine.syncs == 0,
            ours=eager.median * 1e6,
            theirs=slow.median * 1e6,
            unit="us of CPU per loss with gradients, 16 steps, B = 32, one thread",
            note=f"compiled {ratio_compiled:.1f}x ({fast.median * 1e6:.0f} us); stacking a list first "
            f"{slow.median / listed.median:.1f}x; kernels {mine.kernels} against "
            f"{plain.kernels}; host syncs {mine.syncs} against {plain.syncs}; both agree to 1e-5",
        )
    )


if __name__ == "__main__":
    main()
