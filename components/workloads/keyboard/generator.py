"""The embedded data: seeded users who write to each other in English and Chinese, as JSON lines of messages.

What makes it worth learning: each user has favourites (places, food, people, an emoji for a mood) and a style (short
forms, capitals, marks), answers take up what was asked, and numbers, marks and emoji make the layout change. What makes
it hard: users of validation and test are never seen, so their favourites can only be learned from their history.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.files import write_text
from components.workloads.keyboard.generator_phrases import (
    CLOSERS,
    EXCHANGES,
    MIXED,
    MOODS,
    NUMBERS,
    OPENERS,
    SHORT,
    SLOTS,
)

FILE = "messages.jsonl"
CHINESE = 0.35  # of the users
FAVOURITES = 3  # of a slot that a user mostly draws from
FAITHFUL = 0.8  # how often
EXCHANGES_A_TALK = 3  # at most
_SLOT = re.compile(r"\{(\w+)\}")


def generate(section: Any, folder: Path) -> None:
    """Writes messages.jsonl for a `keyboard` section."""
    data = section.data
    write_messages(data.seed, data.embedded_users, data.embedded_messages, folder)


def write_messages(seed: int, users: int, messages: int, folder: Path) -> None:
    """The same seed and numbers give the same bytes.

    Args:
        users: how many; each sends about as many messages as the others.
        messages: sent in all, a few more; the received ones come on top.

    Raises:
        EquipoiseError: E_WRITE (73) or E_IO (74).
    """
    lines = [
        json.dumps(message, ensure_ascii=False, sort_keys=True) + "\n"
        for number in range(users)
        for message in of_user(seed, number, -(-messages // users))
    ]
    write_text(folder / FILE, "".join(lines))


def of_user(seed: int, number: int, sent: int) -> Iterator[dict[str, Any]]:
    """The messages of one user's talks in order, as lines of the file; at least `sent` of them are the user's own."""
    chance = random.Random(f"{seed}/{number}")
    writer = _Writer(chance)
    written = talk = 0
    while written < sent:
        for mine, text in writer.talk():
            written += mine
            yield {
                "user": f"user-{number:03d}",
                "conversation": f"{number:03d}-{talk:04d}",
                "language": writer.language,
                "sent": mine,
                "text": text,
            }
        talk += 1


class _Writer:
    """One user: language, favourites and style, drawn once."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.language = "zh" if chance.random() < CHINESE else "en"
        self.favourites = {name: chance.sample(all_, FAVOURITES) for name, all_ in SLOTS[self.language].items()}
        self.moods = {topic: chance.choice(emoji) for topic, emoji in MOODS.items()}
        self.cheer = chance.choice((0.2, 0.5, 0.9))
        self.hurried = self.language == "en" and chance.random() < 0.4
        self.capitals = chance.random() < 0.5
        self.mixing = chance.choice((0.0, 0.1, 0.3)) if self.language == "zh" else 0.0
        self.ending = chance.choice(("", "", "!", " :)", "...") if self.language == "en" else ("", "", "！", "～"))
        self.foreign = chance.choice(MIXED)
        self.openers = chance.sample(OPENERS[self.language], 2)
        self.closers = chance.sample(CLOSERS[self.language], 2)
        self.talkative = chance.choice((0.1, 0.3, 0.6))

    def talk(self) -> Iterator[tuple[bool, str]]:
        """(whether the user sent it, text) of one to EXCHANGES_A_TALK questions and answers."""
        for _ in range(self.chance.randint(1, EXCHANGES_A_TALK)):
            topic, question, answers = self.chance.choice(EXCHANGES[self.language])
            filled: dict[str, str] = {}
            asks = self.chance.random() < 0.35
            yield asks, self._text(question, topic, filled, asks)
            yield not asks, self._text(self.chance.choice(answers), topic, filled, not asks)

    def _text(self, template: str, topic: str, filled: dict[str, str], mine: bool) -> str:
        text = _SLOT.sub(lambda slot: self._fill(slot.group(1), topic, filled, mine), template).strip()
        return self._styled(text) if mine else text

    def _fill(self, slot: str, topic: str, filled: dict[str, str], mine: bool) -> str:
        if slot == "mood":
            emoji = self.moods[topic] if mine else self.chance.choice(MOODS[topic])
            return emoji if self.chance.random() < self.cheer else ""
        if slot not in filled:
            filled[slot] = self._number(NUMBERS[slot]) if slot in NUMBERS else self._choice(slot.rstrip("2"), mine)
        return filled[slot]

    def _choice(self, slot: str, mine: bool) -> str:
        favourite = mine and self.chance.random() < FAITHFUL
        return self.chance.choice(self.favourites[slot] if favourite else SLOTS[self.language][slot])

    def _number(self, kind: str) -> str:
        chance = self.chance
        if kind == "clock":
            hour = str(chance.randint(1, 12))
            if self.language == "zh":
                return hour
            return chance.choice((f"{hour}pm", f"{hour}:{chance.choice(('00', '15', '30', '45'))}", f"{hour}am"))
        if kind == "money":
            return str(chance.choice((2, 5, 8, 12, 15, 20, 35, 50)))
        return str(chance.randint(2, 30) if kind == "small" else chance.randint(100, 499))

    def _styled(self, text: str) -> str:
        blank = " " if self.language == "en" else ""
        if self.chance.random() < self.talkative:
            text = f"{self.chance.choice(self.openers)}{blank}{text}"
        if self.chance.random() < self.talkative:
            joint = blank if not text[-1].isalnum() else ", " if blank else "，"
            text = f"{text}{joint}{self.chance.choice(self.closers)}"
        if self.hurried:
            text = re.sub(r"[a-z]+", lambda word: SHORT.get(word.group(), word.group()), text)
        if self.chance.random() < self.mixing:
            text = f"{self.foreign} {text}"
        if self.capitals:
            text = text[0].upper() + text[1:]
        return text + self.ending if text[-1].isalnum() else text
