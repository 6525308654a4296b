"""Balancers: at every optimizer step, how much each weighted term counts. The one place that knows torchjd.

A balancer takes the place of the weights: it sees the mean loss of each weighted term over the whole optimizer step
(all micro-batches, supervision steps and ranks), or the gradients of these means, and gives a weight a term. The
settings' weights only say which terms take part, those above 0; their schedules stay in force, as factors of the
gradients. What a balancer computes is a handful of numbers, so it does so on the CPU in float64, alike on every rank.

A term of which a step says nothing (no valid value) keeps the loss it was last seen with, as a term without a gradient
on shared parameters has no say in how the others are combined.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NoReturn

import torch
from torch import Tensor

from components.errors import misconfigured

Asks = Literal["nothing", "values", "gradients"]
PLACE = "params.yaml: training.balancer"
INSTALL = "Install the extra: pip install -c constraints.txt -e '.[balancers]'"


class Balancer:
    """The weights of K terms, alike for all and never changed: the control `equal`, and what the others build on.

    Attributes:
        asks: what of the step under way `weigh` must be told.
        learns: whether `learn` is called after the optimizer step, with the mean losses of this step.
        looks_back: whether those are to be measured again, after the optimizer step.
        names: of the terms.
        weights: [K] as `weigh` last gave them.
    """

    asks: Asks = "nothing"
    learns = False
    looks_back = False

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.weights = torch.ones(len(self.names), dtype=torch.float64)
        self._latest = torch.full_like(self.weights, torch.nan)

    def weigh(self, evidence: Tensor | None, present: Tensor | None, seed: int) -> None:
        """Sets `weights` for the step under way.

        Args:
            evidence: mean losses [K], or scalar products [K, K] of the gradients of the terms' means on the parameters
                that several of them reach; None for a balancer that asks for nothing. Where it is not finite the
                weights stay: such a step is refused anyway.
            present: [K] whether the step has a valid value of the term; None with anything but losses.
            seed: of the step; what is drawn depends on it alone.
        """

    def learn(self, values: Tensor, present: Tensor, rate: float) -> None:
        """Takes in what the step's mean losses [K] were; `rate` is the step's learning rate."""

    def end_epoch(self) -> None:
        """Takes in that an epoch has ended."""

    def state(self) -> dict[str, Tensor]:
        """All that later weights depend on, for a checkpoint."""
        return {"weights": self.weights, "latest": self._latest}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """The inverse of `state`, of a balancer made alike."""
        self.weights, self._latest = state["weights"].clone(), state["latest"].clone()

    def _held(self, values: Tensor, present: Tensor) -> Tensor:
        """[K] losses in which an absent term has its latest one; the mean of the others where it was never seen."""
        self._latest = torch.where(present, values, self._latest)
        seen = self._latest.isfinite()
        return torch.where(seen, self._latest, self._latest[seen].mean() if bool(seen.any()) else 1.0)


class RandomWeights(Balancer):
    """The other control: softmax of normal numbers, drawn anew for each step (Lin et al. 2022, arXiv 2111.10603)."""

    def weigh(self, evidence: Tensor | None, present: Tensor | None, seed: int) -> None:
        from torchjd.scalarization import Random

        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.weights = _slopes(Random(), torch.ones_like(self.weights))


class Uncertainty(Balancer):
    """exp(-s) / 2 a term, s its log-variance, learnt with the model (Kendall, Gal & Cipolla 2018, arXiv 1705.07115).

    The log-variances follow the model's learning rate and its schedule with an Adam of their own: they take no part in
    the clipping of the model's gradients, and nothing decays them.
    """

    learns = True

    def __init__(self, names: Sequence[str]) -> None:
        from torchjd.scalarization import UW

        super().__init__(names)
        self._module = UW(len(self.names)).double()
        self._adam = torch.optim.Adam([self._module.log_var], lr=1.0)
        self.weigh(None, None, 0)

    def weigh(self, evidence: Tensor | None, present: Tensor | None, seed: int) -> None:
        self.weights = _slopes(self._module, torch.ones_like(self.weights))

    def learn(self, values: Tensor, present: Tensor, rate: float) -> None:
        self._adam.param_groups[0]["lr"] = rate
        self._adam.zero_grad(set_to_none=True)
        self._module(self._held(values, present)).backward()
        self._adam.step()

    def state(self) -> dict[str, Tensor]:
        return super().state() | {"log_var": self._module.log_var.detach()} | _adam_state(self._adam)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        super().restore(state)
        _restore_adam(self._adam, self._module.log_var, state["log_var"], state)


class DynamicAverage(Balancer):
    """The slower a term's loss fell over the last two epochs, the more it counts: DWA (Liu, Johns & Davison 2019,
    arXiv 1803.10704). Alike in the first two epochs."""

    learns = True

    def __init__(self, names: Sequence[str], temperature: float) -> None:
        super().__init__(names)
        self._temperature = temperature
        self._total = torch.zeros_like(self.weights)
        self._steps = 0
        self._averages = self._total.new_zeros(0, len(self.names))  # of the last two epochs at most, older one first

    def learn(self, values: Tensor, present: Tensor, rate: float) -> None:
        self._total = self._total + self._held(values, present)
        self._steps += 1

    def end_epoch(self) -> None:
        from torchjd.scalarization import DWA

        average = self._total / max(self._steps, 1)
        self._averages = torch.cat([self._averages, average[None]])[-2:]
        self._total, self._steps = torch.zeros_like(self._total), 0
        if len(self._averages) == 2:
            older, newer = self._averages
            for name, before, after in zip(self.names, older.tolist(), newer.tolist(), strict=True):
                if before * after <= 0:
                    _refuse("dwa", name, "divides a mean loss by the epoch's before: it may not change sign", after)
            method = DWA(self._temperature)
            for each in self._averages:
                method(each)
                method.step()
            self.weights = _slopes(method, newer)

    def state(self) -> dict[str, Tensor]:
        steps = torch.tensor(self._steps)
        return super().state() | {"total": self._total, "steps": steps, "averages": self._averages}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        super().restore(state)
        self._total, self._averages = state["total"].clone(), state["averages"].clone()
        self._steps = int(state["steps"])


class Famo(Balancer):
    """Brings all losses down at about the same rate: FAMO (Liu, Feng, Stone & Liu 2023, arXiv 2306.03792).

    Its logits learn from how each loss changed across the optimizer step on the step's own samples, which costs two
    more passes forwards a step.
    """

    asks = "values"
    learns = looks_back = True

    def __init__(self, names: Sequence[str], rate: float, decay: float) -> None:
        from torchjd.scalarization import FAMO

        super().__init__(names)
        self._module = FAMO(len(self.names), lr=rate, weight_decay=decay).double()

    def weigh(self, evidence: Tensor | None, present: Tensor | None, seed: int) -> None:
        values = self._losses(*_told(evidence, present))
        if values is not None:
            self.weights = _slopes(self._module, values)

    def learn(self, values: Tensor, present: Tensor, rate: float) -> None:
        after = self._losses(values, present)
        if after is not None:
            self._module.update(after)

    def _losses(self, values: Tensor, present: Tensor) -> Tensor | None:
        """What the module may be told; None where a loss is not finite: the next step refuses it, by name."""
        if not bool(values[present].isfinite().all()):
            return None
        held = self._held(values, present)
        for name, value in zip(self.names, held.tolist(), strict=True):
            if value < 0:
                _refuse("famo", name, "takes logarithms: no mean loss may be below 0", value)
        return held

    def state(self) -> dict[str, Tensor]:
        adam = self._module._optimizer  # made at its first update, and nowhere else to be had
        return super().state() | {"logits": self._module._w.detach()} | ({} if adam is None else _adam_state(adam))

    def restore(self, state: Mapping[str, Tensor]) -> None:
        super().restore(state)
        if "adam/step" in state:
            alike = torch.ones_like(self.weights)
            self._module(alike)
            self._module.update(alike)  # an update by nothing makes the optimizer whose state is put back
            assert self._module._optimizer is not None
            _restore_adam(self._module._optimizer, self._module._w, state["logits"], state)


class Chebyshev(Balancer):
    """The smooth form of the greatest mean loss: all but the worst terms wait (Lin et al. 2024, arXiv 2402.19078).

    Needs the step's losses before its gradients, which costs one more pass forwards.
    """

    asks = "values"

    def __init__(self, names: Sequence[str], smoothing: float) -> None:
        from torchjd.scalarization import STCH

        super().__init__(names)
        self._method = STCH(smoothing)

    def weigh(self, evidence: Tensor | None, present: Tensor | None, seed: int) -> None:
        values, present = _told(evidence, present)
        if bool(values[present].isfinite().all()):
            self.weights = _slopes(self._method, self._held(values, present))


class Aggregator(Balancer):
    """A combination of the terms' gradients: weights from their scalar products, by a `Weighting` of torchjd.

    The products are divided by their trace first: no such method depends on the unit of the loss, but their tolerances
    would.
    """

    asks = "gradients"

    def __init__(self, names: Sequence[str], weighting: Callable[[Tensor], Tensor]) -> None:
        super().__init__(names)
        self._weighting = weighting

    def weigh(self, evidence: Tensor | None, present: Tensor | None, seed: int) -> None:
        assert evidence is not None
        pulling = evidence.diagonal() > 0
        if not bool(evidence.isfinite().all()):
            return
        self.weights = torch.ones_like(self.weights)
        if bool(pulling.any()):
            products = evidence[pulling][:, pulling]
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seed)
                self.weights[pulling] = self._weighting(products / products.trace()).detach()


def _upgrad(settings: Any) -> Callable[[Tensor], Tensor]:
    """UPGrad (Quinton & Rey 2024, arXiv 2406.16232)."""
    from torchjd.aggregation import UPGradWeighting

    return UPGradWeighting()


def _mgda(settings: Any) -> Callable[[Tensor], Tensor]:
    """MGDA (Désidéri 2012; Frank-Wolfe of Sener & Koltun 2018, arXiv 1810.04650)."""
    from torchjd.aggregation import MGDAWeighting

    return MGDAWeighting()


def _pcgrad(settings: Any) -> Callable[[Tensor], Tensor]:
    """PCGrad (Yu et al. 2020, arXiv 2001.06782)."""
    from torchjd.aggregation import PCGradWeighting

    return PCGradWeighting()


def _cagrad(settings: Any) -> Callable[[Tensor], Tensor]:
    """CAGrad (Liu et al. 2021, arXiv 2110.14048)."""
    from torchjd.aggregation import CAGradWeighting

    return CAGradWeighting(c=settings.radius)


METHODS: dict[str, Callable[[Sequence[str], Any], Balancer]] = {
    "equal": lambda names, settings: Balancer(names),
    "random": lambda names, settings: RandomWeights(names),
    "uncertainty": lambda names, settings: Uncertainty(names),
    "dwa": lambda names, settings: DynamicAverage(names, settings.temperature),
    "famo": lambda names, settings: Famo(names, settings.logit_rate, settings.logit_decay),
    "chebyshev": lambda names, settings: Chebyshev(names, settings.smoothing),
    "upgrad": lambda names, settings: Aggregator(names, _upgrad(settings)),
    "mgda": lambda names, settings: Aggregator(names, _mgda(settings)),
    "pcgrad": lambda names, settings: Aggregator(names, _pcgrad(settings)),
    "cagrad": lambda names, settings: Aggregator(names, _cagrad(settings)),
}


def balancer(settings: Any, names: Sequence[str]) -> Balancer | None:
    """The balancer that `training.balancer` asks for, over the weighted terms; None for `static`.

    Raises:
        EquipoiseError: E_BALANCER (78) when a package is missing that the method needs.
    """
    if settings.method == "static":
        return None
    try:
        importlib.import_module("torchjd.scalarization")
        return METHODS[settings.method](names, settings)
    except ImportError as error:
        raise misconfigured(
            f"{PLACE}.method", "its packages must be installed", got=settings.method, hint=INSTALL, code="BALANCER"
        ) from error


def _slopes(scalarizer: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """The weights by which a scalarization counts its values [K]: its derivative."""
    with torch.enable_grad():
        at = values.clone().requires_grad_()
        return torch.autograd.grad(scalarizer(at), at)[0]


def _told(evidence: Tensor | None, present: Tensor | None) -> tuple[Tensor, Tensor]:
    assert evidence is not None and present is not None
    return evidence, present


def _adam_state(adam: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Step count and moments of an optimizer of one parameter."""
    return {f"adam/{key}": value for state in adam.state.values() for key, value in state.items()}


def _restore_adam(adam: torch.optim.Optimizer, parameter: Tensor, value: Tensor, state: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        parameter.copy_(value)
    kept = {name.removeprefix("adam/"): tensor.clone() for name, tensor in state.items() if name.startswith("adam/")}
    if kept:
        adam.state[parameter] = kept


def _refuse(method: str, term: str, rule: str, value: float) -> NoReturn:
    hint = "Choose another method, or give this term the weight 0"
    raise misconfigured(f"{PLACE}, term {term}", f"{method} {rule}", got=value, hint=hint, code="BALANCER")
