"""Bad requests to the keyboard, one a row, each answered by one line; and odd texts and screens, which are answered."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from components.errors import EquipoiseError, Exit
from components.workloads.keyboard.confusions import load_meant
from components.workloads.keyboard.counts import load_counts
from components.workloads.keyboard.emoji_odds import load_emoji_odds
from components.workloads.keyboard.encode import load_codec
from components.workloads.keyboard.events import HEIGHT, WIDTH, Layout
from components.workloads.keyboard.images import write_screen
from components.workloads.keyboard.lexicon import lexicon_of
from components.workloads.keyboard.model import Keyboard
from components.workloads.keyboard.predict import KeyboardPredictor
from components.workloads.keyboard.requests import read_request, render
from components.workloads.keyboard.rows import Limits
from tests.workloads.keyboard.small import prepared_small
from tests.workloads.keyboard.small_arrays import sizes

SCREEN = np.arange(HEIGHT * WIDTH, dtype=np.uint32).reshape(HEIGHT, WIDTH).astype(np.uint8)
PICTURE = base64.b64encode(write_screen(SCREEN)).decode()
BOX = [0.0, 0.0, 1.0, 0.5]

REQUESTS: list[tuple[str, Any, str]] = [
    ("a list", ["hello"], "must be an object"),
    ("a text", "hello", "must be an object"),
    ("another field", {"before": "see", "prefix": "y"}, "fields must be among"),
    ("before is a number", {"before": 7}, "before: must be a text"),
    ("before is a list", {"before": ["see"]}, "before: must be a text"),
    ("before has 10,001 characters", {"before": "a" * 10_001}, "before: must be a text of at most"),
    ("typed is true", {"typed": True}, "typed: must be a text"),
    ("two words typed", {"typed": "see you"}, "typed: must be one word"),
    ("history is a text", {"history": "see you"}, "history: must be a list"),
    ("history has a number", {"history": ["see", 7]}, "history: must be a list of texts"),
    ("history has 513 messages", {"history": ["see"] * 513}, "history: must be at most 512"),
    ("another language", {"language": "fr"}, "language: must be one of en, zh"),
    ("language is a list", {"language": ["en"]}, "language: must be one of en, zh"),
    ("another layout", {"layout": "QWERTZ"}, "layout: must be one of EN, ZH, SYM, EMOJI, NUM"),
    ("a layout in small letters", {"layout": "en"}, "layout: must be one of"),
    ("a layout by number", {"layout": 0}, "layout: must be one of"),
    ("an empty screen", {"screen": ""}, "screen: must be a picture"),
    ("a screen that is a number", {"screen": 7}, "screen: must be a picture"),
    ("a screen that is no base64", {"screen": "hello there!"}, "screen: must be a picture in base64"),
    ("a screen that is no picture", {"screen": base64.b64encode(b"hello").decode()}, "screen: must be a whole PNG"),
    ("half a screen", {"screen": PICTURE[: len(PICTURE) // 8 * 4]}, "screen: must be a whole picture"),
    ("a screen of 20 MB", {"screen": "A" * 20_000_000}, "screen: must be a picture of at most"),
    ("a path out of here", {"screen": "/etc/passwd.png"}, "screen: a path must lie below"),
    ("a path that climbs", {"screen": "../../secret.png"}, "screen: a path must lie below"),
    ("a path to nothing", {"screen": "nothing.png"}, "screen: must be an existing file"),
    ("a path with a NUL", {"screen": "a\0b.png"}, "screen: must be a"),
    ("boxes without a screen", {"boxes": [BOX] * 4}, "boxes: must come with a screen"),
    ("three boxes", {"screen": PICTURE, "boxes": [BOX] * 3}, "boxes: must be 4 boxes"),
    ("a box of words", {"screen": PICTURE, "boxes": [["a", "b", "c", "d"]] * 4}, "boxes: must be 4 boxes"),
    ("a box beyond the screen", {"screen": PICTURE, "boxes": [BOX, BOX, BOX, [0, 0, 1.5, 1]]}, "boxes: must be 4"),
    ("a box turned round", {"screen": PICTURE, "boxes": [BOX, BOX, BOX, [0.5, 0, 0.1, 1]]}, "boxes: must be 4"),
    ("a box of NaN", {"screen": PICTURE, "boxes": [[math.nan] * 4] * 4}, "boxes: must be 4 boxes"),
]


@pytest.mark.parametrize(("row", "words"), [one[1:] for one in REQUESTS], ids=[one[0] for one in REQUESTS])
def test_bad_requests(row, words):
    with pytest.raises(EquipoiseError) as caught:
        read_request(row, "requests.jsonl:3")
    error = caught.value
    assert error.exit_code == Exit.BAD_DATA and error.code in ("E_DATA", "E_IMAGE")
    assert error.place.startswith("requests.jsonl:3") and words in str(error)
    assert "\n" not in str(error) and str(error).isprintable() and error.hint


@pytest.fixture(scope="module")
def predictor(tmp_path_factory) -> KeyboardPredictor:
    """An untrained model: what it answers is chance, that it answers is not."""
    prepared = prepared_small(tmp_path_factory.mktemp("requests"))
    codec, counts, signs = load_codec(prepared), load_counts(prepared), load_emoji_odds(prepared)
    assert signs is not None
    torch.manual_seed(0)
    model = Keyboard(sizes(), codec.size).eval()
    mixture = sizes().mixture
    lexicon = lexicon_of(codec, counts, load_meant(prepared))
    return KeyboardPredictor(model, codec, lexicon, counts, signs, Limits(2, 16), 512, mixture)


ODD: list[tuple[str, dict[str, Any]]] = [
    ("nothing at all", {}),
    ("an empty context", {"before": "", "typed": "", "history": []}),
    ("blanks", {"before": " \t\n ", "history": ["  ", "\n"]}),
    ("lone surrogates", {"before": "see \ud83d you \udc4d", "typed": "\ud83d"}),
    ("zero-width characters", {"before": "s\u200be\u200ce\ufeff", "typed": "\u200b"}),
    ("right to left", {"before": "\u202e\u0645\u0631\u062d\u0628\u0627\u202c", "typed": "\u0634"}),
    ("emoji sequences", {"before": "👨‍👩‍👧‍👦 👍🏽 🇺🇸 ❤️", "typed": ""}),
    ("an emoji typed", {"typed": "👨‍👩‍👧"}),
    ("characters nobody has seen", {"before": "夔夔 ☎ ж", "typed": "ъ", "language": "zh"}),
    ("control characters", {"before": "a\x00b\x1b[31mc", "typed": "\x07"}),
    ("a word of 5,000 letters", {"before": "a" * 5_000, "typed": "b" * 5_000}),
    ("2,000 words", {"before": "so good " * 1_000}),
    ("64 long messages", {"history": ["so good " * 500] * 64, "typed": "g"}),
    ("a placeholder", {"before": "<#> <DECIMAL> @user", "typed": "<"}),
    ("a screen alone", {"screen": PICTURE}),
    ("a screen with its boxes", {"screen": "data:image/png;base64," + PICTURE, "boxes": [BOX] * 4}),
    ("a box without width", {"screen": PICTURE, "boxes": [[0.5, 0.5, 0.5, 0.5]] * 4}),
    *((f"layout {layout.name}", {"typed": "s", "layout": layout.name}) for layout in Layout),
]


@pytest.mark.parametrize("row", [one[1] for one in ODD], ids=[one[0] for one in ODD])
def test_odd_requests_are_answered(predictor, row):
    (answer,) = predictor.predict([read_request(row, "request")])
    for shares in (answer.task_probabilities, answer.layout_probabilities, answer.experts):
        assert shares and all(0 <= share <= 1 for share in shares) and sum(shares) == pytest.approx(1, abs=1e-5)
    for word, share in (*answer.candidates, *answer.emoji):
        assert 0 <= share <= 1 and word and not word.startswith("<")
    json.dumps(render(answer), allow_nan=False).encode("utf-8")


# what stands beside a request must not change its answer
def test_odd_requests_answered_together_are_answered_alike(predictor):
    events = [read_request(row, f"request {at}") for at, (_, row) in enumerate(ODD)]
    together = predictor.predict(events)
    for event, answer in zip(events, together, strict=True):
        (alone,) = predictor.predict([event])
        assert [word for word, _ in alone.candidates] == [word for word, _ in answer.candidates]
        assert alone.task_probabilities == pytest.approx(answer.task_probabilities, abs=1e-5)


def test_a_screen_below_the_working_directory_is_read(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "screen.png").write_bytes(write_screen(SCREEN))
    event = read_request({"screen": "screen.png"}, "request")
    assert event.screen is not None and (event.screen == SCREEN).all()
