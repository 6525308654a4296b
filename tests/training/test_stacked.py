"""Rows of tables that move like models of their own, kernels with rules for stacks, losses that differ in lanes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pydantic import BaseModel
from torch import nn
from torch.nn import functional

from components.losses.composite import Composite
from components.losses.contract import Masked, Term
from components.losses.distillation import jsd, kl
from components.losses.focal import focal_ce
from components.losses.tokens import projected_ce
from components.training import ema, optimizer
from components.training.stacked import Rollout, Stack, layout_of
from components.training.stacked_loss import StackedLoss
from tests.training import toy


class Tied(nn.Module):
    """A table used twice, a tied matrix, a bias and something that does not learn."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 4)
        self.again = nn.ModuleDict({"table": self.table})
        self.inner = nn.Linear(4, 4)
        self.back = nn.Linear(4, 7, bias=False)
        self.back.weight = self.table.weight
        self.frozen = nn.Parameter(torch.ones(4), requires_grad=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.back(torch.tanh(self.inner(self.again["table"](ids) * self.frozen)))


def test_a_row_holds_each_trainable_number_once_and_matrices_first():
    layout = layout_of(Tied())
    assert list(layout.shapes) == ["table.weight", "inner.weight", "inner.bias"]
    assert (layout.decaying, layout.numbers) == (28 + 16, 28 + 16 + 4)
    views = layout.views(torch.arange(2 * 48.0).view(2, 48))
    assert views["inner.bias"].tolist() == [[44, 45, 46, 47], [92, 93, 94, 95]]
    assert views["inner.weight"].shape == (2, 4, 4)


def test_steps_are_those_of_adamw_with_clipping_and_averaging():
    torch.manual_seed(2)
    model = Tied()
    rates, decays, limit = (0.1, 0.003), (0.5, 0.0), 0.7
    stack = Stack(model, 2)
    alone = []
    for rate, decay in zip(rates, decays, strict=True):
        own, average = Tied(), Tied()
        own.load_state_dict(model.state_dict())
        average.load_state_dict(model.state_dict())
        alone.append((own, average, optimizer.adamw(own, rate, decay), ema.pairs(average, own)))
    for number in range(1, 6):
        stack.gradient.normal_(std=0.01 if number == 3 else 1.0)  # the third needs no clipping
        given = stack.layout.views(stack.gradient.clone())
        for lane, (own, _, adamw, pairs) in enumerate(alone):
            for name, parameter in own.named_parameters():
                parameter.grad = given[name][lane].clone() if name in given else None
            trained = [p for p in own.parameters() if p.requires_grad]
            norm = optimizer.gradient_norm(trained)
            assert float(stack.norms()[lane]) == pytest.approx(float(norm), rel=1e-6)
            optimizer.clip(trained, norm, limit)
            adamw.step()
            with torch.no_grad():
                ema.update(pairs, 0.8)
        stack.step(number, stack.norms(), limit, rates, decays, 0.8)
    for table, which in ((stack.parameters, 0), (stack.average, 1)):
        views = stack.layout.views(table)
        for lane, models in enumerate(alone):
            for name, parameter in models[which].named_parameters():
                if name in views:
                    assert torch.allclose(views[name][lane], parameter, rtol=1e-5, atol=1e-7), name


def test_lanes_in_runs_and_tied_weights_get_their_own_gradients():
    torch.manual_seed(3)
    model, ids = Tied(), torch.tensor([1, 4, 4])
    stack = Stack(model, 5)
    stack.parameters += torch.randn_like(stack.parameters) * 0.1
    assert [list(run) for run in stack.cut(2)] == [[0, 1], [2], [3, 4]]
    workload = replace(toy.WORKLOAD, rollout=lambda m, batch, _: iter([{"y": m(batch["ids"])}]))
    rollout = Rollout(workload, model, None)
    for index, run in enumerate(stack.cut(2)):
        (outputs,) = rollout(stack.leaves[index], {"ids": ids})
        stack.backward(outputs["y"].square().sum(), index, run)
    for lane in range(5):
        stack.put(stack.parameters, lane, model)
        model.zero_grad()
        model(ids).square().sum().backward()
        for name, own in stack.layout.views(stack.gradient[lane]).items():
            wanted = dict(model.named_parameters())[name].grad
            assert wanted is not None and torch.allclose(own, wanted, rtol=1e-5, atol=1e-6), name
    kept = stack.gradient[3].clone()
    stack.keep([1, 3])
    assert stack.lanes == 2 and torch.equal(stack.gradient[1], kept)


@pytest.mark.parametrize("mask_rows", [1, 3, None])
def test_attention_of_a_stack_is_each_lanes_own(mask_rows):
    torch.manual_seed(4)
    query, key, value = (torch.randn(4, 3, 2, 5, 8, requires_grad=True) for _ in range(3))
    mask = None if mask_rows is None else (torch.rand(mask_rows, 1, 5, 5) > 0.4) | torch.eye(5, dtype=torch.bool)

    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    stacked = torch.vmap(attend)(query, key, value)
    alone = torch.stack([attend(*lane) for lane in zip(query, key, value, strict=True)])
    assert torch.allclose(stacked, alone, atol=1e-6)
    pulls = torch.randn_like(alone)
    for ours, theirs in zip(*(torch.autograd.grad((x * pulls).sum(), (query, key, value)) for x in (stacked, alone)),
                            strict=True):  # fmt: skip
        assert torch.allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("shared_input", [False, True])
def test_a_gru_of_a_stack_is_each_lanes_own(shared_input):
    torch.manual_seed(5)
    layers = [nn.GRU(6, 6, 2, batch_first=True) for _ in range(3)]
    weights = {
        n: torch.stack([dict(g.named_parameters())[n] for g in layers]).detach() for n in layers[0]._flat_weights_names
    }
    x = torch.randn(4, 7, 6).expand(3, 4, 7, 6) if shared_input else torch.randn(3, 4, 7, 6)
    workload = replace(toy.WORKLOAD, rollout=lambda m, batch, _: iter([dict(zip("sl", m(batch["x"]), strict=True))]))
    rollout = Rollout(workload, layers[0], None)
    if shared_input:
        (found,) = rollout(weights, {"x": x[0]})
        for lane, layer in enumerate(layers):
            states, last = layer(x[lane])
            assert torch.allclose(found["s"][lane], states, atol=1e-6)
            assert torch.allclose(found["l"][lane], last, atol=1e-6)
    else:
        one = torch.vmap(lambda own: layers[0](own)[0])(x)
        assert torch.allclose(one, torch.stack([layers[0](own)[0] for own in x]), atol=1e-6)


def test_a_gru_that_no_rule_covers_is_refused():
    both_ways = nn.GRU(6, 6, batch_first=True, bidirectional=True)
    with pytest.raises(RuntimeError, match="only a GRU in one direction"):
        torch.vmap(lambda own: both_ways(own)[0])(torch.randn(3, 4, 7, 6))


def focal(x: torch.Tensor) -> torch.Tensor:
    return focal_ce(x, torch.tensor([0, 2, -1, 1]), 1.5).values


def divergences(x: torch.Tensor) -> torch.Tensor:
    teacher, valid = torch.linspace(-2, 2, 20).view(4, 5).flip(0), torch.tensor([True, True, False, True])
    return jsd(x, teacher, valid, 2.0).values + kl(x, teacher, valid, 0.7).values


def vocabulary(x: torch.Tensor) -> torch.Tensor:
    return projected_ce(x[:3], x.tanh(), torch.tensor([0, 3, -1]), rows=2).values


@pytest.mark.parametrize("loss", [focal, divergences, vocabulary])
def test_losses_with_their_own_backward_pass_run_over_a_stack(loss):
    torch.manual_seed(6)
    x = torch.randn(3, 4, 5, requires_grad=True)
    pulls = torch.rand(3, len(loss(x[0])))
    stacked, alone = torch.vmap(loss)(x), torch.stack([loss(lane) for lane in x])
    assert torch.allclose(stacked, alone, atol=1e-6)
    ours, theirs = (torch.autograd.grad((y * pulls).sum(), x)[0] for y in (stacked, alone))
    assert float(theirs.abs().max()) > 0.01
    assert torch.allclose(ours, theirs, atol=1e-6)


class Numbers(BaseModel):
    weight: float
    schedule: list[tuple[float, float]]
    power: int = 2


def scaled(outputs, batch, settings) -> Masked:
    if settings.power == 1:  # a number that decides: no stack could follow it
        return Masked(outputs["y"] - batch["wanted"], batch["wanted"] > 0)
    return Masked((outputs["y"] - batch["wanted"]).abs() ** settings.power, batch["wanted"] > 0)


def test_each_lane_has_its_own_numbers_weights_and_schedules():
    term = Term(scaled, lambda batch, settings: (batch["wanted"] > 0).sum(), needs=("y",))
    plain = Term(lambda o, b, s: Masked(o["y"] ** 2, b["wanted"] > -9), lambda b, s: torch.tensor(3), needs=("y",))
    absent = Term(scaled, lambda b, s: torch.tensor(0), every_step=False, needs=("missing",))
    composites = [
        Composite(
            {"scaled": term, "plain": plain, "absent": absent},
            {
                "scaled": Numbers(weight=weight, schedule=[(0.0, 1.0), (1.0, end)], power=power),
                "plain": Numbers(weight=0.5 * weight, schedule=[(0.0, 1.0)]),
                "absent": Numbers(weight=1.0, schedule=[(0.0, 1.0)], power=2),
            },
        )
        for weight, end, power in ((1.0, 1.0, 2), (3.0, 0.0, 1), (0.2, 2.0, 3))
    ]
    y, batch = torch.randn(3, 3, requires_grad=True), {"wanted": torch.tensor([1.0, -1.0, 2.0])}
    losses = StackedLoss(composites)
    counts = losses.counts([batch, batch], 1)
    total, report = losses({"y": y}, batch, counts, 0.25)
    gradient = torch.autograd.grad(total, y)[0]
    for lane, composite in enumerate(composites):
        own = y[lane].detach().requires_grad_()
        loss, alone = composite({"y": own}, batch, composite.counts([batch, batch], 1), 0.25)
        loss.backward()
        assert own.grad is not None and torch.allclose(gradient[lane], own.grad)
        assert float(report.loss[lane]) == pytest.approx(float(loss))
        assert torch.allclose(report.sums[lane], alone.sums) and torch.equal(report.numbers[lane], alone.numbers)
