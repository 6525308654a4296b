"""One run, from start to finish: what it leaves behind, when it stops, what it must not depend on."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from components.data.manifest import write_manifest
from components.errors import EquipoiseError
from components.files import sha256_file, sha256_tree
from components.losses.contract import Masked
from components.training.interrupt import TrainingInterrupted
from components.training.loop import train
from tests.training import toy

STEPS = 9  # 44 samples in batches of 8, two a step, three epochs


class Killed(Exception):
    """Ends a run in the middle, as abruptly as an exception can."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.prepare(toy.section(), tmp_path_factory.mktemp("toy") / "prepared")


@pytest.fixture(scope="module")
def uninterrupted(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    summary = run(prepared, folder)
    assert summary["steps"] == STEPS
    return folder


def run(prepared: Path, folder: Path, on_report: Any = None, **changes: Any) -> dict[str, Any]:
    settings = toy.section(**changes)
    return train(toy.WORKLOAD, settings, prepared, folder, device="cpu", on_report=on_report)


def curves(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "curves.jsonl").read_text().splitlines()]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_a_finished_folder_holds_what_serving_needs(uninterrupted: Path) -> None:
    names = sorted(p.relative_to(uninterrupted).as_posix() for p in uninterrupted.rglob("*") if p.is_file())
    assert names == ["curves.jsonl", "model.json", "model.safetensors", "resume/finished.json", "tokenizer.json"]
    card = json.loads((uninterrupted / "model.json").read_text())
    assert card["kind"] == "trm"
    assert card["workload"] == "toy"
    assert card["section"]["model"] == {"width": 12, "steps": 3, "dropout": 0.2}
    assert card["threads"] == 1
    assert card["numerics"] == {"device": "cpu", "precision": "fp32"}
    assert card["files"]["model.safetensors"] == sha256_file(uninterrupted / "model.safetensors")


def test_it_learns(prepared: Path, tmp_path: Path) -> None:
    run(prepared, tmp_path, training__epochs=40, model__dropout=0.0, training__checkpoint_every=1000)
    lines = curves(tmp_path)
    validations = [line["validation"] for line in lines if "validation" in line]
    assert validations[-1]["objective"] > validations[0]["objective"] / 3
    assert validations[-1]["above/accuracy"] >= 0.8


def test_report_adds_up(uninterrupted: Path) -> None:
    reports = [line for line in curves(uninterrupted) if "terms" in line]
    assert [line["step"] for line in reports] == list(range(1, STEPS + 1))
    for line in reports:
        shares = sum(term["share"] for term in line["terms"].values())
        assert line["loss"] == pytest.approx(shares, rel=1e-5)
    first = reports[0]
    assert first["terms"]["above"]["n_valid"] == 16 * 3  # every supervision step
    assert first["terms"]["size"]["n_valid"] <= 16  # the last one only
    assert first["learning_rate"] == pytest.approx(0.01 * (0.5 / STEPS) / 0.2)


def test_longer_windows_report_means_of_their_steps(prepared: Path, tmp_path: Path, uninterrupted: Path) -> None:
    run(prepared, tmp_path, training__report_every=3)
    each = [line for line in curves(uninterrupted) if "terms" in line]
    for number, line in enumerate(line for line in curves(tmp_path) if "terms" in line):
        part = each[3 * number : 3 * number + 3]
        assert line["loss"] == pytest.approx(np.mean([p["loss"] for p in part]), rel=1e-6)
        assert line["terms"]["size"]["n_valid"] == sum(p["terms"]["size"]["n_valid"] for p in part)


def test_second_call_has_nothing_to_do(prepared: Path, uninterrupted: Path) -> None:
    before = sha256_tree(uninterrupted)
    again = run(prepared, uninterrupted, on_report=lambda line: pytest.fail("it trained"))
    assert again["ran"] is False
    assert again["steps"] == STEPS
    assert sha256_tree(uninterrupted) == before


