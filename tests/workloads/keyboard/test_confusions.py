"""What was meant by mistyped characters: counted by hand, kept, and proposed by the model's keyboard."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.errors import EquipoiseError
from components.workloads.keyboard.confusions import CONFUSIONS, load_meant, meant_by, save_meant
from components.workloads.keyboard.encode import train_codec
from components.workloads.keyboard.events import Layout, Task
from components.workloads.keyboard.lexicon import lexicon_of
from components.workloads.keyboard.messages import Message, Moment
from components.workloads.keyboard.ngram import fit_ngram


def typed(text: str, at: int, wrong: str, task: Task = Task.ERROR, language: str = "zh") -> Message:
    moment = Moment(task, at, at + 1, wrong, Layout.ZH, Layout.ZH)
    return Message(text, "", "lines", language, text, moments=(moment,))


MESSAGES = [
    typed("\u6559\u5ba4", 0, "\u53eb"),
    typed("\u8f03\u597d", 0, "\u53eb"),
    typed("\u6559\u66f8", 0, "\u53eb"),
    typed("\u5728", 0, "\u5728", Task.COMPLETION),
    typed("tea", 0, "q", language="en"),
]


def test_only_errors_of_chinese_messages_are_learned() -> None:
    assert meant_by(MESSAGES) == {"\u53eb": ["\u6559", "\u8f03"]}
    assert meant_by([]) == {}


def test_what_was_meant_is_near_beside_the_same_sound() -> None:
    counts = {"en": fit_ngram([], 4), "zh": fit_ngram([list("\u6559\u5ba4\u53eb\u4ea4")], 4)}
    codec = train_codec(["\u6559\u5ba4\u53eb\u4ea4"] * 2, 40)

    def near(word: str, learned: bool) -> set[str]:
        lexicon = lexicon_of(codec, counts, meant_by(MESSAGES) if learned else {})
        return {lexicon.words[at] for at in lexicon.near(word)[0]}

    assert near("\u53eb", False) == {"\u4ea4", "\u6559"}  # of the same sound
    assert near("\u53eb", True) == {"\u4ea4", "\u6559"}  # what the lexicon lacks cannot be proposed
    strange = [typed("\u5ba4", 0, "\u8f03")]
    lexicon = lexicon_of(codec, counts, meant_by(strange))
    assert [lexicon.words[at] for at in lexicon.near("\u8f03")[0]] == ["\u5ba4"]
    assert near("\u8f03", False) == set()


def test_it_is_kept(tmp_path: Path) -> None:
    assert load_meant(tmp_path) == {}
    save_meant(meant_by(MESSAGES), tmp_path)
    assert load_meant(tmp_path) == meant_by(MESSAGES)


@pytest.mark.parametrize("content", ["{}x", "[]", '{"a": "b"}', '{"a": [1]}'])
def test_a_damaged_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / CONFUSIONS).write_text(content, "utf-8")
    with pytest.raises(EquipoiseError) as told:
        load_meant(tmp_path)
    assert (told.value.code, told.value.exit_code) == ("E_MODEL", 65)
