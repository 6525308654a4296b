"""The one error type a user sees.

`E_CODE place: rule, got value. What to do.` on one line, with the exit code that shells and schedulers act on.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """Exit codes of every command (sysexits where one fits)."""

    DONE = 0
    USAGE = 2
    HOLD = 10
    REJECT = 11
    BAD_DATA = 65
    MISSING_INPUT = 66
    SERVICE_UNAVAILABLE = 69
    CANNOT_WRITE = 73
    IO_ERROR = 74
    BUSY = 75
    CONFIGURATION = 78


class EquipoiseError(Exception):
    """A rule was broken in a place a person can find, with the value that broke it and what to do about it.

    Args:
        code: stable upper-case name without the `E_` prefix, for example `DATA_SPAN`.
        place: file and line, parameter path or command where the rule holds.
        rule: what must be true there.
        got: the offending value; shown shortened, control characters escaped.
        hint: one sentence saying what to do.
        exit_code: the process's exit status when nothing handles the error.
    """

    def __init__(self, code: str, place: str, rule: str, *, got: Any, hint: str, exit_code: Exit) -> None:
        self.code = f"E_{code}"
        self.place = place
        self.rule = rule
        self.got = got
        self.hint = hint
        self.exit_code = exit_code
        super().__init__(str(self))

    def __str__(self) -> str:
        hint = self.hint if self.hint.endswith("?") else f"{self.hint.rstrip('.')}."
        return one_line(f"{self.code} {self.place}: {self.rule}, got {shorten(self.got)}. {hint}")


def shorten(value: Any, limit: int = 120) -> str:
    """The value as text of at most `limit` characters, safe to print on one line of any terminal."""
    text = one_line(value if isinstance(value, str) else repr(value))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def one_line(text: str) -> str:
    """Escapes what would break a line or a terminal: control characters, lone surrogates, direction marks."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text)


def bad_data(place: str, rule: str, *, got: Any, hint: str, code: str = "DATA") -> EquipoiseError:
    """E_DATA, or the code given: an input breaks a rule; exit code 65."""
    return EquipoiseError(code, place, rule, got=got, hint=hint, exit_code=Exit.BAD_DATA)


def missing(place: str, rule: str, *, got: Any, hint: str, code: str = "MISSING") -> EquipoiseError:
    """E_MISSING, or the code given: an input is not there; exit code 66."""
    return EquipoiseError(code, place, rule, got=got, hint=hint, exit_code=Exit.MISSING_INPUT)


def misconfigured(place: str, rule: str, *, got: Any, hint: str, code: str = "CONFIG") -> EquipoiseError:
    """E_CONFIG, or the code given: parameters or state do not fit; exit code 78."""
    return EquipoiseError(code, place, rule, got=got, hint=hint, exit_code=Exit.CONFIGURATION)


def busy(place: str, rule: str, *, got: Any, hint: str, code: str = "BUSY") -> EquipoiseError:
    """E_BUSY, or the code given: somebody else is at work and the same call may succeed later; exit code 75."""
    return EquipoiseError(code, place, rule, got=got, hint=hint, exit_code=Exit.BUSY)
