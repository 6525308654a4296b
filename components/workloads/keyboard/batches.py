"""Prepared messages with their events as padded tensors: one gather a batch, no Python per event."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.data.arrays import open_array
from components.data.buckets import in_order, shuffled, spread
from components.data.manifest import verify_once
from components.data.splits import check_split

PAD = 0
EVENT_ARRAYS = {  # name -> dimensions
    "event_row": 1,
    "event_position": 1,
    "event_word": 2,
    "event_screen": 1,
    "typed": 2,
    "layout": 1,
    "task": 1,
    "next_layout": 1,
    "target_lang": 1,
}


@dataclass(frozen=True)
class Split:
    """One verified split: pieces [N] of messages with their history and where each begins [R + 1]; arrays [S, ...] of
    events, in the order of their rows, and where each row's begin [R + 1]; screens [I, H, W] and boxes [I, 4, 4]."""

    tokens: NDArray[np.int32]
    row_offsets: NDArray[np.int64]
    events: dict[str, NDArray[Any]]
    event_offsets: NDArray[np.int64]
    screens: NDArray[np.uint8]
    boxes: NDArray[np.float32]


def open_split(prepared: Path, split: str) -> Split:
    """The arrays of a split, after the manifest was found to hold.

    Raises:
        EquipoiseError: E_MISSING (66) without prepared data, E_MANIFEST (65) when it was changed.
    """
    check_split(prepared, split)
    verify_once(prepared)
    return _open(str(prepared.resolve()), split, (prepared / "manifest.json").stat().st_mtime_ns)


@lru_cache(maxsize=6)
def _open(prepared: str, split: str, _changed: int) -> Split:
    folder = Path(prepared) / split
    tokens, offsets = (open_array(folder / f"{name}.npy") for name in ("tokens", "row_offsets"))
    screens, boxes = (open_array(folder / f"{name}.npy", 3) for name in ("screens", "screen_boxes"))
    events = {name: open_array(folder / f"{name}.npy", dimensions) for name, dimensions in EVENT_ARRAYS.items()}
    first = np.searchsorted(events["event_row"], np.arange(len(offsets)))
    return Split(tokens, offsets, events, first.astype(np.int64), screens, boxes)


def batches(section: Any, prepared: Path, split: str, epoch: int) -> Iterator[dict[str, Tensor]]:
    """Micro-batches of a split; order and contents are a pure function of (training.seed, epoch) and the data.

    Their number is a multiple of training.accumulate, so that ranks that compare samples meet in every step.

    Yields:
        as `collate`; only messages with an event.
    """
    data, training = open_split(prepared, split), section.training
    kept = np.flatnonzero(np.diff(data.event_offsets))
    lengths = np.diff(data.row_offsets)[kept]
    if split == "train":
        order = shuffled(lengths, training.batch_tokens, training.seed, epoch)
    else:
        order = in_order(lengths, training.batch_tokens)
    for chosen in even(order, training.accumulate):
        yield collate(data, kept[chosen])


def even(order: list[NDArray[np.int64]], multiple: int) -> list[NDArray[np.int64]]:
    """The batches, the largest of them cut in two until their number is a multiple; what cannot be cut is left."""
    order = list(order)
    while len(order) % multiple:
        largest = max(range(len(order)), key=lambda i: len(order[i]))
        if len(order[largest]) < 2:
            return order
        order[largest : largest + 1] = np.array_split(order[largest], 2)
    return order


def collate(data: Split, rows: NDArray[np.int64]) -> dict[str, Tensor]:
    """The messages of those rows with all their events as one batch (int64 unless said).

    Returns:
        tokens [R, L], 0 pads; of the events: row [S] and position [S] of the last piece left of the cursor, typed
        [S, 24] ids of bytes, layout [S] shown, task, next_layout [S], target_language [S] (-1 undefined), target [S, 5]
        the pieces that follow the cursor (-1 pads), sample_id [S], screen [S] index of its screen or -1; screens
        [I, H, W] uint8, boxes [I, 4, 4] float32.
    """
    at, present = spread(data.row_offsets, rows)
    events, there = spread(data.event_offsets, rows)
    chosen = events[there]
    drawn = data.events["event_screen"][chosen].astype(np.int64)
    shown, index = np.unique(drawn[drawn >= 0], return_inverse=True)
    screen = np.full(len(drawn), -1)
    screen[drawn >= 0] = index
    columns = {
        "tokens": np.where(present, data.tokens[at], PAD),
        "row": np.repeat(np.arange(len(rows)), there.sum(axis=1)),
        "position": data.events["event_position"][chosen],
        "target": data.events["event_word"][chosen],
        "target_language": data.events["target_lang"][chosen],
        "sample_id": chosen,
        "screen": screen,
        **{name: data.events[name][chosen] for name in ("typed", "layout", "task", "next_layout")},
    }
    return {name: torch.from_numpy(values.astype(np.int64)) for name, values in columns.items()} | {
        "screens": torch.from_numpy(data.screens[shown]),
        "boxes": torch.from_numpy(data.boxes[shown].astype(np.float32)),
    }
