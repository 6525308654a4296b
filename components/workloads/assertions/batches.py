"""Prepared pairs as padded tensors, with what the teacher said of them: one gather a batch, no Python per sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.config_assertions import AssertionsConfig, TeacherSection
from components.data.arrays import open_array
from components.data.buckets import in_order, shuffled, spread
from components.data.manifest import verify_once
from components.data.splits import check_split
from components.workloads.assertions.encode import BOS, EOS, PAD
from components.workloads.assertions.lessons import Lessons, open_lessons

IGNORED = -1


@dataclass(frozen=True)
class Split:
    """One verified split: the pieces of sources and targets [N], and where each sample's begin [S + 1]."""

    source: NDArray[np.int32]
    segments: NDArray[np.uint8]
    source_offsets: NDArray[np.int64]
    target: NDArray[np.int32]
    target_offsets: NDArray[np.int64]

    @property
    def samples(self) -> int:
        return len(self.source_offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """[S] pieces of each source with its target and end mark: what a sample costs."""
        return np.diff(self.source_offsets) + np.diff(self.target_offsets) + 1


def open_split(prepared: Path, split: str) -> Split:
    """The arrays of a split, after the manifest was found to hold.

    Raises:
        EquipoiseError: E_MISSING (66) without prepared data, E_MANIFEST (65) when it was changed.
    """
    check_split(prepared, split)
    verify_once(prepared)
    return _open(str(prepared.resolve()), split, (prepared / "manifest.json").stat().st_mtime_ns)


@lru_cache(maxsize=6)
def _open(prepared: str, split: str, _changed: int) -> Split:
    folder = Path(prepared) / split
    names = ("source", "segments", "source_offsets", "target", "target_offsets")
    return Split(*(open_array(folder / f"{name}.npy") for name in names))


def batches(section: AssertionsConfig, prepared: Path, split: str, epoch: int) -> Iterator[dict[str, Tensor]]:
    """Micro-batches of a split; order and contents are a pure function of (training.seed, epoch) and the data.

    Where a term of the loss asks for what the teacher said, training batches carry it.

    Yields:
        as `collate`.
    """
    lessons = open_lessons(section, prepared) if split == "train" else None
    return _batches(section, open_split(prepared, split), split, epoch, lessons)


def teacher_batches(section: TeacherSection, prepared: Path, split: str, epoch: int) -> Iterator[dict[str, Tensor]]:
    """The same for a teacher, which learns from the labels alone."""
    return _batches(section, open_split(prepared, split), split, epoch, None)


def _batches(
    section: AssertionsConfig | TeacherSection, data: Split, split: str, epoch: int, lessons: Lessons | None
) -> Iterator[dict[str, Tensor]]:
    if split == "train":
        order = shuffled(data.lengths, section.training.batch_tokens, section.training.seed, epoch)
    else:
        order = in_order(data.lengths, section.training.batch_tokens)
    for chosen in order:
        yield collate(data, chosen, lessons)


def collate(data: Split, chosen: NDArray[np.int64], lessons: Lessons | None = None) -> dict[str, Tensor]:
    """The samples with those indices as one batch (int64 unless said).

    Returns:
        source, segments [B, L], 0 pads; target_in [B, T]: the start mark and the pieces; target [B, T]: the pieces and
        the end mark, -1 pads; sample_id [B]. With distributions of a teacher: teacher_ids [B, T, K], its likeliest
        pieces, and teacher_logp [B, T, K + 1] float32, their log-probabilities and that of all others together. With
        texts of a teacher: sequence_in, sequence [B, T'] like target_in and target.
    """
    at, present = spread(data.source_offsets, chosen)
    batch = {
        "source": np.where(present, data.source[at], PAD).astype(np.int64),
        "segments": np.where(present, data.segments[at], 0).astype(np.int64),
        "sample_id": chosen,
    }
    batch["target_in"], batch["target"] = targets(data.target, data.target_offsets, chosen)
    if lessons is not None:
        batch |= lessons.columns(data.target_offsets, chosen)
        if lessons.sequence is not None:
            batch["sequence_in"], batch["sequence"] = targets(*lessons.sequence, chosen)
    return {name: torch.from_numpy(values) for name, values in batch.items()}


def targets(
    flat: NDArray[np.int32], offsets: NDArray[np.int64], chosen: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What is read and what is to be written next, [B, T] each."""
    at, present = spread(offsets, chosen)
    pieces = flat[at] if len(flat) else np.zeros(at.shape, np.int32)
    rows, lengths = len(chosen), present.sum(axis=1)
    inputs = np.full((rows, at.shape[1] + 1), PAD, np.int64)
    outputs = np.full((rows, at.shape[1] + 1), IGNORED, np.int64)
    inputs[:, 0] = BOS
    inputs[:, 1:][present] = outputs[:, :-1][present] = pieces[present]
    outputs[np.arange(rows), lengths] = EOS
    return inputs, outputs
