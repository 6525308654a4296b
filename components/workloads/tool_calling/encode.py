"""Samples to rows: one row serves all decisions of a conversation whose histories continue each other.

Used by prepare (conversation by conversation) and by prediction (in memory), so both see the same numbers. Every
message is tokenised once, however many decisions look back at it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from components.data.tokenizer import BOS, EOM, Encoded, TextTokenizer
from components.errors import bad_data
from components.workloads.tool_calling.dialogues import TOOL_CALL, TOOL_RESPONSE, USER, Sample
from components.workloads.tool_calling.elements import ElementTable
from components.workloads.tool_calling.labels import Offer, label_columns, offer_of
from components.workloads.tool_calling.rows import Column, Rows, freeze

_FAR = np.int64(1 << 31)  # above every character offset
_BOS_PIECE = 0


class Window(Protocol):
    """The settings that shape rows (the data section of params.yaml)."""

    @property
    def window(self) -> int: ...
    @property
    def tool_call_tokens(self) -> int: ...
    @property
    def tool_response_tokens(self) -> int: ...


@dataclass(frozen=True)
class Pieces:
    """Distinct messages as tokens, each with its EOM; piece 0 is BOS.

    `search_starts`, `search_ends` are the character offsets plus piece * 2^32, ascending over the whole store, so that
    one binary search finds the tokens of any number of spans. `low` and `high` [pieces] bound the characters that
    still have tokens.
    """

    tokens: NDArray[np.int32]
    roles: NDArray[np.uint8]
    starts: NDArray[np.int32]
    ends: NDArray[np.int32]
    offsets: NDArray[np.int64]
    search_starts: NDArray[np.int64]
    search_ends: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """Which messages each row holds and where each sample is read.

    Attributes:
        segments: flat piece ids of all rows, BOS first; segment_offsets: [R+1].
        row_first: [R] index of the first kept message in the histories.
        row_offer, sample_row, sample_last: offer of each row; row and last segment (within the row) of each sample.
    """

    segments: NDArray[np.int64]
    segment_offsets: NDArray[np.int64]
    row_first: list[int]
    row_offer: list[Offer]
    sample_row: list[int]
    sample_last: list[int]


class MessageStore:
    """Numbers distinct messages and tokenises them together."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, str], int] = {}
        self._encoded: list[Encoded] = []
        self._roles: list[int] = []
        self._limits: list[tuple[int, int]] = []  # characters that still have tokens
        self._cuts: dict[tuple[int, int], int] = {}

    def collect(self, samples: Sequence[Sample]) -> list[list[int]]:
        """The piece ids of every sample's history; `tokenise` must follow before lengths are known."""
        numbers = self._numbers
        by_message: dict[int, int] = {}  # histories share message objects: identity saves hashing long texts
        histories = []
        for sample in samples:
            pieces = []
            for message in sample.history:
                piece = by_message.get(id(message))
                if piece is None:
                    piece = numbers.setdefault((message.role, message.content), len(numbers) + 1)
                    by_message[id(message)] = piece
                pieces.append(piece)
            histories.append(pieces)
        return histories

    def tokenise(self, tokenizer: TextTokenizer, limits: Mapping[int, int]) -> None:
        """Encodes all messages; those of a role in `limits` keep only that many first tokens."""
        empty = np.zeros(0, np.int32)
        self._roles = [USER, *(role for role, _ in self._numbers)]
        self._encoded = [Encoded(empty, empty, empty), *tokenizer.encode([text for _, text in self._numbers])]
        self._limits = [(0, int(_FAR))] * len(self._roles)
        for piece, role in enumerate(self._roles):
            limit = limits.get(role, len(self._encoded[piece].ids))
            if limit < len(self._encoded[piece].ids):
                one = self._encoded[piece]
                self._encoded[piece] = Encoded(one.ids[:limit], one.starts[:limit], one.ends[:limit])
                self._limits[piece] = (0, int(one.ends[limit - 1]) if limit else 0)

    def length(self, piece: int) -> int:
        """Tokens of a piece with its EOM."""
        return len(self._encoded[piece].ids) + 1

    def without(self, piece: int, tokens: int) -> int:
        """The piece that lacks the first `tokens` tokens of `piece`."""
        if tokens == 0:
            return piece
        found = self._cuts.get((piece, tokens))
        if found is None:
            whole = self._encoded[piece]
            found = self._cuts[piece, tokens] = len(self._encoded)
            self._encoded.append(Encoded(whole.ids[tokens:], whole.starts[tokens:], whole.ends[tokens:]))
            self._roles.append(self._roles[piece])
            start = int(whole.starts[tokens]) if tokens < len(whole.ids) else int(_FAR)
            self._limits.append((start, self._limits[piece][1]))
        return found

    def pieces(self) -> Pieces:
        counts = np.array([len(e.ids) for e in self._encoded], dtype=np.int64) + 1
        offsets = np.concatenate([[0], np.cumsum(counts)])
        last = offsets[1:] - 1
        tokens, starts, ends = (np.zeros(int(offsets[-1]), np.int32) for _ in range(3))
        text = np.ones(len(tokens), dtype=bool)
        text[last] = False
        tokens[text] = np.concatenate([e.ids for e in self._encoded])
        starts[text] = np.concatenate([e.starts for e in self._encoded])
        ends[text] = np.concatenate([e.ends for e in self._encoded])
        tokens[last] = EOM
        tokens[last[_BOS_PIECE]] = BOS
        base = np.repeat(np.arange(len(counts), dtype=np.int64) << 32, counts)
        return Pieces(
            tokens=tokens,
            roles=np.repeat(np.array(self._roles, dtype=np.uint8), counts),
            starts=starts,
            ends=ends,
            offsets=offsets,
            search_starts=base + np.where(text, starts.astype(np.int64), _FAR),
            search_ends=base + np.where(text, ends.astype(np.int64), _FAR),
            low=np.array([low for low, _ in self._limits], dtype=np.int64),
            high=np.array([high for _, high in self._limits], dtype=np.int64),
        )


