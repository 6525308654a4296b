"""Teacher and student: every term trains, each a weight away; the student reads what it says it reads."""

from __future__ import annotations

import json
import math
from functools import partial

import pytest
import torch

from components.losses.composite import Composite
from components.training.loop import train
from components.training.seeds import seed_everything
from components.workloads.assertions.batches import batches
from components.workloads.assertions.data import samples
from components.workloads.assertions.lessons import MODEL, teacher_folder
from components.workloads.assertions.loss import IGNORED, TERMS
from components.workloads.assertions.predict import load
from components.workloads.assertions.teacher import teach, teach_into
from components.workloads.assertions.teaching import build, rollout
from components.workloads.assertions.workload import WORKLOAD
from tests.workloads.assertions.small import loss, training


def with_loss(section, **other):
    values = loss(**{name: w for name, w in other.items() if name in TERMS})
    values |= {name: w for name, w in other.items() if name not in TERMS}
    return section.model_copy(update={"loss": section.loss.model_validate(values)})


def first_step(section, prepared):
    """(outputs, gradients by name of the model's parameters, report) of a first step on the first batch."""
    seed_everything(1)
    model = build(section, prepared).train()
    batch = next(iter(batches(section, prepared, "train", 0)))
    composite = Composite(TERMS, section.loss)
    (outputs,) = rollout(model, batch, section)
    total, report = composite(outputs, batch, composite.counts([batch], 1), 0.0)
    total.backward()
    return outputs, {name: p.grad for name, p in model.named_parameters()}, report.rows()


@pytest.mark.parametrize("name", list(TERMS))
def test_each_term_alone_reaches_encoder_and_decoder(taught, name):
    section, prepared, _ = taught
    _, gradients, rows = first_step(with_loss(section, **{name: 1.0}), prepared)
    assert rows[name]["n_valid"] > 0
    assert rows[name]["weight"] == 1.0
    for part in ("encoder", "decoder", "tokens"):
        found = [g for n, g in gradients.items() if n.startswith(part) and g is not None]
        assert found and all(g.isfinite().all() for g in found)
        assert max(float(g.abs().max()) for g in found) > 0
    pointed = gradients["pointer.seek.weight"]
    assert (pointed is None) == (name == "hidden")  # states are compared before anything is told


def test_the_teacher_never_gets_a_gradient(taught):
    section, prepared, _ = taught
    outputs, _, _ = first_step(with_loss(section, jsd=1.0, hidden=1.0, on_policy=1.0), prepared)
    for name in ("teacher_logp", "teacher_states", "own_teacher"):
        assert not outputs[name].requires_grad


def test_online_and_kept_distributions_agree(taught):
    section, prepared, _ = taught
    kept, _, kept_rows = first_step(with_loss(section, jsd=1.0, kl=1.0), prepared)
    online, _, online_rows = first_step(with_loss(section, jsd=1.0, kl=1.0, online=True), prepared)
    assert kept["student_logp"].shape == online["student_logp"].shape
    for name in ("jsd", "kl"):
        assert online_rows[name]["raw"] == pytest.approx(kept_rows[name]["raw"], rel=0.02)


def test_a_syntax_penalty_weighs_samples_up_to_it(taught):
    section, prepared, _ = taught
    plain = with_loss(section, ce=1.0)
    values = loss(ce=1.0)
    values["ce"]["syntax_penalty"] = 0.5
    weighed = section.model_copy(update={"loss": section.loss.model_validate(values)})
    _, _, before = first_step(plain, prepared)
    outputs, _, after = first_step(weighed, prepared)
    batch = next(iter(batches(weighed, prepared, "train", 0)))
    there = batch["target"] != IGNORED
    rows = -outputs["logits"].gather(-1, batch["target"].clamp_min(0).unsqueeze(-1)).squeeze(-1) * there
    weights = torch.where(outputs["parses"], 1.0, 1.5).unsqueeze(-1)
    assert outputs["parses"].any() and not outputs["parses"].all()
    assert before["ce"]["raw"] == pytest.approx(float(rows.sum() / there.sum()), rel=1e-5)
    assert after["ce"]["raw"] == pytest.approx(float((rows * weights).sum() / there.sum()), rel=1e-5)


def test_teaching_twice_does_nothing_twice(taught):
    section, prepared, said = taught
    assert said["trained"] and said["answered"]
    learn = partial(train, device="cpu")
    again = teach_into(WORKLOAD, section, prepared, teacher_folder(prepared), learn, "cpu")
    assert not again["trained"] and not again["answered"]
    assert teach(WORKLOAD, section, prepared, learn, "cpu").endswith("nothing to do")


def test_a_student_trains_with_everything_at_once_and_answers(taught, tmp_path):
    section, prepared, _ = taught
    everything = with_loss(section, **dict.fromkeys(TERMS, 0.1) | {"focal": 1.0})
    everything = everything.model_copy(update={"training": everything.training.model_validate(training(epochs=2))})
    summary = train(WORKLOAD, everything, prepared, tmp_path / "student", device="cpu")
    assert summary["ran"] and math.isfinite(summary["objective"])
    lines = [json.loads(line) for line in (tmp_path / "student" / "curves.jsonl").read_text().splitlines()]
    last = next(line for line in reversed(lines) if "terms" in line)
    assert all(row["n_valid"] > 0 for row in last["terms"].values())
    assert sum(row["weight"] for row in last["terms"].values()) == pytest.approx(1.0)
    model = load(tmp_path / "student")
    labelled = list(samples(prepared, "test"))[:6]
    together, alone = model.predict(labelled), [model.predict([one])[0] for one in labelled]
    assert [p.assertion for p in together] == [p.assertion for p in alone]
    assert all(p.assertion.endswith(";") and 0 <= p.confidence <= 1 for p in together)


def test_another_teacher_makes_another_training(taught):
    section, prepared, _ = taught
    manifest = WORKLOAD.beside(section, prepared)
    assert [path.name for path in manifest] == ["manifest.json"]
    online = WORKLOAD.beside(with_loss(section, jsd=1.0, online=True), prepared)
    assert online == (teacher_folder(prepared) / MODEL / "model.json",)


def test_what_a_student_writes_itself_depends_on_the_step_alone(taught):
    section, prepared, _ = taught
    asking = with_loss(section, on_policy=1.0)
    first, again = (first_step(asking, prepared)[0]["own_logits"] for _ in range(2))
    assert torch.equal(first, again)
