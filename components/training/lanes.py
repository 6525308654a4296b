"""What may share a stack: candidates that differ in numbers of the loss and of the optimizer, and models that vmap can
run."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from components.errors import EquipoiseError, bad_data, misconfigured
from components.losses.composite import Composite
from components.losses.contract import Batch
from components.training.precision import autocast, choose_device, choose_precision, reproducible
from components.training.seeds import seed_everything
from components.training.stacked import Rollout, Stack
from components.training.stacked_loss import StackedLoss
from components.workload import Workload

OWN = ("training.learning_rate", "training.weight_decay")  # beside the loss's, what each lane has for itself
CLOSE = 1e-3  # share of a number by which stacked and single outputs may differ before the model counts as another


@dataclass(frozen=True)
class Lane:
    """A candidate: its number among all of the campaign, and its section of params.yaml.

    The sections of lanes trained together differ in numbers that change no shapes: of the loss (weights, schedules,
    gamma, tau, ...), the learning rate and the weight decay.
    """

    number: int
    section: Any


@dataclass(frozen=True)
class Outcome:
    """What became of a lane.

    Attributes:
        metrics: on validation, of the best epoch up to the rung it reached; empty where it failed before there was one.
        terms: the loss terms as last reported.
        steps: optimizer steps taken.
        rung: epochs trained.
        dominators: numbers of the lanes for which it was stopped; empty where it was not.
        failure: why its training failed, or None.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    terms: dict[str, Any] = field(default_factory=dict)
    steps: int = 0
    rung: int = 0
    dominators: tuple[int, ...] = ()
    failure: str | None = None


def why_not_together(workload: Workload, section: Any, prepared: Path, device: str | None = None) -> str | None:
    """Why candidates of this recipe cannot be trained as one stack, in words; None where they can.

    The model itself is asked: two lanes of it run the first training micro-batch, and must give what it gives alone.

    Raises:
        EquipoiseError: E_MISSING (66), E_MANIFEST (65) for the data.
    """
    settings = section.training
    if (method := settings.balancer.method) != "static":
        return f"the balancer {method} moves the weights by what it sees of one model"
    with reproducible(settings.threads):
        place = choose_device(device)
        model, batch = fresh_model(workload, section, prepared, place), first_batch(workload, section, prepared, place)
        for name, module in model.named_modules():
            if isinstance(module, nn.modules.batchnorm._NormBase) and module.track_running_stats:
                return f"{name} keeps running statistics, which are no parameters and would be shared"
        before = copy.deepcopy(dict(model.named_buffers()))
        try:
            difference = _difference(workload, section, model, batch)
        except EquipoiseError:
            raise
        except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
            return f"its forward pass decides by what it computes, or uses what torch.vmap cannot stack: {error}"
        changed = [name for name, buffer in model.named_buffers() if not torch.equal(buffer, before[name])]
    if changed:
        return f"its forward pass changes {changed[0]}, which is no parameter and would be shared"
    return difference


def check_lanes(lanes: Sequence[Lane]) -> None:
    """Whether these candidates may share a stack.

    Raises:
        EquipoiseError: E_LANES (78) for none, for a number that stands twice, and for the first key whose values may
            not differ.
    """
    if not lanes:
        raise _refused("lanes", "there must be a candidate", "none")
    numbers = [lane.number for lane in lanes]
    if twice := sorted({number for number in numbers if numbers.count(number) > 1}):
        raise _refused(f"lane {twice[0]}", "every number must stand once", numbers)
    first = _shared(lanes[0].section)
    for lane in lanes[1:]:
        other = _shared(lane.section)
        for key in sorted(first.keys() | other.keys()):
            if first.get(key) != other.get(key):
                rule = f"{key} must be {first.get(key)!r} as in lane {numbers[0]}: models of one stack share all shapes"
                raise _refused(f"lane {lane.number}", rule, other.get(key))


def fresh_model(workload: Workload, section: Any, prepared: Path, device: torch.device) -> nn.Module:
    """The model as a training of this section begins."""
    seed_everything(section.training.seed, "build")
    return workload.build(section, prepared).to(device).train()


def first_batch(workload: Workload, section: Any, prepared: Path, device: torch.device) -> Batch:
    """The first training micro-batch on the device.

    Raises:
        EquipoiseError: E_DATA (65) where there is none.
    """
    batch = next(iter(workload.batches(section, prepared, "train", 0)), None)
    if batch is None:
        raise bad_data(
            str(prepared), "must hold training samples", got="none", hint="Give more data and run prepare again"
        )
    return {name: tensor.to(device) for name, tensor in batch.items()}


def _difference(workload: Workload, section: Any, model: nn.Module, batch: Batch) -> str | None:
    """Which gradient of two stacked lanes is not that of the model alone, in words."""
    device, settings = next(iter(batch.values())).device, section.training
    precision = choose_precision(settings.precision, device)
    composite = Composite(workload.terms, section.loss)
    counts = composite.counts([batch], workload.supervision_steps(section))
    seed_everything(settings.seed, "together")
    with autocast(device, precision):
        alone = list(workload.rollout(model, batch, section))
    torch.stack([composite(outputs, batch, counts, 0.5)[0] for outputs in alone]).sum().backward()
    stack = Stack(model, 2)
    (both,) = stack.cut(2)
    losses = StackedLoss([composite, composite])
    seed_everything(settings.seed, "together")
    with autocast(device, precision):
        steps = Rollout(workload, model, section)(stack.leaves[0], batch)
    numbers = torch.stack([counts[name] for name in losses.names]).expand(2, -1)
    stack.backward(torch.stack([losses(outputs, batch, numbers, 0.5)[0] for outputs in steps]).sum(), 0, both)
    stacked = stack.layout.views(stack.gradient)
    own = {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in model.named_parameters()}
    limit = CLOSE if precision == "fp32" else 50 * CLOSE
    noise = 0.01 * limit * float(torch.nn.utils.get_total_norm([own[name] for name in stacked]))
    for name, lanes in stacked.items():
        if not all(float((lane - own[name]).norm()) <= limit * float(own[name].norm()) + noise for lane in lanes):
            return f"the gradient of {name} is another one when models are stacked"
    return None


def _shared(section: Any) -> Mapping[str, Any]:
    """Everything of the recipe that must be the same in all lanes: of a loss's number only what kind of value it is,
    and of a weight whether it is 0, because models and batches follow that."""
    values = section.model_dump(mode="json")
    found: dict[str, Any] = {}
    for part in ("data", "model", "training", "teacher", "loss"):
        for key, value in _leaves(values.get(part, {}), part):
            if part == "loss" and isinstance(value, (int, float)) and not isinstance(value, bool):
                found[key] = "0" if key.endswith(".weight") and value == 0 else "a number"
            elif part == "loss" and key.endswith(".schedule"):
                found[key] = "a schedule"
            elif key not in OWN:
                found[key] = value
    return found


def _leaves(values: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}.{name}")
        else:
            yield f"{above}.{name}", value


def _refused(place: str, rule: str, got: Any) -> EquipoiseError:
    hint = "Train candidates of different shapes one by one, or in processes"
    return misconfigured(place, rule, got=got, hint=hint, code="LANES")
