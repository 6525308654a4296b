"""Answers do not depend on what is asked beside them, and a request asks for the answer of its event."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.errors import EquipoiseError
from components.workloads.keyboard.answers import MOST, Prediction
from components.workloads.keyboard.data import samples
from components.workloads.keyboard.events import Event, Layout, Task
from components.workloads.keyboard.lexicon import beginning, best, lexicon_of
from components.workloads.keyboard.predict import KeyboardPredictor, load, of_model
from components.workloads.keyboard.requests import read_request, request_of
from components.workloads.keyboard.units import Kind, fold_text, units
from tests.workloads.keyboard.small import prepared_small
from tests.workloads.keyboard.small_models import drawn_model, model_folder, section_of


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_small(tmp_path_factory.mktemp("keyboard"))


@pytest.fixture(scope="module")
def model(prepared: Path) -> KeyboardPredictor:
    section = section_of()
    return of_model(drawn_model(section, prepared), section, prepared)


@pytest.fixture(scope="module")
def events(prepared: Path) -> list[Event]:
    return list(samples(prepared, "test"))


def close(left: Prediction, right: Prediction) -> None:
    assert (left.task, left.layout) == (right.task, right.layout)
    for name in ("task_probabilities", "layout_probabilities", "experts"):
        assert getattr(left, name) == pytest.approx(getattr(right, name), abs=1e-5)
    assert dict(left.candidates).values() != {}
    assert [share for _, share in left.candidates] == pytest.approx([share for _, share in right.candidates], abs=1e-5)
    assert left.first == right.first


def test_alone_as_among_others(model: KeyboardPredictor, events: list[Event]) -> None:
    together = model.predict(events)
    assert len(together) == len(events)
    for i in range(0, len(events), max(1, len(events) // 25)):
        close(model.predict([events[i]])[0], together[i])
    for one, other in zip(model.predict(events[::-1]), together[::-1], strict=True):
        close(one, other)


def test_labels_are_not_looked_at(model: KeyboardPredictor, events: list[Event]) -> None:
    assert model.predict([replace(event, labels=None) for event in events]) == model.predict(events)


def test_a_request_asks_for_the_answer_of_its_event(model: KeyboardPredictor, events: list[Event]) -> None:
    shown = [event for event in events if event.screen is not None][:3]
    for event in [*shown, *events[:10]]:
        asked = read_request(request_of(event), "request")
        close(model.predict([asked])[0], model.predict([event])[0])


def test_what_a_keyboard_may_say(model: KeyboardPredictor, events: list[Event]) -> None:
    for event, answer in zip(events, model.predict(events), strict=True):
        assert len(answer.candidates) <= MOST
        assert all(units(word)[0].kind in (Kind.WORD, Kind.HAN) for word, _ in answer.candidates)
        assert all(units(word)[0].kind is Kind.EMOJI for word, _ in answer.emoji)
        assert sum(share for _, share in answer.candidates) <= 1 + 1e-6
        if not event.typed:
            assert answer.task is Task.SUGGESTION
        elif answer.task is Task.COMPLETION and event.language == "en":
            assert all(word.startswith(fold_text(event.typed)) for word, _ in answer.candidates)
        else:
            assert answer.task is not Task.SUGGESTION
            assert fold_text(event.typed) not in dict(answer.corrections)


def test_what_no_word_is_near_is_no_error(prepared: Path, model: KeyboardPredictor, events: list[Event]) -> None:
    """There is nothing to put in its place, however sure the router is."""
    event = replace(next(event for event in events if event.typed and event.language == "en"), typed="qxqxqxqxqx")
    section = section_of(correct_above=0.0)
    eager = of_model(drawn_model(section, prepared), section, prepared)
    for keyboard in (model, eager):
        said = keyboard.predict([event])[0]
        assert said.task is Task.COMPLETION and said.task_probabilities[Task.ERROR] == 0.0
        assert sum(said.task_probabilities) == pytest.approx(1.0)


def test_a_screen_changes_the_answer_and_its_absence_is_no_fault(model: KeyboardPredictor, events: list[Event]) -> None:
    shown = next(event for event in events if event.screen is not None)
    with_it, without = model.predict([shown])[0], model.predict([replace(shown, screen=None, boxes=None)])[0]
    assert with_it.layout_probabilities != without.layout_probabilities
    assert model.predict([replace(shown, boxes=None)])[0].layout_probabilities != without.layout_probabilities


def test_features_are_of_unit_length(model: KeyboardPredictor, prepared: Path, events: list[Event]) -> None:
    shown = [event for event in events if event.screen is not None]
    found = model.features(shown)
    assert found is not None
    for one in found:
        assert one.shape == (len(shown), 8)
        assert np.linalg.norm(one, axis=1) == pytest.approx(1.0, abs=1e-5)
    section = section_of(image=False)
    blind = of_model(drawn_model(section, prepared), section, prepared)
    assert blind.features(shown) is None
    assert blind.predict(shown)[0].layout in Layout


def test_nothing_to_answer(model: KeyboardPredictor) -> None:
    assert model.predict([]) == []


def test_a_saved_model_answers_the_same(
    model: KeyboardPredictor, prepared: Path, events: list[Event], tmp_path: Path
) -> None:
    folder = model_folder(model.model, prepared, tmp_path / "model")
    assert load(folder).predict(events[:50]) == model.predict(events[:50])
    (folder / "model.json").write_text((folder / "model.json").read_text().replace("batch_tokens", "x"))
    with pytest.raises(EquipoiseError, match="E_DATA"):
        load(folder)


def test_chinese_characters_begin_as_they_are_read(model: KeyboardPredictor) -> None:
    lexicon = lexicon_of(model.codec, model.counts, {})
    read = [lexicon.words[int(place)] for place in lexicon.begun("h", Layout.ZH)]
    assert "好" in read
    assert not any(word.isascii() for word in read)
    assert all(lexicon.words[int(place)].startswith("h") for place in lexicon.begun("h", Layout.EN))
    assert lexicon.spoken[lexicon.begun("", Layout.ZH)].all()
    assert len(lexicon.begun("", Layout.ZH)) == lexicon.spoken.sum()


def test_words_with_one_beginning_stand_together() -> None:
    words = ["at", "to", "today", "tomorrow"]
    assert [beginning(words, prefix) for prefix in ("to", "", "x")] == [(1, 4), (0, 4), (4, 4)]


def test_the_best_of_equals_is_the_first() -> None:
    words, places = ["a", "b", "c", "d"], np.array([3, 1, 2])
    assert best(words, places, np.array([0.25, 0.5, 0.25])) == (("b", 0.5), ("c", 0.25), ("d", 0.25))
    assert best(words, places, np.zeros(3)) == ()
    assert best(words, np.zeros(0, np.int64), np.zeros(0)) == ()
