"""The recursion does what the paper's figure 3 says, and gradients flow only through its last round."""

from __future__ import annotations

import pytest
import torch

from components.modules.recursion import recurse, supervise


def halve(x: torch.Tensor) -> torch.Tensor:
    return x / 2


def test_one_recursion_by_hand():
    x, y, z = torch.tensor([8.0]), torch.tensor([4.0]), torch.tensor([2.0])
    # z = (8 + 4 + 2) / 2 = 7, z = (8 + 4 + 7) / 2 = 9.5, y = (4 + 9.5) / 2 = 6.75
    answer, latent = recurse(halve, x, y, z, latent_updates=2, recursions=1)
    assert latent.item() == 9.5
    assert answer.item() == 6.75


def test_more_recursions_repeat_the_first():
    x, y, z = torch.tensor([8.0]), torch.tensor([4.0]), torch.tensor([2.0])
    once = recurse(halve, x, y, z, 2, 1)
    twice = recurse(halve, x, *once, 2, 1)
    assert recurse(halve, x, y, z, 2, 2) == twice


@pytest.mark.parametrize("recursions", [1, 3])
def test_gradient_is_that_of_the_last_recursion(recursions: int):
    weight = torch.tensor(0.5, requires_grad=True)
    calls: list[bool] = []

    def network(x: torch.Tensor) -> torch.Tensor:
        calls.append(torch.is_grad_enabled())
        return weight * x

    answer, _ = recurse(network, torch.ones(1), torch.ones(1), torch.ones(1), 2, recursions)
    answer.sum().backward()
    assert calls == [False] * 3 * (recursions - 1) + [True] * 3
    assert weight.grad is not None
    assert weight.grad.item() > 0


@pytest.mark.parametrize(("steps", "silent"), [(1, 0), (3, 0), (3, 2)])
def test_supervision_yields_the_steps_that_give_a_loss(steps: int, silent: int):
    x = torch.tensor([8.0])
    expected = []
    y = z = torch.zeros(1)
    for step in range(steps):
        y, z = recurse(halve, x, y, z, 2, 2)
        if step >= silent:
            expected.append(y.item())
    found = supervise(
        halve,
        lambda: x,
        torch.zeros(1),
        torch.zeros(1),
        latent_updates=2,
        recursions=2,
        steps=steps,
        no_gradient_steps=silent,
    )
    assert [y.item() for y in found] == expected


def test_each_supervision_step_can_be_backpropagated_before_the_next():
    weight = torch.tensor(0.5, requires_grad=True)
    embedding = torch.tensor([2.0], requires_grad=True)
    steps = supervise(
        lambda x: weight * x,
        lambda: embedding * 1.0,
        torch.zeros(1),
        torch.zeros(1),
        latent_updates=1,
        recursions=1,
        steps=3,
    )
    gradients = []
    for y in steps:
        y.sum().backward()
        assert embedding.grad is not None
        gradients.append(embedding.grad.item())
    # dy/dx = w^2 at every step, as the states in between are detached
    assert gradients == [0.25, 0.5, 0.75]
