"""Experts together equal experts one by one, and routing weighs only those that are asked."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from components.modules.experts import Experts, routed


def test_the_joint_product_is_the_weighted_sum_of_single_experts():
    torch.manual_seed(0)
    experts, x = Experts(4, 3, 5), torch.randn(2, 4)
    weights = torch.tensor([[0.5, 0.5, 0.0], [0.1, 0.2, 0.7]])
    expected = x.clone()
    for i in range(3):
        up, down = experts.up.weight[5 * i : 5 * i + 5], experts.down.weight[:, 5 * i : 5 * i + 5]
        expected = expected + weights[:, i : i + 1] * functional.linear(functional.silu(x @ up.T), down)
    assert_close(experts(x, weights), expected)


def test_soft_routing_is_the_softmax_and_top_k_leaves_the_others_exactly_out():
    logits = torch.tensor([[2.0, 0.0, 1.0, -1.0]])
    assert_close(routed(logits, 4), logits.softmax(-1))
    kept = routed(logits, 2)
    assert kept[0, [1, 3]].tolist() == [0.0, 0.0]
    assert kept[0, [0, 2]].tolist() == pytest.approx([0.7310586, 0.2689414])


def test_an_expert_that_is_not_asked_learns_nothing():
    torch.manual_seed(1)
    experts = Experts(4, 2, 3)
    experts(torch.randn(5, 4), torch.tensor([[1.0, 0.0]]).expand(5, 2)).sum().backward()
    assert experts.up.weight.grad is not None
    assert experts.up.weight.grad[:3].abs().max() > 0
    assert experts.up.weight.grad[3:].abs().max() == 0
