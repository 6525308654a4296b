"""Rows: whole conversations as flat arrays, in memory while encoding and predicting, memory-mapped while training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.data.arrays import ArrayWriter, open_array
from components.workloads.tool_calling.elements import ElementArrays

Array = NDArray[np.integer]
Column = Sequence | NDArray
Queries = tuple[NDArray[np.int64], NDArray[np.int64]]  # query indices in row order, offsets [R+1]
DTYPES: Mapping[str, type] = {"roles": np.uint8}  # the others are int32
OFFSETS = ("row_offsets", "row_tool_offsets", "row_slot_offsets", "row_intent_offsets")


@dataclass(frozen=True)
class Rows:
    """R rows with N tokens, S samples, Q slot queries and A argument queries; int32 unless said.

    A row is BOS, then per message its tokens and one EOM; a sample is read at the EOM of its last message. Token
    indices (positions, starts and ends of spans) count from the row's BOS, which also means "not present".

    Attributes:
        tokens, roles (uint8), turns: [N]; turns count messages within the row.
        starts, ends: [N] characters [start, end) of the token in its message; BOS and EOM have 0, 0.
        row_offsets: [R+1]; row_first: [R] index of the row's first message in the samples' histories (0: nothing cut).
        row_tools, row_slots, row_intents: flat element ids with their offsets [R+1].
        sample_row, sample_position, decision, tool, intent: [S]; tool and intent index the row's lists, -1 is none;
            decision is 1 for a call, 0 for an answer, -1 without labels.
        slot_sample, slot_element, slot_start, slot_end: [Q] by sample; element indexes the row's slots; start and end
            are inclusive token indices, 0, 0 "not present", -1, -1 unknown or cut off.
        arg_sample, arg_tool, arg_element, arg_index, arg_start, arg_end: [A] likewise; arg_tool indexes the row's
            tools, arg_index counts the tool's arguments by name.
    """

    tokens: Array
    roles: Array
    turns: Array
    starts: Array
    ends: Array
    row_offsets: Array
    row_first: Array
    row_tools: Array
    row_tool_offsets: Array
    row_slots: Array
    row_slot_offsets: Array
    row_intents: Array
    row_intent_offsets: Array
    sample_row: Array
    sample_position: Array
    decision: Array
    tool: Array
    intent: Array
    slot_sample: Array
    slot_element: Array
    slot_start: Array
    slot_end: Array
    arg_sample: Array
    arg_tool: Array
    arg_element: Array
    arg_index: Array
    arg_start: Array
    arg_end: Array

    @property
    def count(self) -> int:
        return len(self.row_offsets) - 1

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """[R] tokens of each row."""
        return np.diff(self.row_offsets).astype(np.int64)

    @cached_property
    def samples_by_row(self) -> Queries:
        """(sample indices in row order [S], offsets [R+1])."""
        return group(self.sample_row, self.count)

    @cached_property
    def slots_by_row(self) -> Queries:
        """(slot query indices in row order [Q], offsets [R+1])."""
        return group(self.sample_row[self.slot_sample], self.count)

    @cached_property
    def args_by_row(self) -> Queries:
        """(argument query indices in row order [A], offsets [R+1])."""
        return group(self.sample_row[self.arg_sample], self.count)


FIELDS = tuple(Rows.__dataclass_fields__)


def group(owner: Array, count: int) -> Queries:
    """Indices of `owner` sorted by owner, keeping their order, and where each of the `count` owners begins."""
    order = np.argsort(owner, kind="stable").astype(np.int64)
    return order, np.searchsorted(np.asarray(owner)[order], np.arange(count + 1)).astype(np.int64)


def freeze(columns: Mapping[str, Column]) -> Rows:
    """Rows from one flat sequence of numbers a field."""
    return Rows(**{name: np.asarray(columns[name], dtype=DTYPES.get(name, np.int32)) for name in FIELDS})


class RowsWriter:
    """Appends encoded conversations to the array files of one split."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._files = {name: ArrayWriter(folder / f"{name}.npy", DTYPES.get(name, np.int32)) for name in FIELDS}
        for name in OFFSETS:
            self._files[name].append(np.zeros(1, np.int32))
        self._ends = dict.fromkeys(OFFSETS, 0)
        self.rows = 0
        self.samples = 0

    def append(self, rows: Rows) -> None:
        """Adds rows whose own numbering starts at 0; element ids are the shared table's."""
        for name in FIELDS:
            values = np.asarray(getattr(rows, name))
            if name in OFFSETS:
                values = values[1:] + self._ends[name]
                self._ends[name] = int(values[-1]) if len(values) else self._ends[name]
            elif name == "sample_row":
                values = values + self.rows
            elif name in ("slot_sample", "arg_sample"):
                values = values + self.samples
            self._files[name].append(values)
        self.rows += rows.count
        self.samples += len(rows.sample_row)

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def abandon(self) -> None:
        """Gives the files back unfinished."""
        for file in self._files.values():
            file.abandon()


def open_rows(folder: Path) -> Rows:
    """The rows of one prepared split, memory-mapped; the caller has verified the manifest."""
    return Rows(**{name: open_array(folder / f"{name}.npy") for name in FIELDS})


def ask_arguments(rows: Rows, elements: ElementArrays, tools: Sequence[int]) -> Rows:
    """The rows with one unlabelled argument query per parameter of the tool chosen for each sample.

    Args:
        tools: [S] index into the sample's row's tools, -1 asks nothing.
    """
    columns: dict[str, list[int]] = {name: [] for name in FIELDS if name.startswith("arg_")}
    for sample, tool in enumerate(tools):
        if tool < 0:
            continue
        row = int(rows.sample_row[sample])
        element = int(rows.row_tools[rows.row_tool_offsets[row] + tool])
        slots = rows.row_slots[rows.row_slot_offsets[row] : rows.row_slot_offsets[row + 1]].tolist()
        params = elements.tool_params[elements.tool_param_offsets[element] : elements.tool_param_offsets[element + 1]]
        for index, param in enumerate(params.tolist()):
            for name, value in zip(columns, (sample, tool, slots.index(param), index, -1, -1), strict=True):
                columns[name].append(value)
    return replace(rows, **{name: np.asarray(values, dtype=np.int32) for name, values in columns.items()})
