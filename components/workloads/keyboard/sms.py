"""The NUS SMS corpus: one XML document of messages, read as a stream without a document type, entities of its own or
anything outside it."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from components.data.archives import file_bytes, is_archive, members
from components.errors import EquipoiseError, bad_data
from components.workloads.keyboard.lines import LONGEST, REMEMBERED
from components.workloads.keyboard.messages import Message
from components.workloads.keyboard.units import clean_text, units

CHUNK = 1 << 16
UNKNOWN = "0"  # userID of contributors who are not known
MEMBER_TAGS = ("text", "userID")


@dataclass
class _Sms:
    number: str = ""
    collector: str = ""
    parts: dict[str, list[str]] = field(default_factory=lambda: {tag: [] for tag in MEMBER_TAGS})


def read_sms(path: Path, language: str, source: str, left_out: Counter[str]) -> Iterator[Message]:
    """The messages of a file in its order, each with what its user wrote before: XML, plain, gzipped or in an archive.

    The key of a message is (id, collector): ids alone are used twice. What an unknown contributor wrote has no user and
    no history.

    Args:
        left_out: counts messages that share a key with an earlier one, and those without anything to type.

    Raises:
        EquipoiseError: E_MISSING (66), E_ARCHIVE (65) for a damaged file, E_XML (65) with its line for anything that is
            not such a document.
    """
    seen: set[tuple[str, str]] = set()
    history: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
    for sms in _stream(path):
        key = (sms.number, sms.collector)
        if key in seen:
            left_out["messages with the id and collector of another"] += 1
            continue
        seen.add(key)
        text = clean_text("".join(sms.parts["text"]))[:LONGEST]
        if not units(text):
            left_out["nothing to type"] += 1
            continue
        number = "".join(sms.parts["userID"]).strip()
        user = "" if number in ("", UNKNOWN) else f"nus/{number}"
        earlier = tuple(history[user]) if user else ()
        yield Message(f"{source}/{sms.collector}/{sms.number}", user, source, language, text, earlier)
        if user:
            history[user].append(text)


def _stream(path: Path) -> Iterator[_Sms]:
    raw = next((raw for _, raw in members(path)), b"") if is_archive(path) else file_bytes(path)
    reader = _Reader(path)
    for start in range(0, len(raw), CHUNK):
        reader.feed(raw[start : start + CHUNK], final=start + CHUNK >= len(raw))
        yield from reader.taken()
    if not reader.any:
        raise _refuse(str(path), "must hold messages", "none")


class _Reader:
    """Expat's handlers: collects whole messages. Declares nothing, fetches nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.any = False
        self._whole: list[_Sms] = []
        self._now: _Sms | None = None
        self._into: list[str] | None = None
        self._expat = expat.ParserCreate()
        self._expat.buffer_text = True
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._end
        self._expat.CharacterDataHandler = self._text
        self._expat.StartDoctypeDeclHandler = self._no_doctype

    def feed(self, raw: bytes, final: bool) -> None:
        try:
            self._expat.Parse(raw, final)
        except expat.ExpatError as error:
            raise _refuse(f"{self.path}:{error.lineno}", "must be XML", expat.errors.messages[error.code]) from error

    def taken(self) -> list[_Sms]:
        taken, self._whole = self._whole, []
        return taken

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "message":
            self._now = _Sms(number=attributes.get("id", ""))
            if not self._now.number:
                raise _refuse(self._place(), "a message must have an id", "none")
        elif self._now is not None and tag in MEMBER_TAGS:
            self._into = self._now.parts[tag]
        elif self._now is not None and tag == "collectionMethod":
            self._now.collector = attributes.get("collector", "")

    def _end(self, tag: str) -> None:
        if tag in MEMBER_TAGS:
            self._into = None
        elif tag == "message" and self._now is not None:
            self.any = True
            self._whole.append(self._now)
            self._now = None

    def _text(self, text: str) -> None:
        if self._into is not None:
            self._into.append(text)

    def _no_doctype(self, name: str, *others: Any) -> None:
        raise _refuse(self._place(), "must have no document type: it could declare entities", name)

    def _place(self) -> str:
        return f"{self.path}:{self._expat.CurrentLineNumber}"


def _refuse(place: str, rule: str, got: Any) -> EquipoiseError:
    return bad_data(place, rule, got=got, hint="Fetch the corpus again from its source", code="XML")
