"""Messages to arrays: a row is BOS, the pieces of each earlier message followed by SEP, then the pieces of the message.

The text model is causal, so that all events of a message share one row: an event is read at `event_position`, the last
token left of its cursor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.data.arrays import ArrayWriter
from components.workloads.keyboard.encode import BOS, SEP, SPECIALS, UNK, Codec
from components.workloads.keyboard.events import LANGUAGES, SUGGESTED, TYPED_BYTES, Event, Layout, Task
from components.workloads.keyboard.messages import Message, Moment
from components.workloads.keyboard.units import clean_text, fold_text, language_of, units

UNDEFINED = -1  # target_lang of marks, digits and emoji; padding of target pieces
ROW_ARRAYS = {"tokens": np.int32, "row_language": np.uint8, "row_user": np.int32}
EVENT_ARRAYS = {
    "event_row": np.int32,
    "event_position": np.int32,
    "task": np.uint8,
    "layout": np.uint8,
    "next_layout": np.uint8,
    "target_lang": np.int8,
    "clean": np.uint8,
    "switch": np.uint8,
}
WIDE_ARRAYS = {"event_word": (np.int32, SUGGESTED), "typed": (np.uint16, TYPED_BYTES)}


@dataclass(frozen=True)
class Limits:
    """`history_messages`: earlier messages a row begins with at most; `history_tokens`: pieces of all of them."""

    history_messages: int
    history_tokens: int


@dataclass
class Tally:
    """What is counted while a split is written."""

    rows: int = 0
    pieces: int = 0
    unknown: int = 0
    events: Counter[tuple[str, Task]] = field(default_factory=Counter)
    layouts: Counter[Layout] = field(default_factory=Counter)
    switches: int = 0
    without_target: int = 0
    users: set[str] = field(default_factory=set)


def context(codec: Codec, history: Sequence[str], limits: Limits) -> NDArray[np.int32]:
    """BOS and the pieces of the last earlier messages, each followed by SEP: whole messages while they fit, of the last
    one at least its end."""
    kept: list[NDArray[np.int32]] = []
    room = limits.history_tokens
    for text in reversed(history[-limits.history_messages :] if limits.history_messages else ()):
        pieces = codec.encode(clean_text(text))
        if len(pieces) + 1 > room and kept:
            break
        pieces = pieces[max(len(pieces) + 1 - room, 0) :] if room > 1 else pieces[:0]
        if not len(pieces):
            break
        kept.append(np.append(pieces, np.int32(SEP)))
        room -= len(pieces) + 1
    return np.concatenate([np.array([BOS], np.int32), *reversed(kept)])


def typed_bytes(typed: str) -> NDArray[np.uint16]:
    """[TYPED_BYTES] the UTF-8 bytes of the folded word plus 1, padded with 0; what is longer loses its end."""
    found = np.zeros(TYPED_BYTES, np.uint16)
    raw = fold_text(typed).encode()[:TYPED_BYTES]
    found[: len(raw)] = np.frombuffer(raw, np.uint8)
    found[: len(raw)] += 1
    return found


def request_row(codec: Codec, event: Event, limits: Limits) -> NDArray[np.int32]:
    """The tokens left of the cursor of an event: the event's position is the last of them."""
    before = codec.encode(clean_text(event.before))
    return np.concatenate([context(codec, event.history, limits), before])


class RowWriter:
    """Writes the arrays of one split, chunk by chunk."""

    def __init__(self, folder: Path, codec: Codec, limits: Limits) -> None:
        self.codec = codec
        self.limits = limits
        self.tally = Tally()
        self._users: dict[str, int] = {}
        self._end = 0
        self._arrays = {name: ArrayWriter(folder / f"{name}.npy", kind) for name, kind in _kinds().items()}
        for name, (kind, width) in WIDE_ARRAYS.items():
            self._arrays[name] = ArrayWriter(folder / f"{name}.npy", kind, (width,))
        self._arrays["row_offsets"].append(np.zeros(1, np.int64))

    def write(self, messages: Sequence[Message]) -> None:
        """Appends the rows and events of some messages."""
        columns: dict[str, list] = {name: [] for name in self._arrays}
        for message in messages:
            self._row(message, columns)
        columns["tokens"] = [np.concatenate(columns["tokens"])] if columns["tokens"] else []
        for name, values in columns.items():
            if len(values):
                writer = self._arrays[name]
                whole = values[0] if name == "tokens" else np.array(values, writer.dtype)
                writer.append(whole.reshape(-1, *writer.row))

    def close(self) -> None:
        """Finishes every file."""
        for writer in self._arrays.values():
            writer.close()

    def abandon(self) -> None:
        """Closes the files without finishing them."""
        for writer in self._arrays.values():
            writer.abandon()

    def _row(self, message: Message, columns: dict[str, list]) -> None:
        before = context(self.codec, message.history, self.limits)
        pieces, place = [], {}
        for unit in units(message.text):
            place[unit.start] = len(pieces)
            pieces += self.codec.unit(unit)
        row = np.concatenate([before, np.array(pieces, np.int32)])
        self._end += len(row)
        columns["tokens"].append(row)
        columns["row_offsets"].append(self._end)
        columns["row_language"].append(LANGUAGES.index(message.language))
        columns["row_user"].append(self._user(message.user))
        for moment in message.moments:
            self._event(message, moment, pieces, place[moment.start], len(before), columns)
        self.tally.rows += 1
        self.tally.pieces += len(pieces)
        self.tally.unknown += pieces.count(UNK)

    def _event(
        self, message: Message, moment: Moment, pieces: list[int], at: int, before: int, columns: dict[str, list]
    ) -> None:
        text = message.text[moment.start : moment.end]
        target = np.full(SUGGESTED, UNDEFINED, np.int32)
        ahead = pieces[at:] if moment.task is Task.SUGGESTION else list(self.codec.encode(text))
        shown = next((i for i, piece in enumerate(ahead) if UNK <= piece < len(SPECIALS)), len(ahead))
        target[: min(shown, SUGGESTED)] = ahead[: min(shown, SUGGESTED)]
        language = language_of(text)
        columns["event_row"].append(self.tally.rows)
        columns["event_position"].append(before + at - 1)
        columns["task"].append(moment.task)
        columns["layout"].append(moment.layout)
        columns["next_layout"].append(moment.next_layout)
        columns["target_lang"].append(UNDEFINED if language is None else language)
        columns["clean"].append(moment.clean)
        columns["switch"].append(moment.layout != moment.next_layout)
        columns["event_word"].append(target)
        columns["typed"].append(typed_bytes(moment.typed))
        self.tally.events[message.source, moment.task] += 1
        self.tally.layouts[moment.next_layout] += 1
        self.tally.switches += moment.layout != moment.next_layout
        self.tally.without_target += int(target[0]) == UNDEFINED

    def _user(self, user: str) -> int:
        if not user:
            return UNDEFINED
        self.tally.users.add(user)
        return self._users.setdefault(user, len(self._users))


def _kinds() -> dict[str, type]:
    return {**ROW_ARRAYS, "row_offsets": np.int64, **EVENT_ARRAYS}
