"""What `predict` and the served model are asked and answer: a text, a word begun, perhaps a screen; and candidates."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.errors import EquipoiseError, bad_data
from components.workloads.keyboard.answers import Prediction, Ranked
from components.workloads.keyboard.events import LANGUAGES, REGIONS, Event, Layout
from components.workloads.keyboard.images import BYTES, read_screen, write_screen
from components.workloads.keyboard.lines import REMEMBERED
from components.workloads.keyboard.units import clean_text, language_of

FIELDS = ("before", "typed", "history", "language", "layout", "screen", "boxes")
OPTIONAL = ("screen", "boxes")  # not in every request
LONGEST = 10_000  # characters of a text
MESSAGES = REMEMBERED  # of a history
SAID = 300_000  # characters of all of them
HINT = 'Send {"before": "see you ", "typed": "tom", "history": [], "language": "en", "layout": "EN"}'
_PNG = "data:image/png;base64,"


def read_request(row: Mapping[str, Any], place: str) -> Event:
    """An event without labels.

    Args:
        row: {"before": the message left of the word being typed; "typed": what is typed of that word; "history":
            earlier messages, oldest first; "language": en or zh, of the user; "layout": that is shown; "screen": a PNG
            or JPEG in base64, or the path of one below the working directory; "boxes": four times x0, y0, x1, y1 in
            shares of the screen}; each may be left out, the language then follows from the script.

    Raises:
        EquipoiseError: E_DATA (65) naming the field that is wrong, E_IMAGE (65) for a picture that is none.
    """
    if not isinstance(row, Mapping):
        raise _wrong(place, "a request must be an object", type(row).__name__)
    for name in row:
        if name not in FIELDS:
            raise _wrong(place, f"fields must be among {', '.join(FIELDS)}", str(name))
    before, typed = (_text(row.get(name), f"{place}: {name}") for name in ("before", "typed"))
    if len(typed.split()) > 1:
        raise _wrong(f"{place}: typed", "must be one word", typed)
    history = _history(row.get("history"), f"{place}: history")
    language = _language(row.get("language"), (typed, before, *reversed(history)), f"{place}: language")
    screen = _screen(row.get("screen"), f"{place}: screen")
    boxes = _boxes(row.get("boxes"), f"{place}: boxes")
    if boxes is not None and screen is None:
        raise _wrong(f"{place}: boxes", "must come with a screen", "no screen")
    return Event(
        id=place,
        user="",
        conversation=place,
        source="request",
        language=language,
        history=history,
        before=before,
        typed=typed,
        layout=_layout(row.get("layout"), language, f"{place}: layout"),
        screen=screen,
        boxes=boxes,
    )


def request_of(event: Event) -> dict[str, Any]:
    """The raw request behind an event: nothing in it gives the answer away."""
    asked: dict[str, Any] = {
        "before": event.before,
        "typed": event.typed,
        "history": list(event.history),
        "language": event.language,
        "layout": event.layout.name,
    }
    if event.screen is not None:
        asked["screen"] = base64.b64encode(write_screen(event.screen)).decode("ascii")
        if event.boxes is not None:
            asked["boxes"] = [[float(edge) for edge in box] for box in event.boxes]
    return asked


def render(prediction: Prediction) -> dict[str, Any]:
    """The answer as a user sees it."""
    return {
        "candidates": _listed(prediction.candidates),
        "emoji": _listed(prediction.emoji),
        "task": prediction.task.name,
        "task_probability": round(prediction.task_probabilities[prediction.task], 6),
        "layout": prediction.layout.name,
        "layout_probability": round(prediction.layout_probabilities[prediction.layout], 6),
    }


def _listed(ranked: Ranked) -> list[dict[str, Any]]:
    return [{"text": text, "probability": round(share, 6)} for text, share in ranked]


def _text(value: Any, where: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > LONGEST:
        got = f"{len(value):,} characters" if isinstance(value, str) else type(value).__name__
        raise _wrong(where, f"must be a text of at most {LONGEST:,} characters", got)
    return clean_text(value)


def _history(values: Any, where: str) -> tuple[str, ...]:
    if values is None:
        return ()
    if not isinstance(values, Sequence) or isinstance(values, str | bytes):
        raise _wrong(where, "must be a list of texts", type(values).__name__)
    if len(values) > MESSAGES:
        raise _wrong(where, f"must be at most {MESSAGES} messages", len(values))
    for value in values:
        if not isinstance(value, str):
            raise _wrong(where, "must be a list of texts", type(value).__name__)
    if (said := sum(map(len, values))) > SAID:
        raise _wrong(where, f"must have at most {SAID:,} characters in all", f"{said:,}")
    return tuple(text for value in values if (text := _text(value, where)))


def _language(value: Any, texts: Sequence[str], where: str) -> str:
    if value is None:
        scripts = (language_of(text) for text in texts)
        return LANGUAGES[next((script for script in scripts if script is not None), Layout.EN)]
    if value not in LANGUAGES:
        raise _wrong(where, f"must be one of {', '.join(LANGUAGES)}", value)
    return value


def _layout(value: Any, language: str, where: str) -> Layout:
    if value is None:
        return Layout(LANGUAGES.index(language))
    if not isinstance(value, str) or value not in Layout.__members__:
        raise _wrong(where, f"must be one of {', '.join(Layout.__members__)}", value)
    return Layout[value]


def _screen(value: Any, where: str) -> NDArray[np.uint8] | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise _wrong(where, "must be a picture in base64 or its path", type(value).__name__)
    if Path(value).suffix.lower() in (".png", ".jpg", ".jpeg"):
        return read_screen(_file(value, where), where)
    text = value.removeprefix(_PNG)
    if len(text) > 4 * (BYTES // 3 + 1):
        raise _wrong(where, f"must be a picture of at most {BYTES} bytes", f"{len(text)} characters")
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _wrong(where, "must be a picture in base64 or a path that ends in .png", str(error)) from error
    return read_screen(raw, where)


def _file(value: str, where: str) -> bytes:
    """A picture's bytes; only below the working directory, because requests come from strangers too."""
    try:
        path, root = Path(value).resolve(), Path.cwd().resolve()
        if not path.is_relative_to(root):
            raise _wrong(where, "a path must lie below the working directory", value)
        if not path.is_file():
            raise _wrong(where, "must be an existing file", value)
        with path.open("rb") as file:
            return file.read(BYTES + 1)
    except (OSError, ValueError) as error:
        raise _wrong(where, "must be a readable file", str(error)) from error


def _boxes(values: Any, where: str) -> NDArray[np.float32] | None:
    if values is None:
        return None
    rule = f"must be {len(REGIONS)} boxes of 4 numbers in 0..1, x0 <= x1 and y0 <= y1: {', '.join(REGIONS)}"
    try:
        boxes = np.array(values, np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise _wrong(where, rule, str(error)) from error
    if boxes.shape != (len(REGIONS), 4):
        raise _wrong(where, rule, f"shape {boxes.shape}")
    inside = (boxes >= 0) & (boxes <= 1)  # False for what is not a number
    if not inside.all() or (boxes[:, :2] > boxes[:, 2:]).any():
        raise _wrong(where, rule, boxes.tolist())
    return boxes


def _wrong(place: str, rule: str, got: Any) -> EquipoiseError:
    return bad_data(place, rule, got=got, hint=HINT)
