"""The gradients of one optimizer step: by the settings' weights in one pass, by a balancer's as it asks for them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from components.losses.balancing import Balancer
from components.losses.composite import Report
from components.losses.contract import Batch, Outputs
from components.losses.gradient_panel import (
    GradientPanel,
    Gradients,
    add_gradients,
    gradient_panel,
    scalar_products,
)
from components.training import optimizer
from components.training.distributed import Ranks, sum_gradients, sum_over_ranks
from components.training.precision import autocast, eager
from components.training.seeds import seed_at, seed_everything
from components.training.state import Run

Counts = Mapping[str, Tensor]


def rollout(run: Run, group: list[Batch], index: int) -> Iterator[tuple[Batch, Outputs]]:
    """The supervision steps of one micro-batch, on the device.

    The loss of a step is backpropagated, and its memory freed, before the next is computed. The same micro-batch of the
    same step always draws the same random numbers.
    """
    seed_everything(run.section.training.seed, run.position.step, index)
    batch = {name: tensor.to(run.device, non_blocking=True) for name, tensor in group[index].items()}
    steps = run.workload.rollout(run.model, batch, run.section)
    while True:
        with autocast(run.device, run.precision):
            outputs = next(steps, None)
        if outputs is None:
            return
        yield batch, outputs
        del outputs


def rollouts(run: Run, group: list[Batch]) -> Iterator[tuple[Batch, Outputs]]:
    """All supervision steps of this rank's share of the micro-batches, one after another."""
    for index in range(run.ranks.rank, len(group), run.ranks.world):
        yield from rollout(run, group, index)


def counts_of(run: Run, batches: list[Batch], ranks: int = 1) -> dict[str, Tensor]:
    """Number of valid values per term in these micro-batches, over all their supervision steps, on the device."""
    counts = run.composite.counts(batches, run.workload.supervision_steps(run.section), ranks)
    return {name: count.to(run.device) for name, count in counts.items()}


def take_gradients(run: Run, group: list[Batch], counts: Counts, progress: float) -> tuple[Tensor, Report | None]:
    """Leaves in every parameter its gradient of the whole step, over all ranks.

    Returns:
        This rank's loss, and its report; None where it had no micro-batch.

    Raises:
        EquipoiseError: E_BALANCER (78) for losses that the balancer cannot take.
    """
    balancer = run.balancer
    if balancer is None:
        return _in_one_pass(run, group, counts, progress, None)
    if balancer.asks == "gradients":
        return _combined(run, balancer, group, counts, progress)
    told = _means(run, balancer, _losses(run, group, counts)) if balancer.asks == "values" else (None, None)
    balancer.weigh(*told, _seed(run))
    return _in_one_pass(run, group, counts, progress, run.composite.balanced(_weights(balancer), progress))


def teach_balancer(run: Run, group: list[Batch], counts: Counts, total: Report | None, rate: float) -> None:
    """After the optimizer step: what the balancer learns from it. Every rank comes here."""
    balancer = run.balancer
    if balancer is not None and balancer.learns:
        report = _losses(run, group, counts) if balancer.looks_back else total
        balancer.learn(*_means(run, balancer, report), rate)


def panel_of(run: Run, group: list[Batch], progress: float) -> GradientPanel:
    """What each term pulls in the step about to be taken, on this rank's first micro-batch alone.

    The step finds everything as it was: it seeds its own random numbers, no gradient is left in a parameter, and what
    the forward pass changes in buffers is put back. Rank 0's panel is the one reported; the others compute theirs
    because a term may look across ranks. A balancer's weights are those of its latest step.
    """
    index = min(run.ranks.rank, len(group) - 1)
    factors = run.composite.balanced(_weights(run.balancer), progress) if run.balancer is not None else None
    with eager(run.section.training.compile), _buffers_kept(run.model):
        counts, parts = counts_of(run, [group[index]]), rollout(run, group, index)
        return gradient_panel(run.composite, parts, counts, progress, run.parameters, factors)


def _in_one_pass(
    run: Run, group: list[Batch], counts: Counts, progress: float, factors: tuple[float, ...] | None
) -> tuple[Tensor, Report | None]:
    """The gradient of the terms' sum, by these factors or, with None, by those of the settings."""
    loss, total = torch.zeros((), device=run.device), None
    for batch, outputs in rollouts(run, group):
        part, report = run.composite(outputs, batch, counts, progress, factors)
        part.backward()
        loss += part.detach()
        total = report if total is None else total + report
        del outputs, part
    optimizer.fill_missing_gradients(run.parameters)
    sum_gradients(run.parameters, run.ranks)
    return loss, total


