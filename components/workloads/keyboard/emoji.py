"""Emoji originals: the tweets of TweetEval with the emoji they carried, and CLDR's names of emoji."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.data.archives import file_bytes
from components.data.splits import stable_share
from components.data.strict_json import loads
from components.errors import EquipoiseError, bad_data
from components.workloads.keyboard.events import LANGUAGES, Task
from components.workloads.keyboard.messages import Given, Message
from components.workloads.keyboard.published import published_file, published_lines
from components.workloads.keyboard.units import Kind, clean_text, units

VALIDATION = 0.05  # of the training tweets: their own validation set is what is scored
NAMED = ("annotations", "annotationsDerived")


def classes(folder: Path) -> list[str]:
    """The emoji of mapping.txt by their numbers.

    Raises:
        EquipoiseError: E_EMOJI (65) for another format, E_MISSING (66).
    """
    lines, path = published_lines(folder, "mapping.txt")
    found = []
    for number, line in enumerate(lines):
        fields = line.split("\t")
        if len(fields) < 3 or fields[0] != str(number):
            raise _refuse(f"{path}:{number + 1}", f"must be {number}, an emoji and a name between tabs", line)
        found.append(clean_text(fields[1]))
    return found


def read_tweets(folder: Path, left_out: Counter[str]) -> Iterator[Message]:
    """One suggestion a tweet: its emoji, after its text. Leftover variation selectors, which give two classes away, are
    stripped with all that is never typed. The published validation tweets are the test split.

    Args:
        left_out: counts tweets without anything before the emoji.

    Raises:
        EquipoiseError: E_EMOJI (65) for labels that fit no class or no tweet, E_ARCHIVE, E_JSON (65), E_MISSING (66).
    """
    emoji = classes(folder)
    for name in ("train", "val"):
        texts, _ = published_lines(folder, f"{name}_text.txt")
        labels, place = published_lines(folder, f"{name}_labels.txt")
        if len(texts) != len(labels):
            raise _refuse(place, f"must have a line for each of {len(texts)} tweets", len(labels))
        for number, (raw, label) in enumerate(zip(texts, labels, strict=True)):
            if not label.isdecimal() or int(label) >= len(emoji):
                raise _refuse(f"{place}:{number + 1}", f"a label must be below {len(emoji)}", label)
            text = clean_text(raw)
            if not text:
                left_out["nothing to type"] += 1
                continue
            split = "test" if name == "val" else "train"
            if split == "train" and stable_share(0, f"{name}/{number}") < VALIDATION:
                split = "validation"
            yield _before_emoji(f"tweeteval/{name}/{number}", "tweeteval", "en", text, emoji[int(label)], split)


def read_names(folder: Path, derived: Path, wanted: frozenset[str]) -> Iterator[Message]:
    """Names and keywords of the wanted emoji in English and Chinese, each followed by its emoji: training alone.

    Args:
        folder: of `annotations`.
        derived: of `annotationsDerived`.

    Raises:
        EquipoiseError: E_EMOJI (65) for another format, E_ARCHIVE, E_JSON (65), E_MISSING (66).
    """
    for language in LANGUAGES:
        for kind, place in zip(NAMED, (folder, derived), strict=True):
            path = published_file(place, f"{kind}/{language}/annotations.json")
            try:
                entries = loads(file_bytes(path), str(path))[kind]["annotations"]
                named = [(e, list(dict.fromkeys(v["tts"] + v["default"]))) for e, v in entries.items() if e in wanted]
            except (KeyError, TypeError) as error:
                raise _refuse(str(path), f"must be {kind} of CLDR", str(error)) from error
            for symbol, names in named:
                for number, name in enumerate(names):
                    at = f"cldr/{language}/{symbol}/{number}"
                    yield _before_emoji(at, "cldr", language, clean_text(name), symbol, "train")


def _before_emoji(name: str, source: str, language: str, before: str, symbol: str, split: str) -> Message:
    text = f"{before} {symbol}"
    last = units(text)[-1]
    if last.kind is not Kind.EMOJI:
        raise _refuse(name, "must be an emoji", symbol)
    given = (Given(Task.SUGGESTION, last.start, last.end, ""),)
    return Message(name, "", source, language, text, given=given, split=split)


def _refuse(place: str, rule: str, got: Any) -> EquipoiseError:
    return bad_data(place, rule, got=got, hint="Fetch the data set again from its source", code="EMOJI")
