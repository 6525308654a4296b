"""What a keyboard may be asked: texts and screens from strangers."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import EquipoiseError, Exit
from components.workloads.keyboard.answers import Prediction
from components.workloads.keyboard.events import Event, Layout, Task
from components.workloads.keyboard.images import write_screen
from components.workloads.keyboard.requests import FIELDS, LONGEST, read_request, render, request_of
from components.workloads.keyboard.screens import default_boxes

SCREEN = (np.arange(96 * 64) % 251).astype(np.uint8).reshape(96, 64)
PICTURE = base64.b64encode(write_screen(SCREEN)).decode()

BAD: dict[str, tuple[Any, str]] = {
    "no object": (["before"], "E_DATA"),
    "an unknown field": ({"prefix": "a"}, "fields must be among"),
    "a number before": ({"before": 7}, "before"),
    "a list typed": ({"typed": ["a"]}, "typed"),
    "two words typed": ({"typed": "see you"}, "one word"),
    "an endless text": ({"before": "a" * (LONGEST + 1)}, "at most"),
    "a history that is a text": ({"history": "hello"}, "history"),
    "a history of numbers": ({"history": [1, 2]}, "history"),
    "a history without end": ({"history": ["a"] * 513}, "at most 512"),
    "a history of novels": ({"history": ["a" * LONGEST] * 31}, "at most 300,000 characters in all"),
    "an unknown layout": ({"layout": "QWERTY"}, "layout"),
    "a layout by number": ({"layout": 0}, "layout"),
    "an unknown language": ({"language": "de"}, "language"),
    "a language that is a list": ({"language": ["en"]}, "language"),
    "a screen that is no base64": ({"screen": "!!!"}, "base64"),
    "a screen that is no picture": ({"screen": base64.b64encode(b"hello").decode()}, "E_IMAGE"),
    "an empty screen": ({"screen": ""}, "base64"),
    "a screen of bytes": ({"screen": b"x"}, "base64"),
    "a path outside": ({"screen": "/etc/passwd.png"}, "below the working directory"),
    "a path upwards": ({"screen": "../../a.png"}, "below the working directory"),
    "a path of nothing": ({"screen": "nothing.png"}, "existing file"),
    "a path with a null": ({"screen": "a\x00.png"}, "E_DATA"),
    "boxes without a screen": ({"boxes": default_boxes().tolist()}, "with a screen"),
    "three boxes": ({"screen": PICTURE, "boxes": default_boxes()[:3].tolist()}, "boxes"),
    "boxes of words": ({"screen": PICTURE, "boxes": [["a"] * 4] * 4}, "boxes"),
    "ragged boxes": ({"screen": PICTURE, "boxes": [[0, 0, 1], [0]]}, "boxes"),
    "boxes in pixels": ({"screen": PICTURE, "boxes": [[0, 0, 64, 96]] * 4}, "boxes"),
    "boxes turned round": ({"screen": PICTURE, "boxes": [[1, 0, 0, 1]] * 4}, "boxes"),
    "boxes that are no numbers": ({"screen": PICTURE, "boxes": [[float("nan")] * 4] * 4}, "boxes"),
}


@pytest.mark.parametrize(("row", "why"), BAD.values(), ids=BAD)
def test_bad_requests_say_what_is_wrong(row: Any, why: str) -> None:
    with pytest.raises(EquipoiseError, match=why) as caught:
        read_request(row, "request 3")
    assert caught.value.exit_code == Exit.BAD_DATA
    assert "request 3" in str(caught.value)
    assert len(str(caught.value)) < 2000


def test_nothing_asked_is_a_request() -> None:
    event = read_request({}, "request")
    assert (event.before, event.typed, event.history, event.language) == ("", "", (), "en")
    assert (event.layout, event.screen, event.labels) == (Layout.EN, None, None)


@pytest.mark.parametrize(
    ("row", "language"),
    [
        ({"before": "你好"}, "zh"),
        ({"before": "hello", "history": ["你好"]}, "en"),
        ({"history": ["hello", "你好", "😂"]}, "zh"),
        ({"typed": "w", "before": "你好"}, "en"),
        ({"before": "123 😂"}, "en"),
        ({"before": "hello", "language": "zh"}, "zh"),
    ],
)
def test_the_language_follows_the_script(row: dict[str, Any], language: str) -> None:
    event = read_request(row, "request")
    assert event.language == language
    assert event.layout == (Layout.ZH if language == "zh" else Layout.EN)


def test_texts_are_cleaned_as_prepare_cleans_them() -> None:
    event = read_request(
        {"before": "see\u200b you\x07", "typed": "\ud800", "history": ["", "\u202eabc", "❤\ufe0f"]}, "request"
    )
    assert (event.before, event.typed, event.history) == ("see you", "\ufffd", ("abc", "❤"))


def test_a_screen_in_base64_or_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "screen.png").write_bytes(write_screen(SCREEN))
    for given_as in (PICTURE, f"data:image/png;base64,{PICTURE}", "screen.png", str(tmp_path / "screen.png")):
        found = read_request({"screen": given_as}, "request")
        assert found.screen is not None and np.array_equal(found.screen, SCREEN)
        assert found.boxes is None
    (tmp_path / "link.png").symlink_to("/etc/passwd")
    with pytest.raises(EquipoiseError, match="below the working directory"):
        read_request({"screen": "link.png"}, "request")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(EquipoiseError, match="existing file"):
        read_request({"screen": "folder.png"}, "request")


def test_an_event_and_its_request() -> None:
    event = Event("m/1", "u", "u", "embedded", "zh", ("你好",), "see ", "yo", Layout.EN, None, SCREEN, default_boxes())
    asked = json.loads(json.dumps(request_of(event)))
    assert set(asked) == set(FIELDS)
    again = read_request(asked, "request")
    assert (again.before, again.typed, again.history) == ("see", "yo", ("你好",))
    assert (again.language, again.layout) == ("zh", Layout.EN)
    assert again.screen is not None and np.array_equal(again.screen, SCREEN)
    assert again.boxes is not None and np.array_equal(again.boxes, default_boxes())
    assert set(request_of(replace(event, screen=None, boxes=None))) == set(FIELDS) - {"screen", "boxes"}


def test_an_answer_is_json() -> None:
    answer = Prediction(
        (("you", 0.5),), (), (("😂", 1.0),), Task.COMPLETION, (0.1, 0.9, 0.0), Layout.EN, (0.7, 0.3, 0.0, 0.0, 0.0)
    )
    assert json.loads(json.dumps(render(answer))) == {
        "candidates": [{"text": "you", "probability": 0.5}],
        "emoji": [{"text": "😂", "probability": 1.0}],
        "task": "COMPLETION",
        "task_probability": 0.9,
        "layout": "EN",
        "layout_probability": 0.7,
    }


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(row=st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=7))
def test_anything_is_answered_or_refused(row: dict[str, Any]) -> None:
    try:
        event = read_request(row, "request")
    except EquipoiseError as error:
        assert error.exit_code == Exit.BAD_DATA
    else:
        assert read_request(request_of(event), "request").typed == event.typed
