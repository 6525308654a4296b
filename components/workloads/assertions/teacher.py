"""The stage `teacher`: trains the teacher, then keeps what it says of every token of the training split.

data/teacher/assertions/model/      the trained teacher, a model folder like a student's
data/teacher/assertions/answers/    ids.npy [N, K], log_probabilities.npy [N, K + 1], texts where asked for (its own,
                                    or those of a teacher from outside), and manifest.json with the digests of data
                                    and models they belong to
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from components.config_assertions import AssertionsConfig
from components.data.arrays import write_array
from components.data.buckets import in_order
from components.data.manifest import published, verify, write_manifest
from components.files import sha256_file
from components.losses.distillation import buckets
from components.workload import Workload
from components.workloads.assertions import external_teacher
from components.workloads.assertions.batches import Split, collate, open_split, teacher_batches
from components.workloads.assertions.decode import write
from components.workloads.assertions.encode import load_codec
from components.workloads.assertions.grammar import grammar_of
from components.workloads.assertions.lessons import ANSWERS, MODEL, teacher_folder
from components.workloads.assertions.loss import IGNORED, TEACHER_TERMS
from components.workloads.assertions.model import AssertionWriter, inference_parameters
from components.workloads.assertions.teaching import build_teacher, load_writer, rollout_teacher

VERSION = 1


Learn = Callable[[Workload, Any, Path, Path], Mapping[str, Any]]  # trains a record's model into the last folder


def teach(workload: Workload, section: AssertionsConfig, prepared: Path, learn: Learn, device: str | None) -> str:
    """The stage: what `teach_into` did in the teacher's folder beside the prepared data, in words."""
    folder = teacher_folder(prepared)
    done = teach_into(workload, section, prepared, folder, learn, device)
    if not (done["trained"] or done["answered"]):
        return "the teacher has been trained and has answered, nothing to do"
    return (
        f"teacher of {done['parameters']:,} parameters, objective {done['objective']:.4f}; its answers to the training "
        f"split take {done['bytes'] / 1e6:.1f} MB in {folder / ANSWERS}"
    )


def teach_into(
    workload: Workload,
    section: AssertionsConfig,
    prepared: Path,
    folder: Path,
    learn: Learn,
    device: str | None = None,
) -> dict[str, Any]:
    """Trains the teacher of the section, going on where it was stopped, and keeps its answers; does nothing twice.

    Args:
        learn: trains a record's model; what the trunk's `train` does on the device.

    Returns:
        {"trained", "answered": whether anything was done, "parameters", "bytes": of the answers, "objective"}.

    Raises:
        as `learn`; E_TEACHER (78, 66 or 65) when a teacher from outside is asked for that is not to be had, before
        anything is trained; E_WRITE (73) or E_IO (74) when the answers cannot be written.
    """
    outside = section.teacher.external and external_teacher.digest_of(Path(section.teacher.external))
    own = replace(
        workload,
        batches=teacher_batches,
        build=build_teacher,
        rollout=rollout_teacher,
        terms=TEACHER_TERMS,
        beside=lambda section, prepared: (),
    )
    summary = learn(own, section.of_teacher, prepared, folder / MODEL)
    facts = {
        "workload": "assertions",
        "version": VERSION,
        "prepared": sha256_file(prepared / "manifest.json"),
        "teacher": sha256_file(folder / MODEL / "model.safetensors"),
        "top": section.teacher.top,
        "sequences": section.teacher.sequences,
        "external": outside,
    }
    answers = folder / ANSWERS
    model = load_writer(folder / MODEL)
    due = not _kept(answers, facts)
    if due:
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        _answer(model.to(place), section, prepared, answers, facts, place)
    size = sum(entry["bytes"] for entry in verify(answers)["files"].values())
    return {
        "trained": summary["ran"],
        "answered": due,
        "parameters": inference_parameters(model),
        "bytes": size,
        "objective": summary["objective"],
    }


def _kept(answers: Path, facts: Mapping[str, Any]) -> bool:
    """Whether these very answers lie there undamaged."""
    if not (answers / "manifest.json").is_file():
        return False
    found = verify(answers)
    return all(found.get(name) == value for name, value in facts.items())


def _answer(
    model: AssertionWriter,
    section: AssertionsConfig,
    prepared: Path,
    answers: Path,
    facts: Mapping[str, Any],
    device: torch.device,
) -> None:
    """Writes all answers; they appear whole or not at all."""
    data = open_split(prepared, "train")
    budget = section.teacher.training.batch_tokens
    with published(answers) as part:
        ids, likely = likeliest(model, data, section.teacher.top, budget, device)
        write_array(part / "ids.npy", ids)
        write_array(part / "log_probabilities.npy", likely)
        if section.teacher.sequences:
            written = texts(model, section, data, prepared, device)
            write_array(part / "sequence.npy", np.array([piece for pieces in written for piece in pieces], np.int32))
            ends = np.cumsum([len(pieces) for pieces in written])
            write_array(part / "sequence_offsets.npy", np.concatenate([[0], ends]).astype(np.int64))
        size = sum(path.stat().st_size for path in part.iterdir())
        write_manifest(part, {**facts, "tokens": len(ids), "bytes": size})


@torch.inference_mode()
def likeliest(
    model: AssertionWriter, data: Split, top: int, budget: int, device: torch.device
) -> tuple[NDArray[np.int32], NDArray[np.float16]]:
    """The K likeliest pieces [N, K] at every target position and end mark, in the order of the samples, and
    log-probabilities [N, K + 1] of each and of all others together."""
    offsets = data.target_offsets + np.arange(len(data.target_offsets))
    top = min(top, model.tokens.num_embeddings - 1)
    ids = np.zeros((int(offsets[-1]), top), np.int32)
    likely = np.zeros((int(offsets[-1]), top + 1), np.float16)
    for chosen in in_order(data.lengths, budget):
        batch = {name: tensor.to(device) for name, tensor in collate(data, chosen).items()}
        told, _ = model.write(batch["target_in"], model.read(batch["source"], batch["segments"]))
        found = told.topk(top, dim=-1).indices
        there = (batch["target"] != IGNORED).cpu().numpy()
        at = (offsets[chosen][:, None] + np.arange(there.shape[1]))[there]
        ids[at] = found.cpu().numpy()[there]
        likely[at] = buckets(told, found).clamp_min(-1e4).cpu().numpy()[there]  # the range of float16
    return ids, likely


def texts(
    model: AssertionWriter, section: AssertionsConfig, data: Split, prepared: Path, device: torch.device
) -> list[tuple[int, ...]]:
    """The pieces that are written for every sample: the best of the teacher's beams, or what the teacher from outside
    wrote, with the label in place of what is no assertion."""
    beams, limit = section.teacher.sequences, model.settings.max_tokens
    if section.teacher.external:
        found = external_teacher.texts(Path(section.teacher.external), prepared, beams, limit, device)
        labels = np.split(np.asarray(data.target), data.target_offsets[1:-1])
        return [tuple(label.tolist()) if text is None else text for text, label in zip(found, labels, strict=True)]
    grammar, budget = grammar_of(load_codec(prepared)), section.teacher.training.batch_tokens
    written: list[tuple[int, ...]] = [()] * data.samples
    for chosen in in_order(data.lengths, max(budget // beams, int(data.lengths.max()))):
        batch = {name: tensor.to(device) for name, tensor in collate(data, chosen).items()}
        found = write(model, batch["source"], batch["segments"], grammar, beams, limit)
        for sample, options in zip(chosen.tolist(), found, strict=True):
            written[sample] = options[0].pieces
    return written
