"""Evaluation of a student beside its teacher and the cheap rules; what predict and the served model answer."""

from __future__ import annotations

import json
from functools import partial

import polars as pl
import pytest

from components.config_parts import GateConfig
from components.errors import EquipoiseError
from components.evaluation.predictions import read_predictions
from components.training.loop import train
from components.workloads.assertions.data import samples
from components.workloads.assertions.evaluate import costs, evaluate
from components.workloads.assertions.metrics import score, values
from components.workloads.assertions.piece_table import piece_table
from components.workloads.assertions.predict import load
from components.workloads.assertions.workload import WORKLOAD
from tests.workloads.assertions.small import made

RULES = {"teacher", "retrieval", "copy_last", "svm", "majority"}


@pytest.fixture(scope="module")
def judged(taught, tmp_path_factory):
    """(section, prepared folder, checkpoint, folder of the evaluation, what it returned)."""
    section, prepared, _ = taught
    folder = tmp_path_factory.mktemp("judged")
    partial(train, device="cpu")(WORKLOAD, section, prepared, folder / "checkpoint")
    return (
        section,
        prepared,
        folder / "checkpoint",
        folder / "out",
        evaluate(section, prepared, folder / "checkpoint", folder / "out"),
    )


def test_everything_is_there_and_agrees(judged):
    _, prepared, _, out, result = judged
    names = {path.name for path in out.iterdir()}
    assert names == {
        "predictions.parquet", "metrics.json", "report.json", "report.md", "slices.json", "cost.json",
        "reliability.png", "baseline",
    }  # fmt: skip
    assert json.loads((out / "metrics.json").read_text()) == result
    frame = read_predictions(out / "predictions.parquet")
    assert frame.height == result["n"] == len(list(samples(prepared, "test")))
    for head, value in values(frame).items():
        assert result["metrics"][f"test/{head}"] == pytest.approx(value)
    assert set(result["baselines"]) == RULES
    assert set(result["kept"]) == {"similarity/tokens", "type/accuracy"}
    assert result["parameters"]["model"] < result["parameters"]["teacher"]
    text = (out / "report.md").read_text()
    assert "nearest training row" in text and "token similarity" in text
    assert "Whole projects are held out" in text and "leaks" not in text


@pytest.mark.parametrize(("split", "said"), [("file", "within their projects"), ("random", "which **leaks**")])
def test_other_splits_are_judged_alike_and_say_what_they_measure(judged, tmp_path, split, said):
    section, prepared = made(tmp_path, data={"split": split})
    found = evaluate(section, prepared, judged[2], tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    text = (tmp_path / "out" / "report.md").read_text()
    assert report["held_out"] == split and found["n"] == len(list(samples(prepared, "test")))
    assert said in text and ("RetriGen 64.09" in text) == (split == "random")
    assert "its teacher" not in text  # none was trained for these data


def test_the_gate_finds_its_heads_and_cluster(judged):
    section, _, _, out, _ = judged
    frame = read_predictions(out / "predictions.parquet")
    gate: GateConfig = section.gate
    for head in gate.heads:
        assert {f"{head.head}/{head.metric}/hit", f"{head.head}/{head.metric}/of"} <= set(frame.columns)
    assert frame["conversation"].n_unique() > 1


def test_slices_have_the_others_beside(judged):
    rows = json.loads((judged[3] / "slices.json").read_text())
    assert {row["slice"] for row in rows} == {"type", "project", "prior"}
    assert all(set(row["others"]) == RULES for row in rows)


def test_the_first_champion_is_servable_and_scores_alike(judged):
    _, prepared, _, out, result = judged
    labelled = list(samples(prepared, "test"))
    champion = WORKLOAD.load(out / "baseline")
    found = values(score(labelled, champion.predict(labelled)))
    rules = [result["baselines"][name]["test/similarity/tokens"] for name in ("retrieval", "copy_last")]
    assert any(found["similarity/tokens"] == pytest.approx(value) for value in rules)


def test_a_request_is_answered_as_its_sample(judged):
    _, prepared, checkpoint, _, _ = judged
    model = WORKLOAD.load(checkpoint)
    labelled = next(iter(samples(prepared, "test")))
    asked = WORKLOAD.read_request(WORKLOAD.request(labelled), "line 1")
    assert asked.assertion is None
    answers = [WORKLOAD.render(model.predict([pair])[0]) for pair in (labelled, asked)]
    assert answers[0] == answers[1]
    assert set(answers[0]) == {"assertion", "assert_type", "confidence", "alternatives"}


def test_costs_are_of_this_machine(judged):
    _, prepared, checkpoint, _, _ = judged
    found = costs({"model": load(checkpoint)}, list(samples(prepared, "test"))[:5])["model"]
    assert found["cpu_s_per_1000"] > 0 and found["ms_alone"] > 0
    assert found["weights_mb"] == pytest.approx(4 * found["parameters"] / 1e6)


def test_the_table_of_pieces_is_the_same_each_time_and_knows_neighbours(judged):
    section, prepared, *_ = judged
    first, again = piece_table(section.loss.semantic, prepared), piece_table(section.loss.semantic, prepared)
    assert first.equal(again)
    assert first.shape[1] == section.loss.semantic.width
    assert first.isfinite().all() and first.abs().max() > 0
    minilm = section.loss.semantic.model_copy(update={"pieces": "minilm"})
    with pytest.raises(EquipoiseError, match=r"E_EXTRA .*needs the extra"):
        piece_table(minilm, prepared)


def test_predictions_say_where_each_row_stands(judged):
    frame = read_predictions(judged[3] / "predictions.parquet")
    assert (
        frame.select(pl.col("exact_match/with_prior/of") + pl.col("exact_match/without_prior/of"))
        .to_series()
        .eq(1)
        .all()
    )
    assert (frame["exact_match/copyable/of"] == frame["copyable"].cast(pl.Float64)).all()
