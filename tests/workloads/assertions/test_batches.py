"""Batches: every sample once an epoch, padded as said, a pure function of seed and epoch; the teacher's answers beside
the tokens they belong to."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from components.errors import EquipoiseError, Exit
from components.losses.distillation import buckets
from components.workloads.assertions.batches import batches, collate, open_split, targets
from components.workloads.assertions.encode import BOS, EOS, PAD
from components.workloads.assertions.lessons import ANSWERS, MODEL, asked_of, open_lessons, teacher_folder
from components.workloads.assertions.teaching import load_writer
from tests.workloads.assertions.small import loss


def test_targets_by_hand():
    flat, offsets = np.array([7, 8, 9], np.int32), np.array([0, 2, 3])
    inputs, outputs = targets(flat, offsets, np.array([1, 0]))
    assert inputs.tolist() == [[BOS, 9, PAD], [BOS, 7, 8]]
    assert outputs.tolist() == [[9, EOS, -1], [7, 8, EOS]]


def test_an_epoch_holds_every_sample_once_within_the_budget(small):
    section, prepared = small
    plain = section.model_copy(update={"loss": section.loss.model_validate(loss(focal=1.0))})
    data = open_split(prepared, "train")
    seen = []
    for batch in batches(plain, prepared, "train", 0):
        seen += batch["sample_id"].tolist()
        tokens = (batch["source"] != PAD).sum(1) + (batch["target"] >= 0).sum(1)
        assert tokens.tolist() == data.lengths[batch["sample_id"].numpy()].tolist()
        assert int(tokens.max()) * len(tokens) <= plain.training.batch_tokens
    assert sorted(seen) == list(range(data.samples))


def test_batches_depend_on_seed_and_epoch_alone(small):
    section, prepared = small
    plain = section.model_copy(update={"loss": section.loss.model_validate(loss(focal=1.0))})
    first, again, other = ([b["sample_id"].tolist() for b in batches(plain, prepared, "train", e)] for e in (0, 0, 1))
    assert first == again
    assert first != other


def test_the_teachers_answers_stand_beside_their_tokens(taught):
    section, prepared, _ = taught
    lessons = open_lessons(section, prepared)
    assert lessons is not None
    batch = collate(open_split(prepared, "train"), np.array([5, 0, 9]), lessons)
    model = load_writer(teacher_folder(prepared) / MODEL)
    told, _ = model.write(batch["target_in"], model.read(batch["source"], batch["segments"]))
    there = batch["target"] >= 0
    assert_close(batch["teacher_logp"][there], buckets(told, batch["teacher_ids"])[there], atol=2e-2, rtol=2e-3)
    assert_close(batch["teacher_logp"][there].exp().sum(-1), torch.ones(int(there.sum())), atol=5e-3, rtol=0)
    likeliest = told.topk(section.teacher.top, dim=-1).indices
    assert batch["teacher_ids"][there].sort(-1).values.equal(likeliest[there].sort(-1).values)


def test_nobody_is_asked_where_no_term_asks(small):
    section, prepared = small
    plain = section.model_copy(update={"loss": section.loss.model_validate(loss(ce=1.0, pans=0.5, semantic=0.5))})
    assert open_lessons(plain, prepared) is None
    assert asked_of(plain, prepared) == ()


@pytest.mark.parametrize("weights", [{"jsd": 1.0}, {"kl": 1.0}, {"sequence": 1.0}, {"hidden": 1.0}, {"on_policy": 1.0}])
def test_a_teacher_that_is_not_there_is_named(small, weights):
    section, prepared = small
    asking = section.model_copy(update={"loss": section.loss.model_validate(loss(**weights))})
    with pytest.raises(EquipoiseError, match="E_TEACHER") as stop:
        asked_of(asking, prepared)
    assert stop.value.exit_code == Exit.MISSING_INPUT
    assert "teacher@assertions" in str(stop.value)


def test_answers_to_other_data_are_refused(taught, tmp_path):
    section, prepared, _ = taught
    moved = tmp_path / "prepared" / "assertions"
    moved.mkdir(parents=True)
    (moved / "manifest.json").write_text("{}")
    (tmp_path / "teacher").mkdir()
    (tmp_path / "teacher" / "assertions").symlink_to(teacher_folder(prepared))
    with pytest.raises(EquipoiseError, match=r"E_TEACHER .*must be to the prepared data"):
        open_lessons(section, moved)


def test_the_manifest_states_what_was_kept(taught):
    _, prepared, said = taught
    facts = json.loads((teacher_folder(prepared) / ANSWERS / "manifest.json").read_text())
    data = open_split(prepared, "train")
    assert facts["tokens"] == int(data.target_offsets[-1]) + data.samples
    assert facts["bytes"] == said["bytes"] > 0
    assert set(facts["files"]) == {"ids.npy", "log_probabilities.npy", "sequence.npy", "sequence_offsets.npy"}
