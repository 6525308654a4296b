"""A conversation's split depends on the seed and its name alone."""

from __future__ import annotations

import hashlib
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.splits import assign, stable_share

SHARES = [("test", 0.2), ("validation", 0.1), ("train", 1.0)]


def test_the_share_is_the_first_56_bits_of_the_digest():
    digest = hashlib.sha256(b"7\x00dialogue-1").hexdigest()
    assert stable_share(7, "dialogue-1") == int(digest[:14], 16) / 2**56


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**40), st.text())
def test_shares_lie_in_the_unit_interval(seed, key):
    assert 0 <= stable_share(seed, key) < 1
    assert stable_share(seed, key) == stable_share(seed, key)


def test_shares_come_out_as_asked():
    counts = Counter(assign(3, f"c{i}", SHARES) for i in range(20_000))
    assert abs(counts["test"] / 20_000 - 0.2) < 0.01  # 3.5 standard deviations
    assert abs(counts["validation"] / 20_000 - 0.1) < 0.008


def test_seeds_split_differently():
    assert len({tuple(assign(seed, f"c{i}", SHARES) for i in range(200)) for seed in range(5)}) == 5


def test_more_validation_moves_nobody_into_test():
    small = {f"c{i}": assign(1, f"c{i}", SHARES) for i in range(500)}
    large = {f"c{i}": assign(1, f"c{i}", [("test", 0.2), ("validation", 0.3), ("train", 1.0)]) for i in range(500)}
    assert all(large[key] == split for key, split in small.items() if split != "train")


def test_lone_surrogates_have_a_split():
    assert assign(1, "\ud800", SHARES) in {"train", "validation", "test"}
