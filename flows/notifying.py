"""Tells a webhook how a scheduled retraining ended and whom the shadow comparison demoted: one POST of JSON to the
address in EQUIPOISE_WEBHOOK."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from components.errors import EquipoiseError, misconfigured, one_line, shorten

VARIABLE = "EQUIPOISE_WEBHOOK"
LIMIT_SECONDS = 10.0
REASON = 1_000  # characters of an error that is none of ours

Say = Callable[[str], object]
Tell = Callable[[dict[str, Any]], dict[str, Any]]


@contextmanager
def told(workload: str, scheduled: bool, say: Say) -> Iterator[Tell]:
    """Sends the outcome that the block hands to `tell`, or the error that ended it, which goes on its way: one of ours
    under its code, any other as E_INTERNAL with its type.

    A run that a person started is not announced: the person sees how it ends.

    Raises:
        EquipoiseError: E_CONFIG (78) for an address that is none, before any work is done.
    """
    address = _address() if scheduled else None

    def tell(outcome: dict[str, Any]) -> dict[str, Any]:
        if address:
            announce({"workload": workload, **outcome}, say)
        return outcome

    try:
        yield tell
    except Exception as error:
        if address:
            _post(address, {"workload": workload, "decision": "ERROR", **_ended_by(error)}, say)
        raise


def _ended_by(error: Exception) -> dict[str, str]:
    if isinstance(error, EquipoiseError):
        return {"code": error.code, "reason": str(error)}
    return {"code": "E_INTERNAL", "reason": shorten(f"{type(error).__name__}: {error}", REASON)}


def announce(outcome: Mapping[str, Any], say: Say) -> None:
    """Tells the webhook, where one is named, of a decision: {"workload", "decision", "version", "champion", "reason"}.

    Raises:
        EquipoiseError: E_CONFIG (78) for an address that is none.
    """
    if address := _address():
        _post(address, {key: outcome[key] for key in ("workload", "decision", "version", "champion", "reason")}, say)


def _address() -> str | None:
    """The webhook's address; its path may be a secret, so that no message shows more than the host."""
    address = os.environ.get(VARIABLE, "").strip()
    if not address:
        return None
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        hint = "Give the whole address of the webhook, or unset it"
        raise misconfigured(VARIABLE, "must be an http:// or https:// address", got=parts.scheme or "none", hint=hint)
    return address


def _post(address: str, message: Mapping[str, Any], say: Say) -> None:
    """One attempt. A webhook that does not answer must not undo a retraining: it is said and the run goes on."""
    request = urllib.request.Request(
        address, json.dumps(message).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=LIMIT_SECONDS) as answer:
            answer.read(1)
    except (OSError, urllib.error.URLError, ValueError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        say(one_line(f"the webhook at {urlsplit(address).hostname} was not told: {reason}"))
