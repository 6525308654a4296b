"""Labelled moments of messages that came in since a training, read without preparing anything; no screens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from components.config_keyboard import KeyboardConfig
from components.errors import missing
from components.workloads.keyboard.data import divided
from components.workloads.keyboard.events import Event
from components.workloads.keyboard.lines import SUFFIXES, files, read_files
from components.workloads.keyboard.messages import events_of
from components.workloads.keyboard.readings import CONFUSIONS, READINGS
from components.workloads.keyboard.typing_events import Habits, with_moments


def labelled(section: KeyboardConfig, source: Path) -> Iterator[Event]:
    """The moments of the messages in a `.jsonl` or `.jsonl.gz` file, or a folder of them, in the project's own format.
    Typing them is imitated as for the training data; nothing is drawn.

    Raises:
        EquipoiseError: E_MISSING (66) without a file, E_JSON or E_MESSAGE (65) naming file and line.
    """
    if not files(source):
        hint = "Name a file of messages, one a line"
        raise missing(str(source), f"must be or hold a file of {' or '.join(SUFFIXES)}", got="none", hint=hint)
    data = section.data
    shares = data.completion_share, data.error_share, data.clean_share
    habits = Habits(data.seed, *shares, confusions=CONFUSIONS, readings=READINGS)
    return (
        event
        for message in read_files(source, Counter())
        for piece in divided(message, data.message_tokens)
        for event in events_of(with_moments(piece, habits))
    )
