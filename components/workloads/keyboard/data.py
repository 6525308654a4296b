"""Raw messages to prepared arrays: read once, split by user, encoded a chunk at a time, drawn, published when whole."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.config_keyboard import KeyboardData
from components.data.arrays import open_array
from components.data.manifest import published, verify_once, write_manifest
from components.data.splits import SPLITS, check_split
from components.errors import missing
from components.files import write_json, write_text
from components.workloads.keyboard import encode, generator, rows
from components.workloads.keyboard.confusions import meant_by, save_meant
from components.workloads.keyboard.counts import write_counts
from components.workloads.keyboard.drawing import draw_splits
from components.workloads.keyboard.emoji_odds import write_emoji_odds
from components.workloads.keyboard.events import LANGUAGES, REGIONS, Event, Layout, Task
from components.workloads.keyboard.lines import files, read_files
from components.workloads.keyboard.messages import Message, MessageWriter, events_of, read_messages
from components.workloads.keyboard.originals import Originals
from components.workloads.keyboard.readings import CONFUSIONS, READINGS
from components.workloads.keyboard.report import build_report, render_report
from components.workloads.keyboard.splits import Splitter, messages_file
from components.workloads.keyboard.typing_events import Habits, with_moments
from components.workloads.keyboard.units import units

VERSION = 2
CHUNK = 1024  # messages encoded together
SHEET = "contact_sheet.png"


def generate(section: Any, folder: Path) -> None:
    """Writes the embedded data set, in the project's own format, into `folder`."""
    generator.generate(section, folder)


def samples(prepared: Path, split: str) -> Iterator[Event]:
    """The labelled events of a prepared split in the order of its arrays: event i is `sample_id` i of the batches. An
    event that was drawn carries its screen.

    Raises:
        EquipoiseError: E_MISSING (66) without prepared data, E_MANIFEST (65) when it was changed.
    """
    verify_once(prepared)
    check_split(prepared, split)
    return _samples(prepared, split)


def _samples(prepared: Path, split: str) -> Iterator[Event]:
    folder = prepared / split
    drawn = open_array(folder / "event_screen.npy")
    screens, boxes = open_array(folder / "screens.npy", 3), open_array(folder / "screen_boxes.npy", 3)
    events = (event for message in read_messages(messages_file(prepared, split)) for event in events_of(message))
    for event, at in zip(events, drawn.tolist(), strict=True):
        yield event if at < 0 else replace(event, screen=screens[at], boxes=boxes[at])


def prepare(section: Any, folder: Path) -> Mapping[str, Any]:
    """Reads the source named in the data section and puts the prepared data at `folder`, whole or not at all.

    The same source, data section and fonts give the same bytes. Memory holds two digests a message and the vocabulary,
    not the messages. Screens that were drawn before a prepare was interrupted are not drawn again.

    Returns:
        the report, also written as report.json and report.md beside contact_sheet.png.

    Raises:
        EquipoiseError: E_MISSING (66) without a source, the readers' codes (65) for anything wrong in it, E_FONT (78)
            where no font can draw what must be drawn, E_WRITE (73) or E_IO (74) when `folder` cannot be written.
    """
    data: KeyboardData = section.data
    left_out: Counter[str] = Counter()
    with published(folder) as part:
        read = _first_pass(data, part, left_out)
        codec = encode.train_codec((message.text for message in _messages(part, "train")), data.vocabulary)
        codec.save(part / encode.VOCABULARY)
        write_counts(messages_file(part, "train"), part)
        save_meant(meant_by(_messages(part, "train")), part)
        if data.emoji_signs:
            write_emoji_odds(messages_file(part, "train"), part, data.emoji_signs, data.emoji_strength)
        limits = rows.Limits(data.history_messages, data.history_tokens)
        tallies = {split: _encode_split(part, split, codec, limits) for split in SPLITS}
        drawn = draw_splits(part, {split: _events(part, split) for split in SPLITS}, data, folder, part / SHEET)
        report = build_report(tallies, read, left_out, drawn, codec, data)
        write_json(part / "report.json", report)
        write_text(part / "report.md", render_report(report))
        write_manifest(part, _facts(data, report, tallies, codec))
        drawn.forget()
    return report


