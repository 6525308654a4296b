"""Which Chinese characters were meant by mistyped ones in training: what an edit distance cannot know of characters."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from components.errors import bad_data
from components.files import write_json
from components.workloads.keyboard.events import Task
from components.workloads.keyboard.messages import Message
from components.workloads.keyboard.units import fold_text

CONFUSIONS = "confusions.json"
Meant = Mapping[str, Sequence[str]]


def meant_by(messages: Iterable[Message]) -> Meant:
    """A mistyped character -> what was meant by it in the errors of Chinese messages, both in order."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for message in messages:
        for moment in message.moments if message.language == "zh" else ():
            target = message.text[moment.start : moment.end]
            if moment.task is Task.ERROR and target:
                found[fold_text(moment.typed)].add(fold_text(target))
    return {wrong: sorted(found[wrong]) for wrong in sorted(found)}


def save_meant(meant: Meant, folder: Path) -> None:
    """Writes confusions.json."""
    write_json(folder / CONFUSIONS, dict(meant))


def load_meant(folder: Path) -> Meant:
    """What `save_meant` wrote; {} without the file.

    Raises:
        EquipoiseError: E_MODEL (65) when it is damaged.
    """
    path = folder / CONFUSIONS
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text("utf-8"))
        lists = found.values() if isinstance(found, dict) else [None]
        if not all(isinstance(right, list) and all(isinstance(one, str) for one in right) for right in lists):
            raise ValueError("must be lists of characters")
    except (OSError, ValueError) as error:
        raise bad_data(
            str(path), "must say what was meant", got=str(error), hint="Run prepare again", code="MODEL"
        ) from error
    return found