@pytest.mark.parametrize("name", ["model.safetensors", "model.json", "curves.jsonl", "tokenizer.json"])
def test_a_damaged_finished_model_is_trained_again(
    prepared: Path, tmp_path: Path, uninterrupted: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(prepared, tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[-2] ^= 1
    (tmp_path / name).write_bytes(content)
    assert run(prepared, tmp_path)["ran"] is True
    assert f"{name} is damaged" in capsys.readouterr().err
    assert sha256_tree(tmp_path) == sha256_tree(uninterrupted)


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_killed_after_any_step_ends_in_the_same_bytes(
    prepared: Path, tmp_path: Path, uninterrupted: Path, step: int
) -> None:
    def kill(line: dict[str, Any]) -> None:
        if line["step"] == step:
            raise Killed

    with pytest.raises(Killed):
        run(prepared, tmp_path, on_report=kill)
    run(prepared, tmp_path)
    assert sha256_tree(tmp_path) == sha256_tree(uninterrupted)


@pytest.mark.parametrize("step", [1, 3, 4, STEPS])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_saves_and_says_how_to_go_on(
    prepared: Path, tmp_path: Path, uninterrupted: Path, step: int, number: signal.Signals
) -> None:
    handler = signal.getsignal(number)

    def interrupt(line: dict[str, Any]) -> None:
        if line["step"] == step and "terms" in line:
            os.kill(os.getpid(), number)

    with pytest.raises(TrainingInterrupted, match=f"after step {step}; its state is saved .* same command again"):
        run(prepared, tmp_path, on_report=interrupt, training__checkpoint_every=1000)
    assert signal.getsignal(number) is handler
    seen: list[int] = []
    run(prepared, tmp_path, on_report=lambda line: seen.append(line["step"]), training__checkpoint_every=1000)
    assert [s for s in seen if s <= step and s not in (3, 6, 9)] == []
    assert (tmp_path / "model.safetensors").read_bytes() == (uninterrupted / "model.safetensors").read_bytes()
    assert (tmp_path / "curves.jsonl").read_bytes() == (uninterrupted / "curves.jsonl").read_bytes()


def interrupted_at(prepared: Path, folder: Path, step: int, **changes: Any) -> None:
    def interrupt(line: dict[str, Any]) -> None:
        if line["step"] == step:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingInterrupted):
        run(prepared, folder, on_report=interrupt, **changes)


@pytest.mark.parametrize(
    "changes", [{"training__learning_rate": 0.02}, {"model__dropout": 0.1}, {"training__seed": 4}, {"model__width": 8}]
)
def test_changed_parameters_start_afresh(
    prepared: Path, tmp_path: Path, changes: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted_at(prepared, tmp_path / "old", 5)
    seen: list[int] = []
    run(prepared, tmp_path / "old", on_report=lambda line: seen.append(line["step"]), **changes)
    assert seen[0] == 1
    assert "training starts afresh" in capsys.readouterr().err
    run(prepared, tmp_path / "clean", **changes)
    assert sha256_tree(tmp_path / "old") == sha256_tree(tmp_path / "clean")


def test_changed_data_start_afresh(prepared: Path, tmp_path: Path) -> None:
    other = toy.prepare(toy.section(data__samples=40), tmp_path / "other")
    interrupted_at(prepared, tmp_path / "run", 5)
    seen: list[int] = []
    run(other, tmp_path / "run", on_report=lambda line: seen.append(line["step"]))
    assert seen[0] == 1


def test_an_unfinished_recipe_hides_the_model_of_the_last_one(prepared: Path, tmp_path: Path) -> None:
    run(prepared, tmp_path)
    interrupted_at(prepared, tmp_path, 5, training__seed=8)
    assert not (tmp_path / "model.json").exists()
    assert not (tmp_path / "model.safetensors").exists()


def test_damaged_checkpoint_falls_back_and_ends_the_same(
    prepared: Path, tmp_path: Path, uninterrupted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted_at(prepared, tmp_path, 5)
    newest = max((tmp_path / "resume").glob("slot-*.json"), key=lambda p: json.loads(p.read_text())["serial"])
    damaged = newest.with_suffix(".safetensors")
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 16
    damaged.write_bytes(content)
    run(prepared, tmp_path)
    assert "is damaged" in capsys.readouterr().err
    assert sha256_tree(tmp_path) == sha256_tree(uninterrupted)


def test_foreign_curves_are_not_continued(prepared: Path, tmp_path: Path, uninterrupted: Path) -> None:
    interrupted_at(prepared, tmp_path, 5)
    (tmp_path / "curves.jsonl").write_text('{"step": 1}\n')
    run(prepared, tmp_path)
    assert sha256_tree(tmp_path) == sha256_tree(uninterrupted)


@pytest.mark.parametrize("objectives", [[1.0, 3.0, 2.0, 3.0, 9.0], [1.0, 1.0, 1.0, 1.0, 1.0]])
def test_early_stopping_keeps_the_best(prepared: Path, tmp_path: Path, objectives: list[float]) -> None:
    judged: list[dict[str, torch.Tensor]] = []

    def judge(model: torch.nn.Module, *rest: Any) -> dict[str, float]:
        judged.append({name: t.clone() for name, t in model.state_dict().items()})
        return {"objective": objectives[len(judged) - 1]}

    settings = toy.section(training__epochs=5, training__patience=2)
    workload = replace(toy.WORKLOAD, validate=judge)
    summary = train(workload, settings, prepared, tmp_path, device="cpu")
    best = objectives.index(max(objectives[:4]))
    assert summary["epochs"] == best + 3  # two epochs without a better one; an equal one is not better
    assert summary["best_epoch"] == best + 1
    assert summary["objective"] == objectives[best]
    for name, tensor in weights(tmp_path).items():
        assert torch.equal(tensor, judged[best][name])


def test_micro_batches_give_the_step_of_one_big_batch(prepared: Path, tmp_path: Path) -> None:
    settings = {"model__dropout": 0.0, "training__checkpoint_every": 1000}
    run(prepared, tmp_path / "whole", data__batch=16, training__accumulate=1, **settings)
    run(prepared, tmp_path / "half", data__batch=8, training__accumulate=2, **settings)
    run(prepared, tmp_path / "quarter", data__batch=4, training__accumulate=4, **settings)
    whole = weights(tmp_path / "whole")
    for name in ("half", "quarter"):
        for key, tensor in weights(tmp_path / name).items():
            torch.testing.assert_close(tensor, whole[key], atol=1e-6, rtol=0)


def broken_term(sample: int, value: float) -> Any:
    def loss(outputs: Any, batch: Any, settings: Any) -> Masked:
        values, valid = toy.size_loss(outputs, batch, settings)
        return Masked(values.masked_fill(batch["sample_id"] == sample, value), valid)

    return replace(toy.TERMS["size"], loss=loss)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_loss_names_term_step_and_sample_and_keeps_the_checkpoint(
    prepared: Path, tmp_path: Path, value: float
) -> None:
    order = np.random.default_rng([3, 1]).permutation(44)
    sample = int(next(i for i in order[16:32] if i % 3))  # second step of the second epoch
    poisoned = replace(
        toy.WORKLOAD,
        terms={**toy.TERMS, "size": broken_term(sample, value)},
        batches=lambda *a: toy.batches(*a) if a[3] else _without(toy.batches(*a), sample),
    )
    with pytest.raises(EquipoiseError) as caught:
        train(poisoned, toy.section(training__checkpoint_every=1), prepared, tmp_path, device="cpu")
    assert caught.value.code == "E_NONFINITE"
    assert caught.value.exit_code == 65
    assert "loss.size at step 5" in str(caught.value)
    assert str(sample) in caught.value.place
    slots = [json.loads(p.read_text()) for p in (tmp_path / "resume").glob("slot-*.json")]
    assert max(s["state"]["position"]["step"] for s in slots) == 4


def _without(batches: Iterator[Any], sample: int) -> Iterator[Any]:
    for batch in batches:
        yield {**batch, "sample_id": torch.where(batch["sample_id"] == sample, -1, batch["sample_id"])}


def test_non_finite_gradient_names_the_parameter(prepared: Path, tmp_path: Path) -> None:
    def loss(outputs: Any, batch: Any, settings: Any) -> Masked:
        values, valid = toy.size_loss(outputs, batch, settings)
        return Masked((values - values.detach()).abs().sqrt(), valid)  # 0 with an infinite slope

    workload = replace(toy.WORKLOAD, terms={**toy.TERMS, "size": replace(toy.TERMS["size"], loss=loss)})
    with pytest.raises(EquipoiseError, match=r"E_NONFINITE gradient of .* at step 1, samples \[") as caught:
        train(workload, toy.section(), prepared, tmp_path, device="cpu")
    assert "size.weight" in caught.value.place or "embed" in caught.value.place


def test_non_finite_objective_stops(prepared: Path, tmp_path: Path) -> None:
    workload = replace(toy.WORKLOAD, validate=lambda *a: {"objective": float("nan")})
    with pytest.raises(EquipoiseError, match="E_NONFINITE validation after epoch 1"):
        train(workload, toy.section(), prepared, tmp_path, device="cpu")


def test_damaged_data_are_refused(tmp_path: Path) -> None:
    folder = toy.prepare(toy.section(), tmp_path / "prepared")
    content = bytearray((folder / "train.npy").read_bytes())
    content[-1] ^= 1
    (folder / "train.npy").write_bytes(content)
    with pytest.raises(EquipoiseError, match=r"E_MANIFEST .*train.npy"):
        run(folder, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_no_training_samples(tmp_path: Path) -> None:
    folder = toy.prepare(toy.section(), tmp_path / "prepared")
    np.save(folder / "train.npy", np.zeros((0, toy.FEATURES), dtype=np.float32))
    write_manifest(folder, {})
    with pytest.raises(EquipoiseError, match="must hold training samples, got none"):
        run(folder, tmp_path / "run")


def test_bf16_trains_close_to_fp32_and_keeps_float32_weights(
    prepared: Path, tmp_path: Path, uninterrupted: Path
) -> None:
    run(prepared, tmp_path, training__precision="bf16")
    reference = weights(uninterrupted)
    for name, tensor in weights(tmp_path).items():
        assert tensor.dtype is torch.float32
        torch.testing.assert_close(tensor, reference[name], atol=0.03, rtol=0.1)
    assert json.loads((tmp_path / "model.json").read_text())["numerics"]["precision"] == "bf16"
