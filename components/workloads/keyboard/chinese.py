"""Chinese originals: CrossWOZ dialogues, and SIGHAN's sentences of learners with their mistakes and confusion sets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.data.archives import members
from components.data.strict_json import loads
from components.errors import EquipoiseError, bad_data
from components.workloads.keyboard.events import Task
from components.workloads.keyboard.lines import REMEMBERED
from components.workloads.keyboard.messages import Given, Message
from components.workloads.keyboard.published import published_lines
from components.workloads.keyboard.units import clean_text, units

RELEASES = {"2013": "sighan7csc_release1.0", "2014": "clp14csc_release1.1", "2015": "sighan8csc_release1.0"}
"""Year -> the folder of its release; either name will do."""

ESSAYS = (
    ("2014", "Training/B1_training.sgml"),
    ("2014", "Training/C1_training.sgml"),
    ("2015", "Training/SIGHAN15_CSC_A2_Training.sgml"),
    ("2015", "Training/SIGHAN15_CSC_B2_Training.sgml"),
)
SOUND = ("2013", "ConfusionSet/Bakeoff2013_CharacterSet_SimilarPronunciation.txt")
ALIKE = 8  # characters of a confusion set that are used: the first are the most alike
_PASSAGE = re.compile(r'<PASSAGE id="([^"]+)">([^<]*)</PASSAGE>')
_MISTAKE = re.compile(
    r'<MISTAKE id="([^"]+)" location="(\d+)">\s*<WRONG>([^<]*)</WRONG>\s*<CORRECTION>([^<]*)</CORRECTION>\s*</MISTAKE>'
)


def read_crosswoz(folder: Path, left_out: Counter[str]) -> Iterator[Message]:
    """What the users of the dialogues in val.json.zip wrote, after all that was said before; users are the annotators.

    Raises:
        EquipoiseError: E_ARCHIVE, E_JSON, E_DIALOGUE (65), E_MISSING (66).
    """
    path = folder / "val.json.zip"
    for name, raw in members(path, lambda name: name.endswith(".json")):
        place = f"{path}:{name}"
        dialogues = loads(raw, place)
        if not isinstance(dialogues, dict):
            raise _refuse(place, "must map numbers to dialogues", type(dialogues).__name__)
        for number, dialogue in dialogues.items():
            yield from _dialogue(number, dialogue, f"{place}:{number}", left_out)


def _dialogue(number: str, dialogue: Any, place: str, left_out: Counter[str]) -> Iterator[Message]:
    try:
        user = f"crosswoz/{dialogue['sys-usr'][1]}"
        said = [(turn["role"] == "usr", clean_text(turn["content"])) for turn in dialogue["messages"]]
    except (KeyError, TypeError, IndexError) as error:
        raise _refuse(place, "must be a dialogue of CrossWOZ", str(error)) from error
    for turn, (mine, text) in enumerate(said):
        if mine and units(text):
            history = tuple(text for _, text in said[max(turn - REMEMBERED, 0) : turn])
            yield Message(f"crosswoz/{number}/{turn}", user, "crosswoz", "zh", text, history)
        elif mine:
            left_out["nothing to type"] += 1


def read_sighan(folder: Path, left_out: Counter[str]) -> Iterator[Message]:
    """The corrected passages of the training essays of 2014 and 2015, an error event at each wrong character; as clean
    ones the same characters typed right. Writers are known as far as their essays are. Traditional characters.

    Args:
        left_out: counts mistakes that do not match their passage.

    Raises:
        EquipoiseError: E_ARCHIVE, E_JSON (65) for bytes that are not UTF-8, E_MISSING (66).
    """
    for year, name in ESSAYS:
        text = "\n".join(published_lines(folder, f"{year}/{name}", f"{RELEASES[year]}/{name}")[0])
        mistakes: dict[str, list[tuple[int, str, str]]] = {}
        for number, location, wrong, right in _MISTAKE.findall(text):
            mistakes.setdefault(number, []).append((int(location) - 1, wrong, right))
        for number, passage in _PASSAGE.findall(text):
            yield from _passage(number, passage, mistakes.get(number, []), left_out)


def _passage(
    number: str, passage: str, mistakes: list[tuple[int, str, str]], left_out: Counter[str]
) -> Iterator[Message]:
    right = list(passage)
    wrong: dict[int, str] = {}
    for location, before, after in mistakes:
        start = next(
            (s for s in range(max(location - len(before) + 1, 0), location + 1) if passage.startswith(before, s)), None
        )
        if start is None or len(before) != len(after):
            left_out["mistakes that do not match their passage"] += 1
            continue
        for at, (typed, meant) in enumerate(zip(before, after, strict=True), start):
            if typed != meant:
                right[at], wrong[at] = meant, typed
    text = "".join(right)
    if not wrong or clean_text(text) != text:
        return
    given = [Given(Task.ERROR, at, at + 1, typed) for at, typed in wrong.items()]
    given += [Given(Task.COMPLETION, at, at + 1, right[at]) for at in wrong]
    places = {unit.start for unit in units(text)}
    if not all(each.start in places for each in given):
        left_out["mistakes that do not match their passage"] += 1
        return
    essay = number.rsplit("-", 1)[0]
    yield Message(f"sighan/{number}", f"sighan/{essay}", "sighan", "zh", text, given=tuple(given))


def confusions(folder: Path, base: Mapping[str, str]) -> dict[str, str]:
    """Character -> characters of the same sound: those of SIGHAN 2013, then those of `base`.

    Raises:
        EquipoiseError: E_ARCHIVE, E_JSON (65), E_MISSING (66).
    """
    found = dict(base)
    year, name = SOUND
    lines, _ = published_lines(folder, f"{year}/{name}", f"{RELEASES[year]}/{name}")
    for line in lines[1:]:
        character, *alike = line.split("\t")
        same = "".join(alike[:2]).replace(character, "")
        if same and character not in found:
            found[character] = same[:ALIKE]
    return found


def _refuse(place: str, rule: str, got: Any) -> EquipoiseError:
    return bad_data(place, rule, got=got, hint="Fetch the dialogues again from their source", code="DIALOGUE")