def _combined(
    run: Run, balancer: Balancer, group: list[Batch], counts: Counts, progress: float
) -> tuple[Tensor, Report | None]:
    """Each term's gradient of the whole step apart, then their combination.

    Parameters that several terms reach get the sum by the balancer's weights; those of one term alone, its head, get
    that term's own gradient, as in multi-task learning by torchjd (`mtl_backward`).
    """
    names, parameters = balancer.names, run.parameters
    found: Gradients = {name: [None] * len(parameters) for name in names}
    own = run.composite.balanced(dict.fromkeys(names, 1.0), progress)
    schedules = dict(zip(run.composite.names, own, strict=True))
    values, total = {name: torch.zeros((), device=run.device) for name in names}, None
    with eager(run.section.training.compile):
        for batch, outputs in rollouts(run, group):
            shares, report = run.composite.shares(outputs, batch, counts, progress, own)
            add_gradients(found, shares, parameters)
            for name, share in shares.items():
                values[name] += share.detach()
            total = report if total is None else total + report
            del outputs, shares
    _sum_terms(found, parameters, run.ranks)
    balancer.weigh(scalar_products(found, parameters), None, _seed(run))
    factors = run.composite.balanced(_weights(balancer), progress)
    in_force = dict(zip(run.composite.names, factors, strict=True))
    ratios = {name: in_force[name] / schedules[name] if schedules[name] else 0.0 for name in names}
    for index, parameter in enumerate(parameters):
        parameter.grad = _gradient({name: found[name][index] for name in names}, ratios, parameter)
    loss = sum((values[name] * ratios[name] for name in names), torch.zeros((), device=run.device))
    return loss, None if total is None else Report(total.names, factors, total.sums, total.numbers)


def _gradient(terms: Mapping[str, Tensor | None], ratios: Mapping[str, float], parameter: nn.Parameter) -> Tensor:
    reached = {name: gradient for name, gradient in terms.items() if gradient is not None}
    if len(reached) == 1:
        return next(iter(reached.values()))
    return sum((ratios[name] * gradient for name, gradient in reached.items()), torch.zeros_like(parameter))


def _sum_terms(found: Gradients, parameters: list[nn.Parameter], ranks: Ranks) -> None:
    """Replaces every term's gradients by their sums over ranks, through one flat buffer."""
    if ranks.world == 1:
        return
    device = parameters[0].device
    reached = torch.tensor([[float(g is not None) for g in each] for each in found.values()], device=device)
    flat = torch.cat(
        [
            (torch.zeros_like(p) if g is None else g).reshape(-1)
            for each in found.values()
            for p, g in zip(parameters, each, strict=True)
        ]
    )
    sum_over_ranks(reached, ranks)
    pieces = iter(sum_over_ranks(flat, ranks).split([p.numel() for p in parameters] * len(found)))
    for name, somewhere in zip(found, reached.tolist(), strict=True):
        rows = [next(pieces).view_as(p) for p in parameters]
        found[name] = [row if times else None for row, times in zip(rows, somewhere, strict=True)]


def _losses(run: Run, group: list[Batch], counts: Counts) -> Report | None:
    """The step's losses as the parameters are now, with the random numbers of the step's gradients; leaves no trace."""
    total = None
    with torch.no_grad(), _buffers_kept(run.model):
        for batch, outputs in rollouts(run, group):
            _, report = run.composite(outputs, batch, counts, 0.0)
            total = report if total is None else total + report
    return total


def _means(run: Run, balancer: Balancer, report: Report | None) -> tuple[Tensor, Tensor]:
    """Mean losses [K] of the weighted terms over the whole step, and which of them have a valid value; on the CPU."""
    if report is None:
        both = torch.zeros(2, len(run.composite.names), device=run.device)
    else:
        both = torch.stack([report.sums, report.numbers.to(report.sums.dtype)])
    sums, numbers = sum_over_ranks(both, run.ranks).cpu().double()
    chosen = [run.composite.names.index(name) for name in balancer.names]
    return sums[chosen] / numbers[chosen].clamp(min=1), numbers[chosen] > 0


def _weights(balancer: Balancer) -> dict[str, float]:
    return dict(zip(balancer.names, balancer.weights.tolist(), strict=True))


def _seed(run: Run) -> int:
    return seed_at(run.section.training.seed, run.position.step, "balancer")


@contextlib.contextmanager
def _buffers_kept(model: nn.Module) -> Iterator[None]:
    """What a forward pass changes in buffers is put back."""
    before = [buffer.clone() for buffer in model.buffers()]
    yield
    for buffer, value in zip(model.buffers(), before, strict=True):
        buffer.copy_(value)
