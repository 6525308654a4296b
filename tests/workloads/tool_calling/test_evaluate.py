"""Evaluation end to end on a small embedded data set: what stands in its files, and that a rerun changes nothing."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from components.config import load_config
from components.errors import EquipoiseError
from components.evaluation.predictions import read_predictions
from components.workloads.tool_calling import baseline
from components.workloads.tool_calling.data import generate, prepare, samples
from components.workloads.tool_calling.evaluate import evaluate, predict_and_score
from components.workloads.tool_calling.metrics import score, values
from components.workloads.tool_calling.sgd import read_sgd

PARAMS = Path(__file__).parents[3] / "params.yaml"
SGD = PARAMS.parents[1] / "shared" / "data" / "toolcall"
FILES = {"predictions.parquet", "metrics.json", "report.json", "report.md", "slices.json", "reliability.png"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """(section, prepared folder, out folder) after one evaluation of the linear baseline itself."""
    root = tmp_path_factory.mktemp("evaluate")
    section = load_config(PARAMS).tool_calling
    data = section.data.model_copy(
        update={"source": str(root / "raw"), "embedded_conversations": 80, "vocabulary": 400}
    )
    evaluation = section.evaluation.model_copy(update={"resamples": 100, "minimum_slice": 10})
    section = section.model_copy(update={"data": data, "evaluation": evaluation})
    generate(section, root / "raw")
    prepare(section, root / "prepared")
    baseline.fit_baseline(section, root / "prepared", root / "model")
    document = evaluate(section, root / "prepared", root / "model", root / "out", baseline.load)
    return section, root, document


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_files_of_an_evaluation(place):
    _, root, document = place
    found = contents(root / "out")
    assert {name for name in found if "/" not in name} == FILES
    assert {name.removeprefix("baseline/") for name in found if "/" in name} == set(baseline.FILES)
    assert json.loads(found["metrics.json"]) == document
    labelled = list(samples(root / "prepared", "test"))
    table = read_predictions(root / "out" / "predictions.parquet")
    assert table["id"].to_list() == [sample.id for sample in labelled]
    assert document["workload"] == "tool_calling"
    assert (document["split"], document["n"]) == ("test", len(labelled))


def test_metrics_are_flat_and_named_by_split_head_and_metric(place):
    document = place[2]
    assert set(document["baselines"]) == {"majority", "linear"}
    for metrics in (document["metrics"], *document["baselines"].values()):
        assert all(name.startswith("test/") and name.count("/") == 2 for name in metrics)
        assert all(isinstance(value, float) for value in metrics.values())
    assert document["metrics"] == document["baselines"]["linear"]  # the model judged is that baseline
    majority = document["baselines"]["majority"]
    assert majority["test/decision/auroc"] == 0.5
    assert majority["test/decision/accuracy"] < document["metrics"]["test/decision/accuracy"]


def test_the_table_gives_the_metrics_back(place):
    _, root, document = place
    table = read_predictions(root / "out" / "predictions.parquet")
    for head in ("decision/accuracy", "tool/accuracy", "slots/exact_match", "arguments/exact_match", "call/accuracy"):
        expected = table[f"{head}/hit"].sum() / table[f"{head}/of"].sum()
        assert document["metrics"][f"test/{head}"] == pytest.approx(expected)
    calls = table.filter(pl.col("decision_label") == 1)
    assert set(calls["tool_label"].unique()) - baseline.load(root / "out" / "baseline").tools == set(
        calls.filter(~pl.col("seen"))["tool_label"].unique()
    )


def test_the_report_has_intervals_differences_and_calibration(place):
    _, root, document = place
    report = json.loads((root / "out" / "report.json").read_text())
    for name, value in document["metrics"].items():
        row = report["metrics"][name]
        assert row["value"] == value
        assert row["low"] <= row["high"]
    assert {v for row in report["model_minus_linear"].values() for v in row.values()} == {0.0}
    assert sum(row["count"] for row in report["calibration"]["model"]) == document["n"]
    text = (root / "out" / "report.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("| decision/accuracy ")]
    assert f"{document['metrics']['test/decision/accuracy']:.4f} [" in lines[0]


def test_every_sample_is_in_one_slice_of_each_kind(place):
    _, root, document = place
    rows = json.loads((root / "out" / "slices.json").read_text())
    sizes = {}
    for row in rows:
        sizes[row["slice"]] = sizes.get(row["slice"], 0) + row["n"]
        assert row["judged"] == (row["n"] >= 10)
        assert bool(row["metrics"]) == row["judged"]
    assert sizes["decision"] == sizes["messages"] == sizes["seen"] == document["n"]


def test_a_rerun_gives_the_same_bytes(place, tmp_path):
    section, root, _ = place
    evaluate(section, root / "prepared", root / "model", tmp_path / "again")  # read as model.json says
    assert contents(tmp_path / "again") == contents(root / "out")


def test_a_failed_evaluation_leaves_what_was_there(place, tmp_path):
    section, root, _ = place
    out = tmp_path / "out"
    out.mkdir()
    (out / "metrics.json").write_text("earlier")
    with pytest.raises(EquipoiseError, match="E_MISSING"):
        evaluate(section, root / "prepared", root / "nothing", out, baseline.load)
    with pytest.raises(EquipoiseError, match="E_MISSING"):
        evaluate(section, root / "nothing", root / "model", out, baseline.load)
    assert contents(tmp_path) == {"out/metrics.json": b"earlier"}


def test_chunks_do_not_show(place, monkeypatch):
    _, root, _ = place
    model = baseline.load(root / "model")
    labelled = list(samples(root / "prepared", "test"))[:25]
    whole = score(labelled, model.predict(labelled, [s.labels.tool for s in labelled]), model.tools)
    monkeypatch.setattr("components.workloads.tool_calling.evaluate.CHUNK", 7)
    pieces = predict_and_score({"model": model}, iter(labelled), model.tools)
    assert pieces["model"].equals(whole)
    assert predict_and_score({"model": model}, iter([]), None)["model"].is_empty()


def test_predictors_never_see_the_labels_they_are_judged_by(place):
    """A prediction must not change when the labels do: only `given` may tell, and only the arguments of that tool."""
    _, root, _ = place
    model = baseline.load(root / "model")
    labelled = list(samples(root / "prepared", "test"))[:40]
    blind = [replace(sample, labels=None) for sample in labelled]
    assert model.predict(labelled) == model.predict(blind)


@pytest.mark.real_data
@pytest.mark.skipif(not SGD.is_dir(), reason=f"the public dialogues are not at {SGD}")
def test_the_linear_baseline_is_strong_on_real_dialogues():
    """A part of Schema-Guided Dialogue; trained on all of it the baseline has accuracy .907 on all of dev."""
    train = [s for _, s in itertools.islice(read_sgd(SGD / "sgd_train40.tar.gz"), 0, 16_000, 2)]
    dev = [s for _, s in itertools.islice(read_sgd(SGD / "sgd_dev.tar.gz"), 0, 8_000, 4)]
    model = baseline.fit(iter(train), minimum=3, strength=10.0, passes=5)
    frames = predict_and_score({"linear": model, "majority": baseline.majority(model)}, dev, model.tools)
    linear, majority = (values(frames[name], 15) for name in ("linear", "majority"))
    assert 0.7 < majority["decision/accuracy"] < 0.75
    assert linear["decision/accuracy"] > 0.83
    assert linear["decision/auroc"] > 0.89
    assert linear["tool/accuracy_seen"] > 0.9
    assert linear["tool/accuracy_unseen"] > 0.75
    assert linear["slots/exact_match_seen"] > 0.5
    assert linear["arguments/exact_match_seen"] > 0.55