def _facts(
    data: KeyboardData, report: Mapping[str, Any], tallies: Mapping[str, rows.Tally], codec: encode.Codec
) -> dict[str, Any]:
    return {
        "workload": "keyboard",
        "version": VERSION,
        "settings": data.model_dump(mode="json"),
        "labels": {
            "task": [task.name for task in Task],
            "layout": [layout.name for layout in Layout],
            "language": LANGUAGES,
            "region": REGIONS,
            "special": encode.SPECIALS,
        },
        "class_shares": report["class_shares"],
        "splits": {split: {"rows": t.rows, "events": t.events.total()} for split, t in tallies.items()},
        "vocabulary": codec.size,
        "fonts": report["fonts"],
    }


def _source(data: KeyboardData, left_out: Counter[str]) -> tuple[Iterator[Message], Habits]:
    """The messages of the source and how typing them is imitated; `auto` looks at what lies there."""
    source = Path(data.source)
    if not source.exists():
        raise missing(
            "keyboard.data.source",
            "must name a file or folder",
            got=data.source,
            hint="Run the generate stage for the embedded data, or name yours with --data",
        )
    habits = Habits(
        data.seed,
        data.completion_share,
        data.error_share,
        data.clean_share,
        confusions=CONFUSIONS,
        readings=READINGS,
    )
    if data.format == "lines" or (data.format == "auto" and files(source)):
        return read_files(source, left_out), habits
    originals = Originals(source, left_out)
    habits = replace(
        habits,
        misspellings=originals.misspellings() if data.codespell else {},
        confusions=originals.confusions(CONFUSIONS),
    )
    return originals.messages(data.parts), habits


def _first_pass(data: KeyboardData, part: Path, left_out: Counter[str]) -> Counter[str]:
    """Writes the messages of each split with their events; returns how many were read of each source."""
    path = part / "read.jsonl.gz"
    read: Counter[str] = Counter()
    messages, habits = _source(data, left_out)
    splitter = Splitter(data.seed, (data.validation_share, data.test_share), left_out)
    writer = MessageWriter(path)
    with contextlib.ExitStack() as stack:
        stack.callback(writer.abandon)
        for message in messages:
            read[message.source] += 1
            for piece in divided(message, data.message_tokens):
                typed = with_moments(piece, habits)
                splitter.add(typed)
                writer.write(typed)
        writer.close()
    splitter.divide(data.source, read_messages(path), part)
    path.unlink()
    return read


def divided(message: Message, limit: int) -> Iterator[Message]:
    """The message, or where it has more than `limit` units its pieces, each with the ones before as history."""
    found = units(message.text)
    if len(found) <= limit or message.given:
        yield message
        return
    history = message.history
    for number, start in enumerate(range(0, len(found), limit)):
        here = found[start : start + limit]
        text = message.text[here[0].start : here[-1].end]
        yield replace(message, id=f"{message.id}.{number}", text=text, history=history)
        history = (*history, text)


def _messages(part: Path, split: str) -> Iterator[Message]:
    return read_messages(messages_file(part, split))


def _events(part: Path, split: str) -> Iterator[Event]:
    return (event for message in _messages(part, split) for event in events_of(message))


def _encode_split(part: Path, split: str, codec: encode.Codec, limits: rows.Limits) -> rows.Tally:
    """Writes the arrays of one split but for its screens."""
    folder = part / split
    folder.mkdir()
    writer = rows.RowWriter(folder, codec, limits)
    with contextlib.ExitStack() as stack:
        stack.callback(writer.abandon)
        messages = _messages(part, split)
        while chunk := list(itertools.islice(messages, CHUNK)):
            writer.write(chunk)
        writer.close()
    return writer.tally
