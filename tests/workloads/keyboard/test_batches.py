"""Batches of the keyboard: events with their rows, screens once each, and as many batches as ranks can share."""

from __future__ import annotations

import numpy as np
import pytest

from components.workloads.keyboard.batches import collate, even
from tests.workloads.keyboard.small_arrays import small_split


def test_events_keep_their_rows_targets_and_screens():
    batch = collate(small_split(), np.array([2, 0]))
    assert batch["tokens"].tolist() == [[1, 9, 10, 0], [1, 5, 6, 7]]
    assert batch["sample_id"].tolist() == [3, 4, 0, 1, 2]
    assert batch["row"].tolist() == [0, 0, 1, 1, 1]
    assert batch["position"].tolist() == [0, 2, 0, 1, 3]
    assert batch["target"][2].tolist() == [5, 6, 7, -1, -1]
    assert batch["target_language"].tolist() == [1, -1, 0, 0, -1]
    assert batch["screen"].tolist() == [1, -1, 1, -1, 0]
    assert batch["screens"].equal(collate(small_split(), np.array([0, 2]))["screens"])
    assert batch["boxes"].shape == (2, 4, 4)


def test_a_batch_without_screens_has_none():
    data = small_split()
    data.events["event_screen"][:] = -1
    batch = collate(data, np.array([0]))
    assert batch["screens"].shape == (0, 96, 64)
    assert batch["screen"].tolist() == [-1, -1, -1]


@pytest.mark.parametrize(
    ("sizes", "multiple", "expected"), [([3, 8, 2], 2, 4), ([5, 5], 2, 2), ([1], 3, 1), ([9], 4, 4)]
)
def test_batches_are_cut_until_ranks_can_share_them(sizes, multiple, expected):
    order = [np.arange(100 * i, 100 * i + size) for i, size in enumerate(sizes)]
    found = even(order, multiple)
    assert len(found) == expected
    assert sorted(np.concatenate(found).tolist()) == sorted(np.concatenate(order).tolist())
    assert all(len(batch) for batch in found)
