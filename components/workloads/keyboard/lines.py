"""The project's own format: JSON lines, one message each, in the order in which a conversation went."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.data.json_lines import read_lines
from components.errors import EquipoiseError, bad_data
from components.workloads.keyboard.events import LANGUAGES
from components.workloads.keyboard.messages import Message
from components.workloads.keyboard.units import clean_text, units

SUFFIXES = (".jsonl", ".jsonl.gz")
LINE_BYTES = 1 << 16
LONGEST = 4000  # characters of a message
REMEMBERED = 512  # earlier messages of a conversation, as many as a request may bring
_KEYS = ("user", "conversation", "language", "sent", "text", "source")


def files(source: Path) -> list[Path]:
    """The .jsonl and .jsonl.gz files of a folder in order of name, or the file itself. Links are not followed."""
    found = [source] if source.is_file() else sorted(source.iterdir()) if source.is_dir() else []
    return [path for path in found if path.is_file() and not path.is_symlink() and path.name.endswith(SUFFIXES)]


def read_files(source: Path, left_out: Counter[str]) -> Iterator[Message]:
    """The sent messages of all files, each with what was said before in its conversation.

    A line is {"user", "conversation", "language", "text"}, with `sent` false for a message the user received and
    `source` for a name of its own ("lines" where absent). The conversation's messages stand together, in order.

    Args:
        left_out: counts the messages in which nothing is left to type.

    Raises:
        EquipoiseError: E_MESSAGE, E_JSON (65) with file and line, E_MISSING (66) for a file that cannot be read.
    """
    for path in files(source):
        talk: tuple[str, str] | None = None
        history: deque[str] = deque(maxlen=REMEMBERED)
        for value, place in read_lines(path, LINE_BYTES, refuse):
            line = checked(value, place)
            if (line["user"], line["conversation"]) != talk:
                talk = (line["user"], line["conversation"])
                history.clear()
            text = clean_text(line["text"])
            if not units(text):
                left_out["nothing to type"] += 1
                continue
            if line.get("sent", True):
                name = line.get("source", "lines")
                number = place.rsplit(":", 1)[1]
                yield Message(
                    f"{name}/{path.name}:{number}", line["user"], name, line["language"], text, tuple(history)
                )
            history.append(text)


def checked(value: Any, place: str) -> dict[str, Any]:
    """The line, after all its rules were found to hold.

    Raises:
        EquipoiseError: E_MESSAGE (65).
    """
    if not isinstance(value, dict):
        raise refuse(place, "a message must be an object", type(value).__name__, "Write one object a line")
    for key in value:
        if key not in _KEYS:
            raise refuse(place, f"a key must be one of {', '.join(_KEYS)}", key, "Mend its name or leave it out")
    for key in ("user", "conversation", "language", "text"):
        if key not in value:
            raise refuse(place, f"{key} must be present", "nothing", "Add it to the line")
    for key in ("user", "conversation", "source"):
        name = value.get(key, "-")
        if not isinstance(name, str) or not 0 < len(name) <= 200 or not name.isprintable():
            rule = f"{key} must be a name of 1 to 200 printable characters"
            raise refuse(place, rule, name, "Give it a plain name")
    if value["language"] not in LANGUAGES:
        raise refuse(place, f"language must be one of {', '.join(LANGUAGES)}", value["language"], "Name one of them")
    if not isinstance(value.get("sent", True), bool):
        raise refuse(place, "sent must be true or false", value["sent"], "Leave it out for a sent message")
    if not isinstance(value["text"], str) or len(value["text"]) > LONGEST:
        got = len(value["text"]) if isinstance(value["text"], str) else value["text"]
        raise refuse(place, f"text must be text of at most {LONGEST} characters", got, "Shorten or quote it")
    return value


def refuse(place: str, rule: str, got: Any, hint: str) -> EquipoiseError:
    """E_MESSAGE (65)."""
    return bad_data(place, rule, got=got, hint=hint, code="MESSAGE")
