"""English misspellings: codespell's dictionaries, and the development set of Norvig's corrector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from components.errors import bad_data
from components.workloads.keyboard.events import TYPED_BYTES, Task
from components.workloads.keyboard.messages import Given, Message
from components.workloads.keyboard.published import published_lines

Wrong = Mapping[str, Sequence[str]]


def misspellings(folder: Path) -> dict[str, list[str]]:
    """Right word -> its wrong forms in dictionary.txt, where only one correction is known and it is one word.

    Raises:
        EquipoiseError: E_SPELLING (65) for a line without an arrow, E_ARCHIVE, E_JSON (65), E_MISSING (66).
    """
    lines, path = published_lines(folder, "dictionary.txt")
    found: dict[str, list[str]] = {}
    for number, line in enumerate(lines, 1):
        wrong, arrow, right = line.partition("->")
        if not arrow:
            raise bad_data(
                f"{path}:{number}",
                "must be misspelling->correction",
                got=line,
                hint="Fetch the dictionary again",
                code="SPELLING",
            )
        if "," not in right and " " not in right and len(wrong.encode()) <= TYPED_BYTES:
            found.setdefault(right, []).append(wrong)
    return found


def read_test_set(folder: Path, known: Wrong) -> Iterator[Message]:
    """One error a wrong form, without context, for the test split alone: source spelling_known where codespell has it
    with that correction, spelling elsewhere.

    Raises:
        EquipoiseError: E_SPELLING (65) for a line without a colon, E_ARCHIVE, E_JSON (65), E_MISSING (66).
    """
    lines, path = published_lines(folder, "spell-testset1.txt")
    for number, line in enumerate(lines, 1):
        right, colon, forms = line.partition(": ")
        if not colon:
            raise bad_data(
                f"{path}:{number}",
                "must be a word, a colon and its wrong forms",
                got=line,
                hint="Fetch the set again",
                code="SPELLING",
            )
        for wrong in forms.split():
            source = "spelling_known" if wrong in known.get(right, ()) else "spelling"
            given = (Given(Task.ERROR, 0, len(right), wrong),)
            yield Message(f"spelling/{number}/{wrong}", "", source, "en", right, given=given, split="test")
