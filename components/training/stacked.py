"""Models of one shape as the rows of a few tables, computed and moved together.

A table [K, P] holds a row of numbers for each of K models: parameters, gradients, AdamW's two moments, averages. All
that the model's forward pass reads of its parameters are views [K, ...] of such a table, which torch.vmap turns into
batched products: K small models cost as many kernel launches as one. What is element by element - clipping, AdamW,
averaging - runs over a row at a time, which stays in the cache and lets each model have its own learning rate.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from components.losses.contract import Batch
from components.training import batching_rules  # noqa: F401  registers them
from components.training.optimizer import BETAS, EPS
from components.workload import Workload

KEPT = ("parameters", "first", "second", "average", "best")  # the tables of a checkpoint


@dataclass(frozen=True)
class Layout:
    """Which numbers of a row are whose: matrices first, because they alone decay.

    Attributes:
        shapes: name of each trainable parameter -> its shape, in the order of the row.
        decaying: how many numbers belong to matrices.
        numbers: P.
    """

    shapes: Mapping[str, torch.Size]
    decaying: int
    numbers: int

    def views(self, table: Tensor) -> dict[str, Tensor]:
        """Of a table [K, P] the parameters [K, ...], of a row [P] the parameters themselves; all share its memory."""
        sizes = [shape.numel() for shape in self.shapes.values()]
        parts = zip(self.shapes.items(), table.split(sizes, dim=-1), strict=True)
        return {name: part.view(*table.shape[:-1], *shape) for (name, shape), part in parts}


def layout_of(model: nn.Module) -> Layout:
    """How a model's trainable parameters lie in a row."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    ordered = sorted(trained, key=lambda name: trained[name].dim() < 2)
    decaying = sum(p.numel() for p in trained.values() if p.dim() >= 2)
    shapes = {name: trained[name].shape for name in ordered}
    return Layout(shapes, decaying, sum(shape.numel() for shape in shapes.values()))


class Rollout:
    """A workload's rollout over the parameters of K models at once.

    Args:
        model: into which each model's parameters are put while its forward pass runs; its own are never read.
    """

    def __init__(self, workload: Workload, model: nn.Module, section: Any) -> None:
        self._model, self._rollout, self._section = model, workload.rollout, section
        modules = list(model.modules())
        names = {id(p): name for name, p in model.named_parameters() if p.requires_grad}
        # Every place where a parameter hangs, so that weights that are tied stay so.
        self._places = [
            (module._parameters, key, names[id(p)])
            for module in modules
            for key, p in module._parameters.items()
            if id(p) in names
        ]
        self._recurrent = [module for module in modules if isinstance(module, nn.RNNBase)]

    def __call__(self, parameters: Mapping[str, Tensor], batch: Batch) -> list[dict[str, Tensor]]:
        """One dict of outputs [K, ...] per supervision step; every model draws the same random numbers.

        All supervision steps are kept until the backward pass.
        """
        return torch.vmap(lambda own: self._of_lane(own, batch), randomness="same")(dict(parameters))

    def _of_lane(self, own: Mapping[str, Tensor], batch: Batch) -> list[dict[str, Tensor]]:
        before = [hung[key] for hung, key, _ in self._places]
        try:
            for hung, key, name in self._places:
                hung[key] = own[name]  # pyright: ignore[reportArgumentType]
            self._refresh()
            return [dict(outputs) for outputs in self._rollout(self._model, batch, self._section)]
        finally:
            for (hung, key, _), parameter in zip(self._places, before, strict=True):
                hung[key] = parameter
            self._refresh()

    def _refresh(self) -> None:
        """Recurrent modules keep a list of their weights beside."""
        for module in self._recurrent:
            module._flat_weights = [getattr(module, name) for name in module._flat_weights_names]


