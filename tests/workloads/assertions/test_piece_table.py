"""Embeddings of pieces from what stands near what: counts by hand, likeness of pieces that are used alike."""

from __future__ import annotations

import numpy as np

from components.workloads.assertions.piece_table import factored, near_counts


def test_near_counts_by_hand():
    pieces = np.array([5, 6, 1, 7, 5], np.int32)  # 1 is special: near nothing, but it takes its place
    found = near_counts(pieces, 8).toarray()
    expected = np.zeros((8, 8))
    for left, right in ((5, 6), (6, 7), (7, 5), (5, 7), (6, 5)):  # 5 and 5 are four apart: near as well
        expected[left, right] += 1
        expected[right, left] += 1
    expected[5, 5] += 2
    assert (found == expected).all()


def test_pieces_used_alike_are_alike():
    draw = np.random.default_rng(1)
    lines = []
    for _ in range(400):
        first, second = (
            draw.choice([10, 11]),
            draw.choice([12, 13]),
        )  # 10 and 11 stand in one company, 12 and 13 in another
        lines += [20, first, 21, 1, 1, 1, 1, 22, second, 23, 1, 1, 1, 1]
    table = factored(near_counts(np.array(lines, np.int32), 30), 6)
    assert table.shape == (30, 6)
    unit = table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
    assert unit[10] @ unit[11] > 0.9
    assert unit[12] @ unit[13] > 0.9
    assert abs(unit[10] @ unit[12]) < 0.3
    assert np.abs(table[29]).max() < 1e-6  # never seen
