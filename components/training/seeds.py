"""Random numbers as a pure function of the seed and the place in the run."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import torch


def seed_everything(seed: int, *place: int | str) -> None:
    """Seeds torch (every device), NumPy and Python from (seed, place).

    Called before the model is built and before every micro-batch: dropout then depends neither on what was killed and
    resumed before nor on which rank computes the micro-batch.
    """
    digest = _digest(seed, *place)
    _seed_torch(seed_at(seed, *place))
    np.random.seed(int.from_bytes(digest[8:12], "little"))
    random.seed(int.from_bytes(digest[12:20], "little"))


def seed_at(seed: int, *place: int | str) -> int:
    """A seed of (seed, place) for a generator of one's own, in [0, 2^63)."""
    return int.from_bytes(_digest(seed, *place)[:8], "little") >> 1


def _digest(seed: int, *place: int | str) -> bytes:
    return hashlib.sha256(repr((seed, *place)).encode("ascii")).digest()


def _seed_torch(seed: int) -> None:
    """Without an accelerator the CPU's generator alone: torch.manual_seed would record a stack trace for each device
    that may still come, which costs a small model 4% of its step."""
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)
