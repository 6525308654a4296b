"""What hints at an emoji, read off a text by hand, and the linear model of it: learned, kept, refused when damaged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.errors import EquipoiseError
from components.workloads.keyboard.data import samples
from components.workloads.keyboard.emoji_odds import FILES, NAMES, NUMBERS, fit_emoji_odds, load_emoji_odds
from components.workloads.keyboard.emoji_signs import signs
from components.workloads.keyboard.events import Event, Labels, Layout, Task
from components.workloads.keyboard.messages import Message, read_messages
from components.workloads.keyboard.predict import load, of_model
from components.workloads.keyboard.splits import messages_file
from components.workloads.keyboard.weighing import best_emoji
from tests.workloads.keyboard.small import prepared_small
from tests.workloads.keyboard.small_models import drawn_model, model_folder, section_of

TEXTS = [("Happy birthday", "🎂"), ("so sad", "😢"), ("i love you", "❤"), ("birthday cake", "🎂"), ("love it", "❤")]


def message(text: str, *history: str) -> Message:
    return Message(text, "", "lines", "en", text, history=history)


def asked(before: str, *history: str) -> Event:
    return Event("a", "", "a", "lines", "en", history, before, "", Layout.EMOJI)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_small(tmp_path_factory.mktemp("emoji"), embedded_messages=400)


def test_the_signs_of_a_text_are_those_that_one_reads_in_it() -> None:
    found = set(signs("See YOU", ("ok 👍🏽 👍", "no")))
    assert found == {
        "word see", "word you", "pair  see", "pair see you", "pair you ", "sent 👍🏽", "sent 👍",
        "run <se", "run see", "run ee>", "run <see", "run see>", "run <see>",
        "run <yo", "run you", "run ou>", "run <you", "run you>", "run <you>",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", " ", "\u0645\u0631", "\ud83d", "👍", "<#>", "我们"])
def test_any_text_has_signs(text: str) -> None:
    assert list(signs(text, (text,)))


def test_it_learns_what_stands_before_and_what_was_sent() -> None:
    rows = [message(f"{text} {emoji}") for text, emoji in TEXTS for _ in range(6)]
    rows += [message("ok 👍", "fine 👍"), message("ok 🙂", "fine 🙂")] * 5
    rows += [message("happy 🦄")] * 4  # too seldom
    model = fit_emoji_odds(rows, 2048, 10.0)
    assert model is not None
    assert model.emoji == ("❤", "🎂", "😢", "👍", "🙂")  # by number, then by code point
    events = [asked("birthday"), asked("very sad"), asked("love"), asked("ok", "so 👍"), asked("ok", "so 🙂")]
    shares = model.shares(events)
    assert [model.emoji[i] for i in shares.argmax(axis=1)] == ["🎂", "😢", "❤", "👍", "🙂"]
    assert shares.sum(axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    assert model.odds.weights.dtype == np.float16
    assert model.odds.size == 2048 * 5 + 5


@pytest.mark.parametrize("texts", [[], ["no emoji"], ["a 👍", "b 👍"], ["a 👍"] * 9 + ["b 🙂"]])
def test_nothing_to_choose_is_no_model(texts: list[str]) -> None:
    assert fit_emoji_odds([message(text) for text in texts], 16, 1.0) is None


def test_prepared_data_and_a_models_folder_hold_the_same_numbers(prepared: Path, tmp_path: Path) -> None:
    kept = load_emoji_odds(prepared)
    assert kept is not None
    again = fit_emoji_odds(read_messages(messages_file(prepared, "train")), 512, 1.0)
    assert again is not None and again.emoji == kept.emoji
    assert np.array_equal(again.odds.weights, kept.odds.weights) and np.array_equal(again.odds.bias, kept.odds.bias)
    section = section_of()
    folder = model_folder(drawn_model(section, prepared), prepared, tmp_path / "model")
    assert [(folder / name).read_bytes() == (prepared / name).read_bytes() for name in FILES] == [True, True]
    assert load(folder).signs is not None


def test_without_it_the_words_speak_alone(prepared: Path) -> None:
    section = section_of()
    model = of_model(drawn_model(section, prepared), section, prepared)
    events = list(samples(prepared, "test"))[:40]
    alone = replace(model, signs=None)
    silent = replace(model, mixture=model.mixture.model_copy(update={"emoji_share": 0.0}))
    assert alone.predict(events) == silent.predict(events)
    assert [one.emoji for one in alone.predict(events)] != [one.emoji for one in model.predict(events)]
    assert [one.candidates for one in alone.predict(events)] == [one.candidates for one in model.predict(events)]


def test_validation_chooses_who_knows_the_emoji(prepared: Path) -> None:
    section = section_of()
    drawn = of_model(drawn_model(section, prepared), section, prepared)
    first, second = (drawn.lexicon.words[at] for at in drawn.lexicon.emoji[:2])
    told = [("cake", first), ("rain", second)] * 6
    model = replace(drawn, signs=fit_emoji_odds([message(f"{word} {emoji}") for word, emoji in told], 64, 10.0))
    labels = [Labels(Task.SUGGESTION, Layout.EMOJI, emoji, None) for _, emoji in told]
    events = [replace(asked(f"{word} and so on"), labels=of) for (word, _), of in zip(told, labels, strict=True)]
    chosen = best_emoji(model, events)
    assert 0 < chosen["emoji_share"] <= 1
    mixed = replace(model, mixture=model.mixture.model_copy(update=chosen))
    assert [answer.emoji[0][0] for answer in mixed.predict(events)] == [emoji for _, emoji in told]
    assert best_emoji(replace(model, signs=None), events)["emoji_share"] == 0.0
    assert best_emoji(model, []) == {"emoji_share": 0.0, "emoji": 0.0}


@pytest.mark.parametrize(
    ("name", "content"),
    [(NAMES, "no list"), (NAMES, '["👍"]'), (NAMES, '["👍", "👍"]'), (NAMES, "[1, 2]"), (NUMBERS, "no tensors")],
)
def test_a_damaged_file_is_refused(tmp_path: Path, name: str, content: str) -> None:
    model = fit_emoji_odds([message("a 👍"), message("b 🙂")] * 5, 16, 1.0)
    assert model is not None
    model.save(tmp_path)
    assert json.loads((tmp_path / NAMES).read_text("utf-8")) == ["👍", "🙂"]
    (tmp_path / name).write_text(content, "utf-8")
    with pytest.raises(EquipoiseError) as told:
        load_emoji_odds(tmp_path)
    assert (told.value.code, told.value.exit_code) == ("E_MODEL", 65)
    for other in FILES:
        (tmp_path / other).unlink(missing_ok=True)
        if other == NAMES:  # numbers without names
            with pytest.raises(EquipoiseError):
                load_emoji_odds(tmp_path)
    assert load_emoji_odds(tmp_path) is None
