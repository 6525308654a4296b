"""Schedule, groups and clipping against numbers worked by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from components.training.optimizer import adamw, clip, fill_missing_gradients, gradient_norm, rate_factor, set_rate


@pytest.mark.parametrize(
    ("progress", "warmup", "expected"),
    [
        (0.0, 0.2, 0.0),
        (0.05, 0.2, 0.25),
        (0.1, 0.2, 0.5),
        (0.2, 0.2, 1.0),
        (0.4, 0.2, 0.5 * (1 + math.cos(math.pi / 4))),
        (0.6, 0.2, 0.5),
        (1.0, 0.2, 0.0),
        (0.0, 0.0, 1.0),
        (0.5, 0.0, 0.5),
    ],
)
def test_warm_up_then_cosine(progress: float, warmup: float, expected: float) -> None:
    assert rate_factor(progress, warmup) == pytest.approx(expected, abs=1e-12)


@given(st.floats(0, 1), st.floats(0, 0.99))
def test_factor_stays_between_0_and_1(progress: float, warmup: float) -> None:
    assert 0.0 <= rate_factor(progress, warmup) <= 1.0


def test_only_matrices_decay() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    groups = adamw(model, 0.1, 0.5).param_groups
    assert [g["weight_decay"] for g in groups] == [0.5, 0.0]
    assert [len(g["params"]) for g in groups] == [1, 3]


def test_first_adamw_step_by_hand() -> None:
    """Moments are unbiased at step 1, so the step is rate x sign(gradient) after decay by rate x weight_decay."""
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[2.0, -1.0]]))
    optimizer = adamw(model, 1.0, 0.5)
    set_rate(optimizer, 0.1)
    model.weight.grad = torch.tensor([[4.0, -0.25]])
    optimizer.step()
    expected = torch.tensor([[2.0 * (1 - 0.1 * 0.5) - 0.1, -1.0 * (1 - 0.1 * 0.5) + 0.1]])
    assert torch.allclose(model.weight, expected, atol=1e-6)


def test_clip_scales_to_the_limit_and_leaves_small_ones() -> None:
    parameters = [nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))]
    for parameter, value in zip(parameters, (3.0, 4.0), strict=True):
        parameter.grad = torch.tensor([value])
    norm = gradient_norm(parameters)
    assert norm.item() == pytest.approx(5.0)
    clip(parameters, norm, 10.0)
    assert [p.grad.item() for p in parameters] == pytest.approx([3.0, 4.0])
    clip(parameters, norm, 1.0)
    assert [p.grad.item() for p in parameters] == pytest.approx([0.6, 0.8], rel=1e-5)


def test_unreached_parameters_get_zeros() -> None:
    reached, unreached = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))
    reached.grad = torch.ones(2)
    fill_missing_gradients([reached, unreached])
    assert torch.equal(unreached.grad, torch.zeros(3))
    assert torch.equal(reached.grad, torch.ones(2))
