"""JSON that means one thing: UTF-8 without byte order mark, no duplicate keys, finite numbers, whole characters,
bounded size and depth. What Python's reader would silently repair or drop is refused with its place."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from components.errors import EquipoiseError, bad_data, missing

MAX_BYTES = 256 * 1024 * 1024
MAX_DEPTH = 64
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89abABcCdDeEfF]")
_MEND = "Mend the file, or write it anew with a JSON library"


def loads(raw: bytes, place: str, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """The value that `raw` holds.

    Args:
        raw: the bytes of one JSON document.
        place: file, `file:line` or archive member, for the error.
        max_bytes: larger documents are refused before they are parsed.
        max_depth: how many objects and lists may stand inside each other.

    Raises:
        EquipoiseError: E_JSON (65) for anything that is not strict JSON.
    """
    if len(raw) > max_bytes:
        raise _refuse(
            place, f"a JSON document must be at most {max_bytes} bytes", len(raw), "Split it into smaller files"
        )
    text = decode(raw, place)
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite, parse_int=_whole
        )
    except _Rule as error:
        raise _refuse(place, error.rule, error.got, _MEND) from error
    except RecursionError as error:
        raise _too_deep(place, max_depth) from error
    except json.JSONDecodeError as error:
        got = f"{error.msg} at line {error.lineno} column {error.colno}"
        raise _refuse(place, "must be JSON", got, _MEND) from error
    if _deeper_than(value, max_depth, text):
        raise _too_deep(place, max_depth)
    if _SURROGATE_ESCAPE.search(text):
        _whole_characters(value, place)
    return value


def read(path: Path, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """The value in a JSON file.

    Raises:
        EquipoiseError: E_MISSING (66) when there is no readable file, E_JSON (65) for its contents.
    """
    try:
        raw = path.read_bytes() if path.stat().st_size <= max_bytes else b" " * (max_bytes + 1)
    except OSError as error:
        raise missing(
            str(path), "must be a readable file", got=error.strerror or str(error), hint="Name an existing file"
        ) from error
    return loads(raw, str(path), max_bytes=max_bytes, max_depth=max_depth)


def decode(raw: bytes, place: str) -> str:
    """The text of UTF-8 bytes without a byte order mark.

    Raises:
        EquipoiseError: E_JSON (65) naming the first byte that is not UTF-8, or the mark.
    """
    if raw[:3] == b"\xef\xbb\xbf" or raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise _refuse(place, "must be UTF-8 without a byte order mark", raw[:3], "Save the file as plain UTF-8")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        got = f"byte 0x{raw[error.start]:02x} at offset {error.start}"
        raise _refuse(place, "must be UTF-8 text", got, "Save the file as UTF-8") from error


class _Rule(ValueError):
    """Carries a broken rule out of the parser's hooks, which do not know the place."""

    def __init__(self, rule: str, got: Any) -> None:
        self.rule = rule
        self.got = got
        super().__init__(rule)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise _Rule("a key must stand once in an object", twice)
    return value


def _no_constant(name: str) -> Any:
    raise _Rule("numbers must be finite", name)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _Rule("numbers must be finite", digits)
    return value


def _whole(digits: str) -> int:
    if len(digits) > 400:
        raise _Rule("whole numbers must have at most 400 digits", f"{len(digits)} digits")
    return int(digits)


def _deeper_than(value: Any, limit: int, text: str) -> bool:
    if text.count("{") + text.count("[") <= limit:
        return False
    level = [value]
    for _ in range(limit + 1):
        inside = [item for item in level if type(item) is dict or type(item) is list]
        if not inside:
            return False
        level = [item for box in inside for item in (box.values() if type(box) is dict else box)]
    return True


def _whole_characters(value: Any, place: str) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        lone = f"\\u{ord(error.object[error.start]):04x}"
        raise _refuse(place, "text must consist of whole characters", f"the lone surrogate {lone}", _MEND) from error


def _too_deep(place: str, limit: int) -> EquipoiseError:
    return _refuse(place, f"objects and lists must be nested at most {limit} deep", "deeper nesting", _MEND)


def _refuse(place: str, rule: str, got: Any, hint: str) -> EquipoiseError:
    return bad_data(place, rule, got=got, hint=hint, code="JSON")