class Stack:
    """K models, all starting as `model` is now.

    Args:
        model: on the device, built and initialised.
        lanes: K.
    """

    def __init__(self, model: nn.Module, lanes: int) -> None:
        self.layout = layout_of(model)
        own = dict(model.named_parameters())
        with torch.no_grad():
            row = torch.cat([own[name].reshape(-1) for name in self.layout.shapes])
        self.parameters = row.expand(lanes, -1).clone()
        self.average, self.best = self.parameters.clone(), self.parameters.cpu().clone()
        self.first, self.second = torch.zeros_like(self.parameters), torch.zeros_like(self.parameters)
        self.gradient = torch.zeros_like(self.parameters)
        self.leaves: list[dict[str, Tensor]] = []

    @property
    def lanes(self) -> int:
        return len(self.parameters)

    def cut(self, most: int) -> list[range]:
        """Divides the lanes into runs of at most `most`, as equal as can be, which are computed one after the other;
        `leaves` holds the parameters of each, as autograd's."""
        runs = -(-self.lanes // most)
        ends = [round(i * self.lanes / runs) for i in range(runs + 1)]
        found = [range(low, high) for low, high in itertools.pairwise(ends)]
        self.leaves = []
        for run in found:
            views = self.layout.views(self.parameters[run.start : run.stop])
            self.leaves.append({name: view.detach().requires_grad_() for name, view in views.items()})
        return found

    def backward(self, loss: Tensor, index: int, run: range) -> None:
        """Adds the gradient of a run's loss, a scalar, to its lanes' rows; parameters it does not reach get nothing.

        Args:
            index: of the run and its `leaves`.
        """
        leaves = self.leaves[index]
        found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        rows = self.layout.views(self.gradient[run.start : run.stop])
        for own, gradient in zip(rows.values(), found, strict=True):
            if gradient is not None:
                own.add_(gradient)

    def keep(self, lanes: Sequence[int]) -> None:
        """Drops all other lanes; what is kept of an optimizer's memory stays with its lane. `cut` comes next."""
        self.leaves = []
        for name in (*KEPT, "gradient"):
            setattr(self, name, getattr(self, name)[list(lanes)])  # a copy

    def norms(self) -> Tensor:
        """The gradient's L2 norm of each lane, [K]."""
        return torch.linalg.vector_norm(self.gradient, dim=1)

    @torch.no_grad()
    def step(
        self, number: int, norms: Tensor, limit: float, rates: Iterable[float], decays: Iterable[float], ema: float
    ) -> None:
        """Clips each lane's gradient to `limit`, moves it by AdamW and averages it, as one training alone does.

        Args:
            number: of this optimizer step, from 1.
            norms: [K] of `norms`.
            rates, decays: learning rate and weight decay of each lane.
            ema: decay of the average at this step.
        """
        self.gradient.mul_((limit / (norms + 1e-6)).clamp(max=1.0).unsqueeze(1))  # as clip_grads_with_norm_
        steps = torch.full((), float(number), device=self.parameters.device)
        matrices, vectors = slice(0, self.layout.decaying), slice(self.layout.decaying, None)
        for lane, (rate, decay) in enumerate(zip(rates, decays, strict=True)):
            for part, share in ((matrices, decay), (vectors, 0.0)):
                p, g, m, v = (t[lane, part] for t in (self.parameters, self.gradient, self.first, self.second))
                if p.numel():
                    _adamw(p, g, m, v, steps, rate, share)
            self.average[lane].lerp_(self.parameters[lane], 1.0 - ema)

    @torch.no_grad()
    def put(self, table: Tensor, lane: int, model: nn.Module) -> None:
        """Copies a lane's row of a table into a model's parameters."""
        own = dict(model.named_parameters())
        for name, value in self.layout.views(table[lane]).items():
            own[name].copy_(value)


def _adamw(p: Tensor, g: Tensor, m: Tensor, v: Tensor, steps: Tensor, rate: float, decay: float) -> None:
    """The kernel that torch.optim.AdamW(fused=True) calls, in the step `steps`, from 1."""
    torch._fused_adamw_(  # pyright: ignore[reportPrivateImportUsage]
        [p], [g], [m], [v], [], [steps], lr=rate, beta1=BETAS[0], beta2=BETAS[1], weight_decay=decay, eps=EPS,
        amsgrad=False, maximize=False,
    )  # fmt: skip
