"""What a report's sections are made of, and how values become its text. The template shows each kind of part."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

MIME = {".png": "image/png", ".svg": "image/svg+xml"}
ROWS = 200  # of a table; what is left out is counted below it
NONE = "–"


@dataclass(frozen=True)
class Cell:
    """A table's cell: its text, a smaller line beneath it, and a class of the style sheet."""

    text: str
    beneath: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells below a head. `words` are the columns of text; all others are numbers, aligned to the right."""

    part: ClassVar[str] = "table"
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    words: frozenset[int] = frozenset({0})
    caption: str = ""

    @property
    def shown(self) -> Sequence[Sequence[Cell]]:
        """The rows that are printed."""
        return self.rows[:ROWS]


@dataclass(frozen=True)
class Facts:
    """Names and what they stand for."""

    part: ClassVar[str] = "facts"
    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Text:
    """A paragraph; `kind` is a class of the style sheet."""

    part: ClassVar[str] = "text"
    text: str
    kind: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture inside the page: `source` is a data URI."""

    part: ClassVar[str] = "picture"
    source: str
    says: str


@dataclass(frozen=True)
class Alarm:
    """A health alarm of the training: what was seen, what may be behind it, what to do."""

    part: ClassVar[str] = "alarm"
    title: str
    causes: Sequence[str]
    remedies: Sequence[str]


@dataclass(frozen=True)
class Bar:
    """A head of the forest: places on its axis in percent of the width, clipped at the ends where `beyond` says so."""

    name: str
    role: str
    verdict: str
    values: str
    difference: str
    interval: str
    low: float
    at: float
    high: float
    beyond: tuple[bool, bool]
    note: str


@dataclass(frozen=True)
class Forest:
    """Differences in units of each head's margin: worse to the left, better to the right.

    `zero` and `margin` are places in percent of the width, `ends` the units at both ends.
    """

    part: ClassVar[str] = "forest"
    bars: Sequence[Bar]
    zero: float
    margin: float
    ends: float


@dataclass(frozen=True)
class Told:
    """A text that can be opened, already safe HTML."""

    part: ClassVar[str] = "told"
    title: str
    html: str


Part = Table | Facts | Text | Picture | Alarm | Forest | Told


@dataclass(frozen=True)
class Section:
    """A chapter of the report. One without parts says in `empty` why it has none."""

    id: str
    title: str
    parts: Sequence[Part]
    empty: str = ""


def picture(path: Path, says: str) -> Picture:
    """A PNG or SVG file as a part of the page."""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return Picture(f"data:{MIME[path.suffix]};base64,{data}", says)


def name(key: str) -> str:
    """`test/decision/exact_match` as words: decision exact match."""
    return key.removeprefix("test/").replace("/", " ").replace("_", " ")


def number(value: Any) -> str:
    """A number as a reader wants it: whole ones in groups of three digits, others with four; None as a dash."""
    if value is None or isinstance(value, str | bool):
        return NONE if value is None else str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if value and not 1e-3 <= abs(value) < 1e4:
        return f"{value:.3g}".replace("-", "−")
    return f"{value:.4f}".replace("-", "−")


def signed(value: float) -> str:
    """A difference with its sign, four digits."""
    return f"{value:+.4f}".replace("-", "−")


def between(low: Any, high: Any, shown: Any = number) -> str:
    """An interval."""
    return f"{shown(low)} to {shown(high)}"


def measured(value: Any) -> Cell:
    """A value with the interval beneath it, from {value, low, high}, from a bare number, or from None."""
    if isinstance(value, Mapping):
        return Cell(number(value["value"]), between(value["low"], value["high"]))
    return Cell(number(value))
