"""What is known by counting: of each language an n-gram of the training messages, which serving keeps beside the model.

Runs of three and four words that stand there once are most of all runs and teach least; they are left out of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from components.workloads.keyboard import ngram
from components.workloads.keyboard.events import LANGUAGES
from components.workloads.keyboard.lexicon import SPOKEN
from components.workloads.keyboard.messages import read_messages
from components.workloads.keyboard.ngram import Ngram, fit_ngram, load_ngram
from components.workloads.keyboard.units import PLACES, fold, units

ORDER = 4
FEWEST = (1, 2, 2)  # times that two, three and four words must stand together
FILES = tuple(name for language in LANGUAGES for name in ngram.files(f"counts_{language}"))


def count_words(path: Path, language: str, fewest: Sequence[int] = ()) -> Ngram:
    """The n-gram of one language's messages; what is not spoken is read and never suggested.

    Args:
        path: a file of MessageWriter.
        fewest: as `fit_ngram` takes it.
    """
    hidden: set[str] = set(PLACES)

    def spoken() -> Iterator[list[str]]:
        for message in read_messages(path):
            if message.language == language:
                found = units(message.text)
                hidden.update(fold(unit) for unit in found if unit.kind not in SPOKEN)
                yield [fold(unit) for unit in found]

    return fit_ngram(spoken(), ORDER, hidden, fewest)


def write_counts(messages: Path, folder: Path) -> None:
    """Counts a file of MessageWriter and writes FILES; the same messages give the same bytes."""
    for language in LANGUAGES:
        count_words(messages, language, FEWEST).save(folder, f"counts_{language}")


def load_counts(folder: Path) -> Mapping[str, Ngram]:
    """The n-grams that `write_counts` wrote, by language.

    Raises:
        EquipoiseError: E_MODEL (65) when a file is damaged or absent.
    """
    return {language: load_ngram(folder, f"counts_{language}") for language in LANGUAGES}
