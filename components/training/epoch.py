"""What an epoch has left to do: the same for one training and for a stack of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from components.errors import bad_data
from components.losses.contract import Batch
from components.workload import Workload


def steps_left(
    workload: Workload, section: Any, prepared: Path, epoch: int, taken: int
) -> tuple[int, Iterator[list[Batch]]]:
    """The optimizer steps of an epoch, and the micro-batches of those that have not been taken.

    Args:
        epoch: from 0.
        taken: steps of it that were taken already.

    Returns:
        How many steps the whole epoch has, and a group of at most `training.accumulate` micro-batches for each left.

    Raises:
        EquipoiseError: E_DATA (65) where the training split is empty.
    """
    size = section.training.accumulate
    micro_batches = sum(1 for _ in workload.batches(section, prepared, "train", epoch))
    if micro_batches == 0:
        raise bad_data(
            str(prepared), "must hold training samples", got="none", hint="Give more data and run prepare again"
        )
    left = islice(workload.batches(section, prepared, "train", epoch), taken * size, None)
    return math.ceil(micro_batches / size), _groups(left, size)


def _groups(batches: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    while group := list(islice(batches, size)):
        yield group
