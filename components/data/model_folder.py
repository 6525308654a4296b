"""A model's folder as serving reads it: model.json says of which kind it is and what bytes every other file has."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from components.errors import bad_data, missing
from components.files import sha256_file

CARD = "model.json"


def kind_of(folder: Path, kinds: Iterable[str]) -> str:
    """Which of `kinds` of model the folder holds.

    Raises:
        EquipoiseError: E_MISSING (66) without model.json, E_DATA (65) when it names no such kind.
    """
    known = list(kinds)
    kind = _card(folder).get("kind")
    if kind not in known:
        raise bad_data(
            str(folder / CARD), f"kind must be one of {', '.join(known)}", got=kind, hint="Train the model again"
        )
    return kind


def read_card(folder: Path, needed: Iterable[str]) -> dict[str, Any]:
    """model.json after every file it names, and every one that is `needed`, was found to have the digest named there.

    Raises:
        EquipoiseError: E_MISSING (66) without a file, E_DATA (65) when model.json describes no model, E_MODEL (65) when
            a file is not the one that was trained.
    """
    card = _card(folder)
    digests = card.get("files")
    if not isinstance(digests, dict):
        raise bad_data(str(folder / CARD), "must name the model's files", got=digests, hint="Train the model again")
    for file in dict.fromkeys([*needed, *digests]):
        if not (folder / file).is_file():
            raise missing(str(folder / file), "a model folder must hold it", got="no file", hint="Run train first")
        if sha256_file(folder / file) != digests.get(file):
            raise bad_data(
                str(folder / file),
                f"must have the SHA-256 that {CARD} names",
                got="another one",
                hint="The file was changed or damaged: train again or load another version",
                code="MODEL",
            )
    return card


def _card(folder: Path) -> dict[str, Any]:
    path = folder / CARD
    if not path.is_file():
        raise missing(str(path), "a model folder must hold it", got="no file", hint="Run train or evaluate first")
    try:
        card = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise bad_data(str(path), "must describe a model", got=str(error), hint="Train the model again") from error
    if not isinstance(card, dict):
        raise bad_data(str(path), "must describe a model", got=type(card).__name__, hint="Train the model again")
    return card
