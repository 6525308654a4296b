"""Pooling over boxes by hand: cells count by the share of them that a box covers."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from components.modules.regions import covered, pool_regions


def test_cells_count_by_what_is_covered():
    shares = covered(torch.tensor([0.25]), torch.tensor([0.875]), 4)
    assert_close(shares, torch.tensor([[0.0, 1.0, 1.0, 0.5]]))


def test_boxes_of_a_small_map_by_hand():
    maps = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    boxes = torch.tensor([[[0, 0, 1, 1], [0, 0, 0.5, 0.5], [0, 0.5, 1, 1], [0.25, 0, 1, 0.5], [0.3, 0.3, 0.3, 0.9]]])
    pooled = pool_regions(maps, boxes)[0, :, 0]
    assert_close(pooled, torch.tensor([2.5, 1.0, 3.5, 5 / 3, 0.0]))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**20))
def test_a_constant_map_pools_to_its_constant(height, width, seed):
    generate = torch.Generator().manual_seed(seed)
    low = torch.rand(2, 3, 2, generator=generate) * 0.5
    boxes = torch.cat([low, low + 0.1 + 0.4 * torch.rand(2, 3, 2, generator=generate)], dim=-1)
    constant = torch.tensor([3.0, -2.0])[:, None, None].expand(2, 2, height, width)
    assert_close(pool_regions(constant, boxes), torch.tensor([3.0, -2.0]).expand(2, 3, 2))
