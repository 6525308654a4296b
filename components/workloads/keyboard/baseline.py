"""The cheap keyboard, the first champion: a 4-gram a language, an edit-distance speller, machines for emoji.

What is asked for follows from the noisy channel: the typed letters are either a beginning of what is meant, with the
n-gram's probability of all words that begin so, or a wrong form of a known word, with the n-gram's probability of that
word times exp(-PENALTY) an edit. The next layout is the one on which most of the n-gram's probability is typed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.config_keyboard_evaluation import KeyboardBaseline
from components.data.manifest import published
from components.data.model_folder import CARD, read_card
from components.errors import bad_data
from components.files import sha256_file, write_json
from components.workloads.keyboard import emoji_svm, ngram
from components.workloads.keyboard.answers import Prediction
from components.workloads.keyboard.confusions import CONFUSIONS, load_meant, meant_by, save_meant
from components.workloads.keyboard.counts import count_words
from components.workloads.keyboard.data import samples
from components.workloads.keyboard.emoji_svm import EmojiSvm, fit_emoji, load_emoji
from components.workloads.keyboard.events import LANGUAGES, Event, Layout, Task
from components.workloads.keyboard.lexicon import beginning, best, characters_by_reading, layout_of, typed_on
from components.workloads.keyboard.messages import read_messages
from components.workloads.keyboard.ngram import Ngram, load_ngram
from components.workloads.keyboard.speller import Speller, fit_speller
from components.workloads.keyboard.splits import messages_file
from components.workloads.keyboard.units import Kind, fold, fold_text, folded, units

FORMAT = 1
PENALTY = 8.0  # of an edit, in nats
UNHEARD = 1e-7  # probability of a word that the n-gram has never seen
FORGIVEN = 0.01  # false corrections of right words that the threshold may make
CALIBRATED = 4000  # events of the validation split that the threshold is chosen on, at most
EMOJI_ROWS = 60_000

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tongue:
    """What is known of one language.

    Attributes:
        layouts: [V] the layout that each word of the n-gram is typed on, LETTERS for marks that both layouts of
            letters have.
        read: letters that Chinese characters are typed by -> numbers of the characters.
    """

    words: Ngram
    speller: Speller
    layouts: NDArray[np.int64]
    read: Mapping[str, Numbers]

    def begun(self, typed: str, layout: Layout) -> Numbers:
        """The words and characters that may be meant by a beginning; marks and placeholders never."""
        read = self.read.get(typed) if layout is Layout.ZH else None
        places = np.arange(*beginning(self.words.words, typed)) if read is None else read
        return places[~self.words.hidden[places]]


@dataclass(frozen=True, eq=False)
class CheapKeyboard:
    """The baseline as a predictor.

    Attributes:
        tongues: by language.
        confusions: a mistyped Chinese character -> what was meant by it in training.
        threshold: probability of an error from which on a correction is made.
    """

    tongues: Mapping[str, Tongue]
    emoji: EmojiSvm
    confusions: Mapping[str, Sequence[str]]
    threshold: float

    def predict(self, samples: Sequence[Event], given: Sequence[Any] | None = None) -> list[Prediction]:
        """One prediction per event; `given` means nothing here, labels and screens are not looked at."""
        ranked = self.emoji.rank([event.before for event in samples])
        return [replace(self._answer(event), emoji=emoji) for event, emoji in zip(samples, ranked, strict=True)]

    def _answer(self, event: Event) -> Prediction:
        tongue = self.tongues[event.language]
        found = tongue.words.distribution(folded(event.before))
        typed = fold_text(event.typed)
        places = tongue.begun(typed, event.layout)
        candidates, corrections = best(tongue.words.words, places, found[places]), ()
        error, task = 0.0, Task.COMPLETION if typed else Task.SUGGESTION
        if typed:
            near = self._near(tongue, typed)
            fixes = np.array([number for number, _ in near], np.int64)
            fixed = found[fixes] * np.exp([-PENALTY * edits for _, edits in near])
            corrections = best(tongue.words.words, fixes, fixed)
            error = float(fixed.sum() / (fixed.sum() + found[places].sum() + UNHEARD))
            if error > self.threshold:
                task, candidates = Task.ERROR, corrections
        shares = typed_on(tongue.layouts, found, event) if not typed else _one(event.layout)
        return Prediction(
            candidates=candidates,
            corrections=corrections,
            emoji=(),
            task=task,
            task_probabilities=(error, 1 - error, 0.0) if typed else (0.0, 0.0, 1.0),
            layout=Layout(int(shares.argmax())),
            layout_probabilities=tuple(shares.tolist()),
        )

    def _near(self, tongue: Tongue, typed: str) -> list[tuple[int, int]]:
        if typed in self.confusions:
            numbers = [tongue.words.number(meant) for meant in self.confusions[typed]]
            return [(number, 1) for number in numbers if number >= 0]
        return tongue.speller.near(typed)


@dataclass(frozen=True, eq=False)
class Frequent:
    """The commonest words that begin so, whatever stands before; the shown layout stays; nothing is ever wrong."""

    tongues: Mapping[str, Tongue]

    def predict(self, samples: Sequence[Event], given: Sequence[Any] | None = None) -> list[Prediction]:
        return [self._answer(event) for event in samples]

    def _answer(self, event: Event) -> Prediction:
        tongue, typed = self.tongues[event.language], fold_text(event.typed)
        places = tongue.begun(typed, event.layout)
        task = Task.COMPLETION if typed else Task.SUGGESTION
        return Prediction(
            candidates=best(tongue.words.words, places, tongue.words.counts[places].astype(np.float64)),
            corrections=(),
            emoji=(),
            task=task,
            task_probabilities=tuple(float(one == task) for one in Task),
            layout=event.layout,
            layout_probabilities=tuple(_one(event.layout).tolist()),
        )


def fit(section: Any, prepared: Path) -> CheapKeyboard:
    """Learns from the training split; the threshold is that of FORGIVEN false corrections on validation."""
    settings: KeyboardBaseline = section.evaluation.baseline
    texts, emoji = [], []
    path = messages_file(prepared, "train")
    for message in read_messages(path):
        for unit in units(message.text):
            if unit.kind is Kind.EMOJI and len(emoji) < EMOJI_ROWS:
                texts.append(message.text[: unit.start])
                emoji.append(fold(unit))
    keyboard = CheapKeyboard(
        tongues={language: _tongue(count_words(path, language), settings) for language in LANGUAGES},
        emoji=fit_emoji(texts, emoji, settings.strength),
        confusions=meant_by(read_messages(path)),
        threshold=0.5,
    )
    typed = (event for event in samples(prepared, "validation") if event.typed and event.labels)
    return replace(keyboard, threshold=calibrate(keyboard, islice(typed, CALIBRATED)))


def calibrate(keyboard: CheapKeyboard, events: Iterable[Event]) -> float:
    """The lowest threshold at which at most FORGIVEN of the clean words would be corrected; .5 without any."""
    clean = [event for event in events if event.labels is not None and event.labels.clean]
    said = sorted(answer.task_probabilities[Task.ERROR] for answer in keyboard.predict(clean))
    if not said:
        return 0.5
    return float(min(said[len(said) - 1 - math.floor(FORGIVEN * len(said))], 1.0))


def save(keyboard: CheapKeyboard, section: Any, folder: Path) -> None:
    """Writes the baseline as a servable folder, whole or not at all."""
    with published(folder) as part:
        for language, tongue in keyboard.tongues.items():
            tongue.words.save(part, f"ngram_{language}")
        keyboard.emoji.save(part)
        save_meant(keyboard.confusions, part)
        facts = {
            "kind": "baseline",
            "format": FORMAT,
            "threshold": keyboard.threshold,
            "minimum": section.evaluation.baseline.minimum,
        }
        write_json(part / CARD, {**facts, "files": {name: sha256_file(part / name) for name in _files()}})


def fit_baseline(section: Any, prepared: Path, folder: Path) -> None:
    """Learns the baseline and writes it as a servable folder."""
    save(fit(section, prepared), section, folder)


def load(folder: Path) -> CheapKeyboard:
    """The baseline that `save` wrote.

    Raises:
        EquipoiseError: E_MISSING (66) without one of its files, E_MODEL (65) when they are damaged or do not fit.
    """
    card = read_card(folder, _files())
    try:
        threshold, minimum = float(card["threshold"]), int(card["minimum"])
        if card["kind"] != "baseline" or card["format"] != FORMAT or not 0 <= threshold <= 1:
            raise ValueError(f"kind {card['kind']!r}, format {card['format']!r}, threshold {threshold}")
    except (ValueError, KeyError, TypeError) as error:
        raise bad_data(
            str(folder / CARD), "must describe a baseline", got=str(error), hint="Run evaluate again", code="MODEL"
        ) from error
    settings = KeyboardBaseline(strength=1.0, minimum=minimum)
    tongues = {language: _tongue(load_ngram(folder, f"ngram_{language}"), settings) for language in LANGUAGES}
    return CheapKeyboard(tongues, load_emoji(folder), load_meant(folder), threshold)


def _tongue(words: Ngram, settings: KeyboardBaseline) -> Tongue:
    layouts = np.array([layout_of(word) for word in words.words], np.int64)
    counts = np.where(words.hidden, 0, words.counts)
    return Tongue(
        words, fit_speller(words.words, counts, settings.minimum), layouts, characters_by_reading(words.words)
    )


def _one(layout: Layout) -> NDArray[np.float64]:
    return np.eye(len(Layout))[layout]


def _files() -> tuple[str, ...]:
    named = [name for language in LANGUAGES for name in ngram.files(f"ngram_{language}")]
    return (*named, emoji_svm.TERMS, emoji_svm.ARRAYS, CONFUSIONS)
