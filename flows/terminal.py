"""What leaves a command: one JSON document or plain text on stdout, everything else on stderr, errors on one line."""

from __future__ import annotations

import json
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from components.errors import EquipoiseError, one_line

INTERNAL = 70  # sysexits EX_SOFTWARE
INTERRUPTED = 130
BROKEN_PIPE = 141

_answers: TextIO | None = None


def answers() -> TextIO:
    """The real stdout. From the first call on, whatever libraries and child processes print goes to stderr."""
    global _answers
    if _answers is None:
        sys.stdout.flush()
        _answers = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace")
        os.dup2(2, 1)
    return _answers


def emit(document: Any, as_json: bool, text: Callable[[Any], str]) -> None:
    """Writes a verb's result: the document itself, or what `text` makes of it."""
    out = answers()
    with reader():
        out.write(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) if as_json else text(document))
        out.write("\n")
        out.flush()


@contextmanager
def reader() -> Iterator[None]:
    """Ends the command quietly when nobody reads its answer any more (`| head`)."""
    from typer.exceptions import Exit

    try:
        yield
    except BrokenPipeError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), answers().fileno())  # or the flush at exit would complain
        raise Exit(BROKEN_PIPE) from error


def say(line: str) -> None:
    """One line about the work in progress, for people; whoever reads --json finds it on stderr."""
    print(one_line(line), file=sys.stderr, flush=True)


def guarded(command: Callable[[], int | None], arguments: Sequence[str]) -> int:
    """Runs a command and turns however it ends into an exit status; only --debug shows a traceback."""
    from typer._click.exceptions import ClickException
    from typer.exceptions import Abort, Exit

    as_json, debug = "--json" in arguments, "--debug" in arguments
    try:
        return command() or 0
    except EquipoiseError as error:
        return _fail(error.code, str(error), int(error.exit_code), as_json, debug, place=error.place, hint=error.hint)
    except ClickException as error:
        line = f"E_USAGE command line: {_broken_rule(error)}, got {shown(arguments)}. {_usage_hint(error, arguments)}"
        return _fail("E_USAGE", line, 2, as_json, debug)
    except Exit as stop:
        return stop.exit_code
    except (KeyboardInterrupt, Abort) as stop:
        reason = one_line(str(stop)) or "stopped as asked"
        again = f"equipoise {' '.join(arguments)}".strip()
        return _fail(
            "E_INTERRUPTED",
            f"E_INTERRUPTED {reason}. Go on with the same command: {again}",
            INTERRUPTED,
            as_json,
            debug,
        )
    except Exception as error:
        what = one_line(f"{type(error).__name__}: {error}")[:300].rstrip(".")
        line = f"E_INTERNAL {' '.join(arguments[:2])}: {what}. Run it again with --debug and report the traceback."
        return _fail("E_INTERNAL", line, INTERNAL, as_json, debug)


def _fail(code: str, line: str, status: int, as_json: bool, debug: bool, **more: Any) -> int:
    if debug:
        traceback.print_exc(file=sys.stderr)
    print(line, file=sys.stderr, flush=True)
    if as_json:
        emit({"error": {"code": code, "message": line, "exit_code": status, **more}}, True, str)
    return status


def _broken_rule(error: Exception) -> str:
    rule = one_line(error.format_message()).rstrip(".")  # pyright: ignore[reportAttributeAccessIssue]
    return rule[:1].lower() + rule[1:]


def shown(arguments: Sequence[str]) -> str:
    """What was typed, cut where it is long."""
    line = one_line(shlex.join(arguments)) or "nothing"
    return line if len(line) <= 100 else f"{line[:99]}…"


def _usage_hint(error: Exception, arguments: Sequence[str]) -> str:
    unknown = str(error).startswith("No such command")
    verb = "" if unknown else next((a for a in arguments if not a.startswith("-")), "")
    return f"See `equipoise {verb} --help`." if verb else "See `equipoise --help`."
