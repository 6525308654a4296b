"""The mixture of network, counts and the user's own words, worked by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from components.config_keyboard_model import KeyboardMixture
from components.workloads.keyboard.encode import train_codec
from components.workloads.keyboard.events import Event, Layout
from components.workloads.keyboard.lexicon import LETTERS, Lexicon, lexicon_of, typed_on
from components.workloads.keyboard.mixing import BEGIN, Outlook, adapted, followers, outlook, pictured, stream
from components.workloads.keyboard.ngram import Ngram, fit_ngram

SAID = [["see", "you", "soon"], ["see", "you", "later"], ["see", "it"], ["rare", "word"]]
PLAIN = KeyboardMixture(use=True, counts=0.25, own=(10.0, 5.0, 2.0), layout=0.5, emoji=0.0)


def event(**changes: object) -> Event:
    values: dict = {
        "id": "a", "user": "", "conversation": "a", "source": "lines", "language": "en", "history": (), "before": "",
        "typed": "", "layout": Layout.EN,
    }  # fmt: skip
    return Event(**values | changes)


def known() -> tuple[Lexicon, Mapping[str, Ngram]]:
    counts = {"en": fit_ngram(SAID, 4), "zh": fit_ngram([], 4)}
    codec = train_codec(["see you soon", "see you later", "see it . 7", "see it . 7"], 40)
    return lexicon_of(codec, counts, {}), counts


def of(found: Outlook, word: str) -> float:
    return float(found.shares[[found[i] for i in range(len(found.shares))].index(word)])


def test_the_lexicon_holds_what_is_written_and_what_is_counted() -> None:
    lexicon, _ = known()
    assert lexicon.words == tuple(sorted(lexicon.words))
    assert {"see", "rare", ".", "7"} <= set(lexicon.words)
    assert [lexicon.words[at] for at in lexicon.counted["en"]] == sorted({word for each in SAID for word in each})
    assert "rare" not in [lexicon.words[at] for at in lexicon.written]
    assert [lexicon.place("see"), lexicon.place("nowhere")] == [lexicon.words.index("see"), -1]
    assert "rare" not in [lexicon.words[at] for at, _ in lexicon.speller.near("rar")]  # once is an accident


def test_network_and_counts_share_by_the_weight() -> None:
    lexicon, counts = known()
    written = np.full(len(lexicon.written), 1 / len(lexicon.written))
    asked = event(before="see")
    found = outlook(written, asked, lexicon, counts, PLAIN.model_copy(update={"own": (1e12, 1e12, 1e12)}))
    behind = dict(zip(counts["en"].words, counts["en"].distribution(["see"]), strict=True))
    assert found.shares.sum() == pytest.approx(1.0)
    assert lexicon.place("see") in lexicon.written
    assert of(found, "see") == pytest.approx(0.75 / len(written) + 0.25 * behind["see"], abs=1e-9)
    assert of(found, "rare") == pytest.approx(0.25 * behind["rare"], abs=1e-9)


@pytest.mark.parametrize(("language", "settings"), [("zh", PLAIN), ("en", PLAIN.model_copy(update={"use": False}))])
def test_without_counts_the_network_speaks_alone(language: str, settings: KeyboardMixture) -> None:
    lexicon, counts = known()
    written = np.arange(1.0, len(lexicon.written) + 1)
    written /= written.sum()
    asked = event(language=language, history=() if settings.use else ("hey you",))
    found = outlook(written, asked, lexicon, counts, settings)
    assert found.shares[lexicon.written] == pytest.approx(written)
    assert found.own == ()


def test_the_users_words_worked_by_hand() -> None:
    lexicon, _ = known()
    shares = np.zeros(len(lexicon.words))
    shares[lexicon.place("you")] = 1.0
    said = stream(event(history=("ok zorro", "ok zorro"), before="ok"))
    found = adapted(Outlook(lexicon, shares), said, (5.0, 3.0, 1.0))
    assert found.own == ("ok", "zorro")
    you, ok, zorro = 5 / 10, 3 / 10, 2 / 10  # five words of the user beside five imagined ones
    you, ok, zorro = you * 3 / 5, ok * 3 / 5, (2 + 3 * zorro) / 5  # twice zorro behind ok
    you, ok, zorro = you / 3, ok / 3, (2 + zorro) / 3  # twice behind the beginning and ok
    assert [of(found, word) for word in ("you", "ok", "zorro")] == pytest.approx([you, ok, zorro])


def test_what_was_never_said_changes_nothing() -> None:
    lexicon, _ = known()
    shares = np.full(len(lexicon.words), 1 / len(lexicon.words))
    assert adapted(Outlook(lexicon, shares), stream(event()), (5.0, 3.0, 1.0)).shares == pytest.approx(shares)


@pytest.mark.parametrize(("length", "expected"), [(0, {"a": 3, "b": 3}), (1, {"b": 2}), (2, {"b": 1}), (3, {"b": 1})])
def test_what_stood_behind(length: int, expected: dict[str, int]) -> None:
    said = [BEGIN, BEGIN, "a", "b", BEGIN, BEGIN, "b", "a", "b", BEGIN, BEGIN, "a"]
    assert followers(said, length) == expected


def test_rare_emoji_gain_by_the_power() -> None:
    counts = {"en": fit_ngram([["see", "👍"]] * 3 + [["see", "🎁"]], 4), "zh": fit_ngram([], 4)}
    lexicon = lexicon_of(train_codec(["see 👍", "see 👍 🎁"], 40), counts, {})
    found = Outlook(lexicon, np.full(len(lexicon.words), 0.25))
    assert [lexicon.words[at] for at in lexicon.emoji] == ["🎁", "👍"]
    assert found.emoji == pytest.approx([0.5, 0.5])
    times = lexicon.times[lexicon.emoji]
    assert pictured(found.emoji, np.zeros(2), times, PLAIN) == pytest.approx([0.5, 0.5])
    powered = PLAIN.model_copy(update={"emoji": 0.5})
    assert pictured(found.emoji, np.zeros(2), times, powered) == pytest.approx([0.5 / 2**0.5, 0.5 / 2])


def test_words_and_signs_share_the_emoji() -> None:
    words, signs, times = np.array([[0.5, 0.5]] * 2), np.array([[0.9, 0.1], [0.0, 0.0]]), np.array([0, 3])
    mixture = PLAIN.model_copy(update={"emoji_share": 0.25, "emoji": 1.0})
    expected = [[0.6, 0.4 / 4], [0.5, 0.5 / 4]]  # without signs the words speak alone
    assert pictured(words, signs, times, mixture) == pytest.approx(np.array(expected))
    alone = mixture.model_copy(update={"use": False})
    assert pictured(words, signs, times, alone) == pytest.approx(words)


def test_own_words_begin_and_are_near_as_known_ones() -> None:
    lexicon, _ = known()
    found = adapted(Outlook(lexicon, np.zeros(len(lexicon.words))), ["zorro", "seeing", ";;"], (1.0, 1.0, 1.0))
    assert [found[i] for i in found.begun("see", Layout.EN)] == ["see", "seeing"]
    places, edits = found.near("zoro")
    assert [(found[i], n) for i, n in zip(places.tolist(), edits.tolist(), strict=True)] == [("zorro", 1)]
    assert ";;" not in [found[i] for i in found.begun("", Layout.EN)]


@pytest.mark.parametrize(("layout", "language", "letters"), [("EN", "zh", 0), ("NUM", "zh", 1), ("SYM", "en", 0)])
def test_marks_are_typed_on_the_letters_that_are_shown(layout: str, language: str, letters: int) -> None:
    layouts = np.array([LETTERS, Layout.SYM, Layout.NUM])
    shares = typed_on(layouts, np.array([0.5, 0.3, 0.2]), event(layout=Layout[layout], language=language))
    expected: Sequence[float] = [0.5 * (letters == 0), 0.5 * (letters == 1), 0.3, 0.0, 0.2]
    assert shares == pytest.approx(expected)