def encode_rows(samples: Sequence[Sample], table: ElementTable, settings: Window) -> Rows:
    """The rows of `samples`; new elements join `table`.

    Sample i is read in row `sample_row[i]` at token `sample_position[i]`. Samples share a row when they belong to one
    conversation, are offered the same, see the same first message, and each history continues the one before.

    Raises:
        EquipoiseError: E_DATA (65) for an empty history, labels that contradict the sample, spans outside their text.
    """
    store = MessageStore()
    histories = store.collect(samples)
    store.tokenise(
        table.tokenizer, {TOOL_CALL: settings.tool_call_tokens, TOOL_RESPONSE: settings.tool_response_tokens}
    )
    plan = _plan(samples, histories, store, table, settings.window)
    pieces = store.pieces()
    columns, begins = _row_columns(plan, pieces)
    labels = label_columns(samples, [plan.row_offer[r] for r in plan.sample_row])
    for kind in ("slot", "arg"):
        start, end = _span_columns(
            samples, plan, pieces, begins, labels.spans[kind], len(labels.columns[f"{kind}_sample"])
        )
        labels.columns[f"{kind}_start"], labels.columns[f"{kind}_end"] = start, end
    return freeze({**columns, **labels.columns})


def first_kept(lengths: Sequence[int], last_user: int, window: int) -> tuple[int, int]:
    """Where a history begins when only `window` tokens of it are seen: (message, tokens dropped from that message).

    The cut moves in steps of half a window, so that the decisions of a long conversation still share rows. The last
    user turn stays whole as long as it, with what follows it, fits.

    Args:
        lengths: tokens of each message with its EOM, tool responses already cut.
        last_user: index of the last user message, -1 without one.
    """
    total = sum(lengths)
    if total <= window:
        return 0, 0
    step = window // 2
    target = -(-(total - window) // step) * step
    kept, begin = 0, 0
    while begin < target and kept < len(lengths) - 1:
        begin += lengths[kept]
        kept += 1
    if 0 <= last_user < kept and sum(lengths[last_user:]) <= window:
        kept, begin = last_user, sum(lengths[:last_user])
    return kept, max(0, total - begin - window)


def _plan(
    samples: Sequence[Sample], histories: list[list[int]], store: MessageStore, table: ElementTable, window: int
) -> Plan:
    offers: dict[object, tuple[int, Offer]] = {}
    conversations: dict[str, int] = {}
    for sample in samples:
        conversations.setdefault(sample.conversation, len(conversations))
    order = sorted(range(len(samples)), key=lambda i: (conversations[samples[i].conversation], len(histories[i])))
    rows: list[list[int]] = []
    row_first: list[int] = []
    row_offer: list[Offer] = []
    sample_row, sample_last = [0] * len(samples), [0] * len(samples)
    nodes: dict[tuple[object, int], int] = {}  # (parent, piece) -> node of the tree of histories
    open_rows: dict[int, int] = {}  # node where a row ends so far -> row
    for i in order:
        number, offer = _offer(samples[i], offers, table)
        lengths = [store.length(piece) for piece in histories[i]]
        first, dropped = first_kept(lengths, _last_user(samples[i]), window)
        pieces = [store.without(histories[i][first], dropped), *histories[i][first + 1 :]]
        parent: object = (conversations[samples[i].conversation], number, first)
        node, ended = -1, None
        for piece in pieces:
            node = parent = nodes.setdefault((parent, piece), len(nodes))
            ended = node if node in open_rows else ended
        if ended is None:
            row = len(rows)
            rows.append(pieces)
            row_first.append(first)
            row_offer.append(offer)
        else:
            row = open_rows.pop(ended)
            rows[row] = pieces
        open_rows[node] = row
        sample_row[i], sample_last[i] = row, len(pieces)
    segments = [piece for pieces in rows for piece in (_BOS_PIECE, *pieces)]
    offsets = np.concatenate([[0], np.cumsum([len(pieces) + 1 for pieces in rows], dtype=np.int64)])
    return Plan(
        np.array(segments, dtype=np.int64), offsets.astype(np.int64), row_first, row_offer, sample_row, sample_last
    )


def _offer(sample: Sample, offers: dict[object, tuple[int, Offer]], table: ElementTable) -> tuple[int, Offer]:
    """The sample's offer with a number that equal offers share."""
    identity = (id(sample.tools), id(sample.slots), id(sample.intents))
    found = offers.get(identity)
    if found is None:
        content = (sample.tools, tuple(sorted(sample.slots.items())), tuple(sorted(sample.intents.items())))
        found = offers.get(content)
        if found is None:
            found = offers[content] = (len(offers), offer_of(sample, table))
        offers[identity] = found
    return found


def _last_user(sample: Sample) -> int:
    if not sample.history:
        raise bad_data(
            f"sample {sample.id}: history",
            "must have at least one message",
            got="none",
            hint="Remove the sample or give it its history",
        )
    return next((i for i in range(len(sample.history) - 1, -1, -1) if sample.history[i].role == USER), -1)


def _row_columns(plan: Plan, pieces: Pieces) -> tuple[dict[str, Column], NDArray[np.int64]]:
    """The columns that do not depend on labels, and each segment's first token within its row."""
    begins = pieces.offsets[plan.segments]
    counts = pieces.offsets[plan.segments + 1] - begins
    ends = np.cumsum(counts)
    segment_row = np.repeat(np.arange(len(plan.row_first)), np.diff(plan.segment_offsets))
    row_offsets = np.concatenate([[0], ends[plan.segment_offsets[1:] - 1]]).astype(np.int64)
    at = np.repeat(begins - (ends - counts), counts) + np.arange(int(row_offsets[-1]))
    turn = np.maximum(np.arange(len(plan.segments)) - plan.segment_offsets[segment_row] - 1, 0)
    within = ends - row_offsets[segment_row]
    rows = np.asarray(plan.sample_row, dtype=np.int64)
    columns: dict[str, Column] = {
        "tokens": pieces.tokens[at],
        "roles": pieces.roles[at],
        "starts": pieces.starts[at],
        "ends": pieces.ends[at],
        "turns": np.repeat(turn, counts),
        "row_offsets": row_offsets,
        "row_first": plan.row_first,
        "sample_row": rows,
        "sample_position": within[plan.segment_offsets[rows] + np.asarray(plan.sample_last, dtype=np.int64)] - 1,
    }
    for name in ("tool", "slot", "intent"):
        lists = [getattr(offer, f"{name}s") for offer in plan.row_offer]
        columns[f"row_{name}s"] = [element for elements in lists for element in elements]
        columns[f"row_{name}_offsets"] = np.concatenate([[0], np.cumsum([len(elements) for elements in lists])])
    return columns, within - counts


def _span_columns(
    samples: Sequence[Sample],
    plan: Plan,
    pieces: Pieces,
    begins: NDArray[np.int64],
    spans: Mapping[str, Sequence[int]],
    queries: int,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Inclusive token indices of every query: 0 where nothing is said, -1 where it is unknown or cut off."""
    start, end = np.zeros(queries, np.int32), np.zeros(queries, np.int32)
    unknown = np.asarray(spans["unknown"], dtype=np.int64)
    start[unknown] = end[unknown] = -1
    query = np.asarray(spans["query"], dtype=np.int64)
    sample = np.asarray(spans["sample"], dtype=np.int64)
    row = np.asarray(plan.sample_row, dtype=np.int64)[sample]
    turn = np.asarray(spans["turn"], dtype=np.int64) - np.asarray(plan.row_first, dtype=np.int64)[row]
    segment = plan.segment_offsets[row] + 1 + np.maximum(turn, 0)
    piece = plan.segments[segment]
    first_char, last_char = (np.asarray(spans[name], dtype=np.int64) for name in ("start", "end"))
    first = np.searchsorted(pieces.search_ends, (piece << 32) + first_char, side="right")
    last = np.searchsorted(pieces.search_starts, (piece << 32) + last_char, side="left") - 1
    seen = (turn >= 0) & (first <= last) & (first_char >= pieces.low[piece]) & (last_char <= pieces.high[piece])
    shift = begins[segment] - pieces.offsets[piece]
    start[query] = np.where(seen, first + shift, -1)
    end[query] = np.where(seen, last + shift, -1)
    return start, end
