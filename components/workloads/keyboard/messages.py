"""Messages with their moments of typing: what readers yield, what prepare keeps, and the events made of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from components.data.kept_lines import LineWriter, read_kept
from components.workloads.keyboard.events import Event, Labels, Layout, Task
from components.workloads.keyboard.units import language_of

TASKS, LAYOUTS = tuple(Task), tuple(Layout)  # by their numbers


@dataclass(frozen=True)
class Moment:
    """An event inside a message.

    Attributes:
        start, end: characters of the message that are the target; `end` equals `start` where nothing may be suggested.
        typed: what stands there so far.
        layout, next_layout: shown, and needed.
        clean: the typed word is whole and right.
    """

    task: Task
    start: int
    end: int
    typed: str
    layout: Layout
    next_layout: Layout
    clean: bool = False


@dataclass(frozen=True)
class Given:
    """What a source says of a place in a message: `typed` stood where characters [start, end) are right."""

    task: Task
    start: int
    end: int
    typed: str


@dataclass(frozen=True)
class Message:
    """One message of one user.

    Attributes:
        user: name within all sources, "" where unknown.
        text: clean text, right in every word.
        history: earlier messages of its conversation, oldest first.
        given: what the source labels; where there is any, no other event is drawn.
        split: the split that its source says it belongs to, "" where users decide.
        labelled: whether the moments are those of the source.
        moments: its events, by place.
    """

    id: str
    user: str
    source: str
    language: str
    text: str
    history: tuple[str, ...] = ()
    given: tuple[Given, ...] = ()
    moments: tuple[Moment, ...] = ()
    split: str = ""
    labelled: bool = False


def events_of(message: Message) -> Iterator[Event]:
    """The labelled events of a message in the order of its moments."""
    cluster = message.user or message.id
    for number, moment in enumerate(message.moments):
        target = message.text[moment.start : moment.end]
        labels = Labels(moment.task, moment.next_layout, target, language_of(target), moment.clean)
        yield Event(
            id=f"{message.id}/{number}",
            user=message.user,
            conversation=cluster,
            source=message.source,
            language=message.language,
            history=message.history,
            before=message.text[: moment.start],
            typed=moment.typed,
            layout=moment.layout,
            labels=labels,
        )


class MessageWriter(LineWriter):
    """Writes one split's messages; the same messages give the same bytes.

    Of a history stands there how many of the oldest texts were forgotten since its user's message before, and what is
    new since that message: whole, the histories of a user would be as long as the square of what he wrote.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._said: dict[str, tuple[str, ...]] = {}

    def write(self, message: Message) -> None:
        moments = [
            [int(m.task), m.start, m.end, m.typed, int(m.layout), int(m.next_layout), int(m.clean)]
            for m in message.moments
        ]
        before, history = self._said.get(message.user, ()), message.history
        gone = next(i for i in range(len(before) + 1) if history[: len(before) - i] == before[i:])
        since = [gone, history[len(before) - gone :]]
        self._said[message.user] = (*history, message.text)
        self.line({**vars(replace(message, given=())), "history": since, "moments": moments})


def read_messages(path: Path) -> Iterator[Message]:
    """The messages of a file that MessageWriter wrote, in its order; those of a user share the texts of their
    histories, so that memory holds each once.

    Raises:
        EquipoiseError: E_MISSING (66) without the file, E_DATA (65) when it is damaged.
    """
    said: dict[str, tuple[str, ...]] = {}
    return read_kept(path, lambda value: (_message(value, said),))


def _message(value: dict[str, Any], said: dict[str, tuple[str, ...]]) -> Message:
    """One message; `said` holds the history and text of each user's message before, and is brought up to date."""
    gone, since = value["history"]
    history = (*said.get(value["user"], ())[gone:], *since)
    said[value["user"]] = (*history, value["text"])
    moments = tuple(
        Moment(TASKS[task], start, end, typed, LAYOUTS[shown], LAYOUTS[needed], bool(clean))
        for task, start, end, typed, shown, needed, clean in value.pop("moments")
    )
    return Message(**{**value, "history": history, "given": (), "moments": moments})
