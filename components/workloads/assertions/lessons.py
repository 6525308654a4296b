"""What a teacher left behind for its students: its model, and for every token of the training split its likeliest
pieces with all others as one sum; a versioned data set with a manifest."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.config_assertions import AssertionsConfig
from components.data.arrays import open_array
from components.data.buckets import spread
from components.data.manifest import verify_once
from components.errors import missing
from components.files import sha256_file

MODEL, ANSWERS = "model", "answers"


def teacher_folder(prepared: Path) -> Path:
    """Where the teacher of prepared data is kept: data/teacher/W beside data/prepared/W."""
    return prepared.parent.parent / "teacher" / prepared.name


@dataclass(frozen=True)
class Lessons:
    """The teacher's answers to the training split.

    Attributes:
        ids: [N, K] likeliest pieces at every target position, end marks included; None where nobody asks for them.
        log_probabilities: [N, K + 1], the last of all others together.
        sequence: (pieces [M], offsets [S + 1]) of the texts it wrote itself; None where nobody asks for them.
    """

    ids: NDArray[np.int32] | None
    log_probabilities: NDArray[np.float16] | None
    sequence: tuple[NDArray[np.int32], NDArray[np.int64]] | None

    def columns(self, target_offsets: NDArray[np.int64], chosen: NDArray[np.int64]) -> dict[str, NDArray]:
        """teacher_ids [B, T, K] and teacher_logp [B, T, K + 1] of those samples, 0 where padded."""
        if self.ids is None or self.log_probabilities is None:
            return {}
        at, present = spread(target_offsets + np.arange(len(target_offsets)), chosen)  # one end mark a sample before
        likely = self.log_probabilities[at].astype(np.float32)
        return {"teacher_ids": self.ids[at].astype(np.int64), "teacher_logp": np.where(present[..., None], likely, 0.0)}


def open_lessons(section: AssertionsConfig, prepared: Path) -> Lessons | None:
    """What the terms of the loss ask for; None when none asks.

    Raises:
        EquipoiseError: E_TEACHER (66) when there are no answers to these data, E_MANIFEST (65) when they were changed.
    """
    cached = section.loss.asks_teacher
    texts = section.loss.sequence.weight > 0
    if not (cached or texts):
        return None
    answers = teacher_folder(prepared) / ANSWERS
    _check(answers, prepared, texts)
    return _open(str(answers.resolve()), cached, texts, (answers / "manifest.json").stat().st_mtime_ns)


def asked_of(section: AssertionsConfig, prepared: Path) -> tuple[Path, ...]:
    """The files by which what a student reads of its teacher is known: none where no term asks.

    Raises:
        EquipoiseError: E_TEACHER (66) when a term asks for a teacher that is not there, or for answers to other data.
    """
    loss, folder, files = section.loss, teacher_folder(prepared), []
    if loss.asks_teacher or loss.sequence.weight > 0:
        _check(folder / ANSWERS, prepared, loss.sequence.weight > 0)
        files.append(folder / ANSWERS / "manifest.json")
    if loss.asks_teacher_online:
        files.append(teacher_card(folder))
    return tuple(files)


def teacher_card(folder: Path) -> Path:
    """model.json of the trained teacher in its folder.

    Raises:
        EquipoiseError: E_TEACHER (66) when there is none.
    """
    card = folder / MODEL / "model.json"
    if not card.is_file():
        raise missing(
            str(card.parent),
            "the loss asks for the teacher itself",
            got="no model",
            hint="Run the stage teacher@assertions, or set loss.online to false and hidden and on_policy to 0",
            code="TEACHER",
        )
    return card


def _check(answers: Path, prepared: Path, texts: bool) -> None:
    if not (answers / "manifest.json").is_file():
        raise missing(
            str(answers),
            "the loss asks for a teacher's answers",
            got="no file",
            hint="Run the stage teacher@assertions, or set the weights of jsd, kl and sequence to 0",
            code="TEACHER",
        )
    facts = verify_once(answers)
    if facts.get("prepared") != sha256_file(prepared / "manifest.json"):
        raise missing(
            str(answers),
            "the teacher's answers must be to the prepared data",
            got="answers to other data",
            hint="Run the stage teacher@assertions again",
            code="TEACHER",
        )
    if texts and not (answers / "sequence.npy").is_file():
        raise missing(
            str(answers / "sequence.npy"),
            "loss.sequence asks for texts that the teacher wrote",
            got="no file",
            hint="Set teacher.sequences to 1 or more and run the stage teacher@assertions again",
            code="TEACHER",
        )


@lru_cache(maxsize=4)
def _open(folder: str, cached: bool, texts: bool, _changed: int) -> Lessons:
    place = Path(folder)
    return Lessons(
        open_array(place / "ids.npy", 2) if cached else None,
        open_array(place / "log_probabilities.npy", 2) if cached else None,
        (open_array(place / "sequence.npy"), open_array(place / "sequence_offsets.npy")) if texts else None,
    )
