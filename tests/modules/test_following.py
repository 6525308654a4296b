"""How much of what was written stands before each place of a source, counted by hand and by the definition."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from components.modules.following import MOST, Follower, ends_alike

START = 1


def by_definition(written: list[int], source: list[int]) -> list[int]:
    counts = []
    for place in range(len(source)):
        count = 0
        for back in range(MOST):
            if back >= len(written) or place - 1 - back < 0 or written[-1 - back] != source[place - 1 - back]:
                break
            if written[-1 - back] == START:
                count = MOST
                break
            count += 1
        counts.append(count)
    return counts


def test_counted_by_hand():
    source = torch.tensor([[1, 7, 8, 9, 1, 8, 9, 5, 0]])
    written = torch.tensor([[1, 8, 9]])
    found = ends_alike(written, source, START)[0].tolist()
    assert found[0] == [0, 4, 0, 0, 0, 4, 0, 0, 0]  # a text may begin where the source begins one
    assert found[1] == [0, 0, 0, 1, 0, 0, 4, 0, 0]  # back to the start: as alike as can be
    assert found[2] == [0, 0, 0, 0, 2, 0, 0, 4, 0]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=12), st.lists(st.integers(1, 4), min_size=1, max_size=9))
def test_every_count_is_the_defined_one(source, written):
    found = ends_alike(torch.tensor([written]), torch.tensor([source]), START)[0]
    for length in range(1, len(written) + 1):
        assert found[length - 1].tolist() == by_definition(written[:length], source)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=9))
def test_the_last_pieces_are_enough(written):
    source = torch.tensor([[1, 2, 3, 4, 1, 2, 2, 3]])
    whole = ends_alike(torch.tensor([written]), source, START)[:, -1]
    recent = torch.tensor([[0] * MOST + written])[:, -MOST:]
    assert ends_alike(recent, source, START)[:, -1].equal(whole)


def test_it_hears_what_follows_the_likest_place():
    torch.manual_seed(1)
    follower = Follower(width=3, segments=2, heads=1)
    torch.nn.init.zeros_(follower.weights.weight)
    torch.nn.init.constant_(follower.slope, 50.0)
    torch.nn.init.eye_(follower.hear.weight)
    said = torch.tensor([[[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [9, 9, 9]]])
    alike = torch.tensor([[[0, 2, 1, 4], [0, 0, 0, 4]]])
    present = torch.tensor([[True, True, True, False]])
    heard, leaning = follower(alike, torch.zeros(1, 4, dtype=torch.long), present, said)
    assert_close(heard, torch.tensor([[[0.0, 1, 0], [1 / 3, 1 / 3, 1 / 3]]]))
    assert_close(leaning, 50.0 * alike.float())
