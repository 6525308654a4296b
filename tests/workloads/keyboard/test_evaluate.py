"""Evaluation leaves everything it promises, and the first champion serves from where it lies."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from components.errors import EquipoiseError
from components.evaluation.predictions import judged, read_predictions
from components.workloads.keyboard import baseline, predict, weighing
from components.workloads.keyboard.data import samples
from components.workloads.keyboard.evaluate import costs, evaluate
from components.workloads.keyboard.metrics import HEADS
from tests.workloads.keyboard.small import prepared_small
from tests.workloads.keyboard.small_models import drawn_model, model_folder, section_of

FILES = {
    "predictions.parquet", "metrics.json", "report.json", "report.md", "slices.json", "reliability.png", "routing.png",
    "cost.json", "baseline",
}  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("keyboard")
    prepared, section = prepared_small(folder, test_share=0.45), section_of()
    checkpoint = model_folder(drawn_model(section, prepared), prepared, folder / "model")
    return folder / "out", evaluate(section, prepared, checkpoint, folder / "out", predict.load), prepared


def test_everything_is_there(done: tuple[Path, dict[str, Any], Path]) -> None:
    out, result, prepared = done
    assert {path.name for path in out.iterdir()} == FILES
    assert json.loads((out / "metrics.json").read_text()) == result
    frame = read_predictions(out / "predictions.parquet")
    assert judged(frame) == list(HEADS)
    assert frame.height == result["n"] == sum(1 for _ in samples(prepared, "test"))


def test_numbers_are_numbers_in_their_range(done: tuple[Path, dict[str, Any], Path]) -> None:
    out, result, _ = done
    tables = [result["metrics"], *result["baselines"].values(), *result["typed"].values()]
    for table in tables:
        assert table
        assert all(0 <= value <= 1 for value in table.values())
    assert all(math.isfinite(value) and -1 <= value <= 1 for value in result["eyes"].values())
    assert result["words"] == 120
    assert sum(result["routing"][key] for key in ("least", "most")) <= 1
    assert 0 <= result["retrieval"]["to_text"] <= 1 and result["retrieval"]["chance"] < 1
    cost = json.loads((out / "cost.json").read_text())
    assert all(cost[name]["ms_key_p95"] >= cost[name]["ms_key_median"] > 0 for name in ("model", "ngram", "frequent"))
    assert cost["model"]["megabytes"] < 1


def test_the_cheap_keyboard_knows_more_than_drawn_weights(done: tuple[Path, dict[str, Any], Path]) -> None:
    _, result, _ = done
    for key in ("en/top3", "en/keys_saved", "zh/top3"):
        assert result["typed"]["ngram"][key] > result["parts"]["network"][key]
        assert result["typed"]["model"][key] > result["parts"]["network"][key]


def test_slices_stand_beside_the_baseline(done: tuple[Path, dict[str, Any], Path]) -> None:
    out, _, _ = done
    rows = json.loads((out / "slices.json").read_text())
    assert {row["slice"] for row in rows} == {"language", "source", "task", "layout", "switch", "screen"}
    switch = next(row for row in rows if (row["slice"], row["value"]) == ("switch", "switch"))
    assert switch["others"]["frequent"]["layout/accuracy"] == 0  # the shown layout stays
    stay = next(row for row in rows if (row["slice"], row["value"]) == ("switch", "stay"))
    assert stay["others"]["frequent"]["layout/accuracy"] == 1


def test_the_first_champion_serves(done: tuple[Path, dict[str, Any], Path]) -> None:
    out, result, prepared = done
    events = list(samples(prepared, "test"))
    answers = baseline.load(out / "baseline").predict(events)
    hits = [answer.task == event.labels.task for answer, event in zip(answers, events, strict=True) if event.labels]
    assert sum(hits) / len(hits) == pytest.approx(result["baselines"]["ngram"]["test/task/accuracy"])


def test_the_page_says_what_was_found(done: tuple[Path, dict[str, Any], Path]) -> None:
    out, result, _ = done
    page = (out / "report.md").read_text()
    assert f"| slips seen and corrected | {result['metrics']['test/correction/accuracy']:.3f} [" in page
    for title in ("Typed key by key", "Corrections, at most 5.0%", "The screen", "Experts", "chance is"):
        assert title in page
    assert "nan" not in page


def test_a_baseline_can_be_judged_too(done: tuple[Path, dict[str, Any], Path], tmp_path: Path) -> None:
    out, first, prepared = done
    result = evaluate(section_of(), prepared, out / "baseline", tmp_path / "out", baseline.load)
    assert result["metrics"] == pytest.approx(first["baselines"]["ngram"])
    assert result["routing"] == {} and result["eyes"] == {} and "retrieval" not in result
    assert not (tmp_path / "out" / "routing.png").exists()
    assert "sees no screens" in (tmp_path / "out" / "report.md").read_text()


def test_validation_chooses_what_the_counts_say(done: tuple[Path, dict[str, Any], Path]) -> None:
    _, result, prepared = done
    chosen = result["mixture"]
    assert chosen["counts"] > 0.5  # beside drawn weights
    section = section_of()
    model = predict.of_model(drawn_model(section, prepared), section, prepared)
    found = weighing.gathered(model, [e for e in samples(prepared, "validation") if not e.typed])
    best = found.likelihood(chosen["counts"], tuple(chosen["own"]))
    assert best == pytest.approx(chosen["log_likelihood"])
    assert best >= max(found.likelihood(share, tuple(chosen["own"])) for share in (0.0, 0.3, 1.0))
    assert chosen["layout"] > 0.5  # the head was drawn too
    assert set(result["parts"]) == {"network", "counts", "network and counts"}


def test_a_key_costs_time_where_no_word_is_suggested(done: tuple[Path, dict[str, Any], Path]) -> None:
    out, _, prepared = done
    typed = [event for event in samples(prepared, "test") if event.typed]
    cost = costs({"ngram": baseline.load(out / "baseline")}, typed, section_of().evaluation, {"ngram": 0.5})["ngram"]
    assert cost["ms_key_p95"] >= cost["ms_key_median"] > 0
    assert cost["megabytes"] == 0.5


def test_it_says_what_each_part_knows_of_emoji(done: tuple[Path, dict[str, Any], Path]) -> None:
    out, result, _ = done
    pictures = result["pictures"]
    assert set(pictures) == {"network", "words", "signs", "all, no power", "all"}
    assert pictures["all"] == {key: result["metrics"][f"test/{key}"] for key in pictures["all"]}
    assert f"emoji_share {result['mixture']['emoji_share']}" in (out / "report.md").read_text()


def test_corrections_stand_by_source_beside_the_spellers(done: tuple[Path, dict[str, Any], Path]) -> None:
    out, result, _ = done
    for name, prefix in (("model", result["metrics"]), ("ngram", result["baselines"]["ngram"])):
        (source,) = result["sources"][name].values()  # the embedded data have one
        assert source["correction/seen"] == prefix["test/correction/seen"] >= source["correction/accuracy"]
        assert source["correction/kept"] == prefix["test/correction/kept"]
        assert source["at_threshold/accuracy"] == result["corrections"][name]["accuracy"]
    assert "## Corrections by source" in (out / "report.md").read_text()


def test_a_folder_that_is_no_model_leaves_nothing(done: tuple[Path, dict[str, Any], Path], tmp_path: Path) -> None:
    _, _, prepared = done
    with pytest.raises(EquipoiseError, match="E_MISSING"):
        evaluate(section_of(), prepared, tmp_path, tmp_path / "out", predict.load)
    assert not (tmp_path / "out").exists()


def test_predictions_hold_no_whole_message(done: tuple[Path, dict[str, Any], Path]) -> None:
    frame = pl.read_parquet(done[0] / "predictions.parquet")
    suggested = frame.filter(pl.col("task_label") == "SUGGESTION")
    assert suggested["label"].str.contains(" ").sum() == 0
