"""The teacher's part: its training, and its place beside a student that learns from it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from components.config_distillation import AssertionsModel
from components.data.model_folder import read_card
from components.errors import bad_data
from components.losses.contract import Batch, Outputs
from components.losses.distillation import buckets
from components.workloads.assertions.encode import EOS, TOKENIZER, load_codec
from components.workloads.assertions.java_syntax import is_statement
from components.workloads.assertions.lessons import teacher_card, teacher_folder
from components.workloads.assertions.loss import IGNORED
from components.workloads.assertions.model import AssertionWriter, start
from components.workloads.assertions.piece_table import piece_table


def build(section: Any, prepared: Path) -> AssertionWriter:
    """A freshly initialised student; the caller has seeded torch."""
    width = section.teacher.model.width if section.loss.hidden.weight > 0 else None
    model = AssertionWriter(section.model, load_codec(prepared).size, width)
    if section.loss.semantic.weight > 0:
        model.pieces = piece_table(section.loss.semantic, prepared)
    if section.loss.asks_teacher_online:
        model.teacher = teacher_folder(prepared)
    return _with_codec(model, section, prepared)


def build_teacher(section: Any, prepared: Path) -> AssertionWriter:
    """A freshly initialised teacher."""
    return _with_codec(AssertionWriter(section.model, load_codec(prepared).size), section, prepared)


def _with_codec(model: AssertionWriter, section: Any, prepared: Path) -> AssertionWriter:
    if _asks_syntax(section):
        model.codec = load_codec(prepared)
    return model


def rollout_teacher(model: nn.Module, batch: Batch, section: Any) -> Iterator[Outputs]:
    """One pass over a batch with the labels alone."""
    assert isinstance(model, AssertionWriter)
    logits, _ = model.write(batch["target_in"], model.read(batch["source"], batch["segments"]))
    yield {"logits": logits} | _syntax(model, logits, batch, section)


def rollout(model: nn.Module, batch: Batch, section: Any) -> Iterator[Outputs]:
    """One pass of a student over a batch, with what its terms ask of the teacher and of its own writing.

    Yields:
        logits [B, T, V]; pieces [V, E] of the semantic term; student_logp, teacher_logp [B, T, K + 1] over the
        teacher's likeliest pieces and all others as one; projected, teacher_states [B, T, D]; sequence_logits
        [B, T', V]; own_logits, own_teacher [B, T, K + 1] over text of the student's own; parses [B].

    Raises:
        EquipoiseError: E_TEACHER (66) when a term asks for a teacher that is not there.
    """
    assert isinstance(model, AssertionWriter)
    loss, top = section.loss, section.teacher.top
    read = model.read(batch["source"], batch["segments"])
    logits, states = model.write(batch["target_in"], read)
    outputs = {"logits": logits} | _syntax(model, logits, batch, section)
    if model.pieces is not None:
        outputs["pieces"] = model.pieces
    teacher = teacher_beside(logits.device, model.teacher) if model.teacher is not None else None
    if teacher is not None:
        with torch.no_grad():
            heard = teacher.read(batch["source"], batch["segments"])
            told, thoughts = teacher.write(batch["target_in"], heard)
        if loss.online and (loss.jsd.weight > 0 or loss.kl.weight > 0):
            outputs |= _compared("student_logp", "teacher_logp", logits, told, top)
        if model.to_teacher is not None:
            outputs |= {"projected": model.to_teacher(states), "teacher_states": thoughts}
        if loss.on_policy.weight > 0:
            own = _own_writing(model, batch)
            with torch.no_grad():
                judged, _ = teacher.write(own, heard)
            outputs |= _compared("own_logits", "own_teacher", model.write(own, read)[0], judged, top)
    if "teacher_ids" in batch:
        outputs |= {"student_logp": buckets(logits, batch["teacher_ids"]), "teacher_logp": batch["teacher_logp"]}
    if "sequence" in batch:
        outputs["sequence_logits"], _ = model.write(batch["sequence_in"], read)
    yield outputs


def _compared(own: str, others: str, student: Tensor, teacher: Tensor, top: int) -> dict[str, Tensor]:
    ids = teacher.topk(min(top, teacher.shape[-1] - 1), dim=-1).indices
    return {own: buckets(student, ids), others: buckets(teacher, ids)}


@torch.no_grad()
def _own_writing(model: AssertionWriter, batch: Batch) -> Tensor:
    """What the student would draw, piece by piece, as many as the reference has: [B, T] inputs like target_in.

    Nothing of it reaches the gradient, and it is drawn from the random numbers of the step.
    """
    training = model.training
    model.eval()
    read = model.read(batch["source"], batch["segments"])
    recent, written = start(len(batch["target"]), batch["target"].device), None
    pieces = [recent[:, -1]]
    for position in range(batch["target"].shape[1] - 1):
        told, written = model.next(recent, position, read, written)
        drawn = torch.multinomial(told.exp(), 1)
        recent = torch.cat([recent[:, 1:], drawn], dim=1)
        pieces.append(drawn.squeeze(1))
    model.train(training)
    return torch.stack(pieces, dim=1)


def _asks_syntax(section: Any) -> bool:
    return section.loss.focal.syntax_penalty > 0 or section.loss.ce.syntax_penalty > 0


def _syntax(model: AssertionWriter, logits: Tensor, batch: Batch, section: Any) -> dict[str, Tensor]:
    """parses [B]: whether the likeliest tokens, each after the right ones before it, read as a Java statement."""
    if not _asks_syntax(section):
        return {}
    likeliest, there = logits.detach().argmax(-1).tolist(), (batch["target"] != IGNORED).sum(-1).tolist()
    assert model.codec is not None
    texts = [model.codec.decode(_until_end(row[:n])) for row, n in zip(likeliest, there, strict=True)]
    return {"parses": torch.tensor([is_statement(text) for text in texts], device=logits.device)}


def _until_end(pieces: list[int]) -> list[int]:
    return pieces[: pieces.index(EOS)] if EOS in pieces else pieces


def teacher_beside(device: torch.device, folder: Path) -> AssertionWriter:
    """The trained teacher, for inference only.

    Raises:
        EquipoiseError: E_TEACHER (66) when it has not been trained; E_MODEL (65) when a file was changed.
    """
    card = teacher_card(folder)
    return _load(str(card.parent.resolve()), str(device), card.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _load(place: str, device: str, _changed: int) -> AssertionWriter:
    return load_writer(Path(place)).to(device).eval().requires_grad_(False)


def load_writer(folder: Path) -> AssertionWriter:
    """The model of a trained folder, teacher's or student's.

    Raises:
        EquipoiseError: E_MISSING (66) without a file, E_DATA (65) when the description is not one of a model, E_MODEL
            (65) when a file is not the one that was trained.
    """
    card = read_card(folder, ("model.safetensors", TOKENIZER))
    try:
        settings = AssertionsModel.model_validate(card["section"]["model"])
    except (ValueError, KeyError, TypeError) as error:
        raise bad_data(
            str(folder / "model.json"), "must describe a model", got=str(error), hint="Train the model again"
        ) from error
    model = AssertionWriter(settings, load_codec(folder).size)
    weights = load_file(folder / "model.safetensors")
    model.load_state_dict({name: w for name, w in weights.items() if not name.startswith("to_teacher.")})
    return model.eval()
