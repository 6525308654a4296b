"""The cheap keyboard learns from the training split alone, serves from its folder and corrects by the noisy channel."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from components.errors import EquipoiseError
from components.workloads.keyboard import baseline, ngram
from components.workloads.keyboard.baseline import CheapKeyboard, Frequent
from components.workloads.keyboard.data import samples
from components.workloads.keyboard.events import Event, Layout, Task
from components.workloads.keyboard.metrics import score, values
from tests.workloads.keyboard.small import prepared_small
from tests.workloads.keyboard.small_models import section_of


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_small(tmp_path_factory.mktemp("keyboard"))


@pytest.fixture(scope="module")
def keyboard(prepared: Path) -> CheapKeyboard:
    return baseline.fit(section_of(), prepared)


def asked(before: str, typed: str = "", layout: Layout = Layout.EN, language: str = "en") -> Event:
    return Event("r", "", "r", "request", language, (), before, typed, layout)


def test_it_beats_the_commonest_words(keyboard: CheapKeyboard, prepared: Path) -> None:
    events = list(samples(prepared, "test"))
    found = values(score(events, keyboard.predict(events)))
    simple = values(score(events, Frequent(keyboard.tongues).predict(events)))
    assert found["next_word/top3"] > simple["next_word/top3"] + 0.1
    assert found["correction/accuracy"] > 0.3 > simple["correction/accuracy"] == 0
    assert found["layout/switch"] > simple["layout/switch"] == 0


def test_right_words_are_mostly_left_alone(keyboard: CheapKeyboard, prepared: Path) -> None:
    events = [e for e in samples(prepared, "validation") if e.typed][: baseline.CALIBRATED]
    found = values(score(events, keyboard.predict(events)))
    assert found["correction/kept"] >= 1 - baseline.FORGIVEN
    strict = replace(keyboard, threshold=1.0)
    assert values(score(events, strict.predict(events)))["correction/accuracy"] == 0


def test_a_slip_is_corrected_and_a_beginning_completed(keyboard: CheapKeyboard) -> None:
    words = keyboard.tongues["en"].words
    common = max(
        (word for word in words.words if len(word) > 4 and word.isalpha()), key=lambda w: words.counts[words.number(w)]
    )
    slip = common[0] + common[2] + common[1] + common[3:]
    corrected, completed = keyboard.predict([asked("", slip), asked("", common[:3])])
    assert corrected.task is Task.ERROR
    assert corrected.first == common
    assert completed.task is Task.COMPLETION
    assert common in dict(completed.candidates)


def test_letters_of_a_chinese_character(keyboard: CheapKeyboard) -> None:
    answer = keyboard.predict([asked("", "h", Layout.ZH, "zh")])[0]
    assert "好" in dict(answer.candidates)
    assert answer.layout is Layout.ZH


def test_the_folder_serves_the_same(keyboard: CheapKeyboard, prepared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "baseline"
    baseline.save(keyboard, section_of(), folder)
    events = list(samples(prepared, "test"))[:200]
    assert baseline.load(folder).predict(events) == keyboard.predict(events)
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(card | {"threshold": 2.0}))
    with pytest.raises(EquipoiseError, match="E_MODEL"):
        baseline.load(folder)
    (folder / "confusions.json").write_text("{}x")
    with pytest.raises(EquipoiseError, match="E_MODEL"):
        baseline.load(folder)


def test_a_language_without_a_message_is_answered_with_nothing(keyboard: CheapKeyboard) -> None:
    empty = baseline._tongue(ngram.fit_ngram([], 4), section_of().evaluation.baseline)
    silent = replace(keyboard, tongues={"en": empty, "zh": empty})
    for answer in silent.predict([asked("hi "), asked("hi ", "te")]):
        assert answer.candidates == ()
        assert answer.layout is Layout.EN
