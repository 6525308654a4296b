"""Training rows made of two conversations, offered tools nobody there asked for.

Conversations combine few services in fixed orders; a model that learns the combinations by heart picks a wrong tool
as soon as it meets another one. So a share of the conversations continues with one about other tools, and a share of
the rows is offered the tools, slots and intents of a third one too. Labels stay what they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.workloads.tool_calling.rows import Queries, Rows, freeze

Index = NDArray[np.int64]
LISTS = ("tool", "slot", "intent")
NOBODY = -1


@dataclass(frozen=True)
class Mix:
    """What the M training rows of an epoch are made of.

    Attributes:
        parts: [M, 2] row of the conversation, row of the one that follows it (-1: none).
        offers: [M] row whose tools, slots and intents are offered as well (-1: none).
        lengths: [M] tokens.
    """

    parts: Index
    offers: Index
    lengths: Index


def mix(rows: Rows, joined_share: float, offer_share: float, longest: int, seed: int, epoch: int) -> Mix:
    """Draws an epoch's rows from (seed, epoch): every conversation occurs once.

    Args:
        joined_share: of the conversations, those to be joined in pairs; pairs that share a tool or would be longer
            than `longest` tokens stay apart.
        offer_share: of the resulting rows, those with the offer of another conversation.
    """
    generator = np.random.Generator(np.random.PCG64([seed, epoch, 1]))
    order = generator.permutation(rows.count)
    joined = int(joined_share * rows.count) // 2 * 2
    pairs = [pair for pair in order[:joined].reshape(-1, 2) if _fit(rows, pair, longest)]
    single = np.setdiff1d(np.arange(rows.count), np.concatenate([np.zeros(0, np.int64), *pairs]))
    alone = np.stack([single, np.full(len(single), NOBODY)], axis=1)
    parts = np.concatenate([np.array(pairs, dtype=np.int64).reshape(-1, 2), alone])
    offered = generator.random(len(parts)) < offer_share
    offers = np.where(offered, generator.integers(max(rows.count, 1), size=len(parts)), NOBODY)
    second = np.where(parts[:, 1] >= 0, rows.lengths[parts[:, 1]] - 1, 0)
    return Mix(parts, offers, rows.lengths[parts[:, 0]] + second)


def _fit(rows: Rows, pair: Index, longest: int) -> bool:
    one, other = (rows.row_tools[rows.row_tool_offsets[r] : rows.row_tool_offsets[r + 1]] for r in pair)
    return rows.lengths[pair].sum() - 1 <= longest and not np.isin(one, other).any()


def mixed(rows: Rows, slots: Queries, parts: Index, offers: Index) -> tuple[Rows, Queries, Index]:
    """The rows that `parts` and `offers` (as in Mix) describe.

    Args:
        slots: the slot queries to ask, by row of `rows`.

    Returns:
        (rows in memory, all their slot queries by row, [S] index in `rows` of each of their samples).
    """
    owner, second = np.nonzero(parts >= 0)
    row = parts[owner, second]
    one = parts[owner, 0]
    shift = np.where(second, rows.lengths[one] - 1, 0)  # the second comes without its BOS: "not present" is shared
    turns = np.where(second, rows.turns[rows.row_offsets[one + 1] - 1] + 1, 0)
    begin = rows.row_offsets[row] + second
    token, token_part = _entries(begin, rows.row_offsets[row + 1] - begin)
    lists = {name: _Union(rows, name, np.column_stack([parts, offers])) for name in LISTS}
    source = 3 * owner + second
    samples, sample_part = _of_rows(rows.samples_by_row, row)
    columns = {name: getattr(rows, name)[token] for name in ("tokens", "roles", "starts", "ends")} | {
        "turns": rows.turns[token] + turns[token_part],
        "row_offsets": _offsets(np.bincount(owner[token_part], minlength=len(parts))),
        "row_first": np.zeros(len(parts)),
        "sample_row": owner[sample_part],
        "sample_position": rows.sample_position[samples] + shift[sample_part],
        "decision": rows.decision[samples],
        "tool": lists["tool"].place(rows.tool[samples], source[sample_part]),
        "intent": lists["intent"].place(rows.intent[samples], source[sample_part]),
    }
    for name, union in lists.items():
        columns |= {f"row_{name}s": union.elements, f"row_{name}_offsets": union.offsets}
    for kind, grouped in (("slot", slots), ("arg", rows.args_by_row)):
        query, part = _of_rows(grouped, row)
        columns |= {
            f"{kind}_sample": _position(getattr(rows, f"{kind}_sample")[query], samples),
            f"{kind}_element": lists["slot"].place(getattr(rows, f"{kind}_element")[query], source[part]),
            f"{kind}_start": _moved(getattr(rows, f"{kind}_start")[query], shift[part]),
            f"{kind}_end": _moved(getattr(rows, f"{kind}_end")[query], shift[part]),
        }
        if kind == "arg":
            columns["arg_tool"] = lists["tool"].place(rows.arg_tool[query], source[part])
            columns["arg_index"] = rows.arg_index[query]
    made = freeze(columns)
    return made, made.slots_by_row, samples


class _Union:
    """The lists of elements of new rows, without repetition, and where the entries of their sources went.

    Attributes:
        elements: flat, of the new rows in order; each row's in the order of first occurrence.
        offsets: [M+1].
    """

    def __init__(self, rows: Rows, name: str, sources: Index) -> None:
        """sources: [M, 3] rows whose lists are joined, -1: none."""
        flat, offsets = getattr(rows, f"row_{name}s"), getattr(rows, f"row_{name}_offsets")
        taken = np.maximum(sources.ravel(), 0)
        counts = np.where(sources.ravel() >= 0, offsets[taken + 1] - offsets[taken], 0)
        entry, source = _entries(offsets[taken], counts)
        elements, owner = flat[entry], source // sources.shape[1]
        _, first, same = np.unique(
            owner * (int(flat.max(initial=0)) + 1) + elements, return_index=True, return_inverse=True
        )
        kept = np.sort(first)
        self.elements = elements[kept]
        self.offsets = _offsets(np.bincount(owner[kept], minlength=len(sources)))
        self._begins = _offsets(counts)[:-1]
        self._places = np.append(np.searchsorted(kept, first[same]) - self.offsets[owner], NOBODY)

    def place(self, index: NDArray, source: Index) -> NDArray:
        """Where entry `index` of the list of `source` (3 x new row + column) stands in its new row; -1 stays -1."""
        return np.where(index >= 0, self._places[self._begins[source] + np.maximum(index, 0)], NOBODY)


def _entries(begins: NDArray, counts: NDArray) -> tuple[Index, Index]:
    """Indices of the runs [begin, begin + count) one after the other, and the number of the run each is from."""
    run = np.repeat(np.arange(len(counts)), counts)
    return np.arange(len(run)) + np.repeat(begins - _offsets(counts)[:-1], counts), run


def _of_rows(grouped: Queries, rows: Index) -> tuple[Index, Index]:
    """What belongs to each of `rows`, one after the other, and the place in `rows` each belongs to."""
    order, offsets = grouped
    entry, run = _entries(offsets[rows], offsets[rows + 1] - offsets[rows])
    return order[entry], run


def _position(wanted: NDArray, among: Index) -> Index:
    """Where each of `wanted` stands in `among`, which holds each number once."""
    order = np.argsort(among)
    return order[np.searchsorted(among[order], wanted)]


def _moved(position: NDArray, shift: Index) -> NDArray:
    """Token positions in the joined row; 0 "not present" and -1 "unknown" stay."""
    return np.where(position > 0, position + shift, position)


def _offsets(counts: NDArray) -> Index:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
