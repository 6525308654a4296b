"""Micro-batches of rows of like length: little padding, and an order that is a pure function of (seed, epoch)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from components.errors import misconfigured

GRAIN = 16  # tokens; rows whose lengths fall into the same grain are shuffled among each other


def bucketed(lengths: NDArray[np.integer], budget: int, order: NDArray[np.integer]) -> list[NDArray[np.int64]]:
    """Cuts the rows into runs of like length, each with rows x longest row <= `budget` tokens.

    Args:
        lengths: [R] tokens of each row.
        budget: tokens a micro-batch holds at most, padding included.
        order: [R] a permutation; rows of one grain keep their order in it.

    Returns:
        arrays of row indices, short rows first.

    Raises:
        EquipoiseError: E_CONFIG (78) when the longest row alone is above the budget.
    """
    if len(lengths) == 0:
        return []
    longest = int(lengths.max())
    if longest > budget:
        raise misconfigured(
            "training.batch_tokens",
            f"must hold the longest row ({longest} tokens)",
            got=budget,
            hint="Raise batch_tokens or prepare with a smaller window",
        )
    rows = order[np.argsort(lengths[order] // GRAIN, kind="stable")].astype(np.int64)
    widest = np.maximum.accumulate(lengths[rows])
    batches: list[NDArray[np.int64]] = []
    first = 0
    while first < len(rows):
        ahead = widest[first : first + budget].astype(np.int64)
        cost = ahead * np.arange(1, len(ahead) + 1)
        count = int(np.searchsorted(cost, budget, side="right"))
        batches.append(rows[first : first + count])
        first += count
    return batches


def shuffled(lengths: NDArray[np.integer], budget: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """`bucketed`, with the rows of a grain and the order of the batches drawn from (seed, epoch) alone."""
    generator = np.random.Generator(np.random.PCG64([seed, epoch]))
    batches = bucketed(lengths, budget, generator.permutation(len(lengths)))
    return [batches[i] for i in generator.permutation(len(batches))]


def in_order(lengths: NDArray[np.integer], budget: int) -> list[NDArray[np.int64]]:
    """`bucketed` without chance: by length, then by index."""
    return bucketed(lengths, budget, np.argsort(lengths, kind="stable"))


def spread(flat_offsets: NDArray[np.integer], rows: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where the entries of `rows` stand in a flat array, padded to the longest: (index [R, W], present [R, W]).

    `flat_offsets` [N+1] delimits each row's entries; indices of padding are 0.
    """
    starts = flat_offsets[rows].astype(np.int64)
    counts = flat_offsets[rows + 1].astype(np.int64) - starts
    column = np.arange(int(counts.max(initial=0)))
    present = column < counts[:, None]
    return np.where(present, starts[:, None] + column, 0), present
