"""The picture of a training's losses: the same bytes for the same curves, others for others, nothing for nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from components.evaluation.loss_picture import draw_losses
from components.evaluation.training_picture import reports


def line(step: int, raw: float, panel: bool, terms: int = 3) -> dict[str, Any]:
    names = [f"term{i}" for i in range(terms)]
    rows = {name: {"raw": raw + i, "weight": 1.0, "share": raw + i, "n_valid": 8} for i, name in enumerate(names)}
    rows["off"] = {"raw": 9.0, "weight": 0.0, "share": 0.0, "n_valid": 8}
    found = {"step": step, "epoch": 1, "progress": step / 10, "loss": raw, "terms": rows}
    if panel:
        found["gradients"] = {name: {"norm": 1.0, "share": 1 / terms} for name in names}
        found["effective_terms"] = float(terms)
        found["cosines"] = {"term0": dict.fromkeys(names[1:], -0.5 + raw)}
    return found


def written(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return path


def picture(folder: Path, lines: list[dict[str, Any]], name: str) -> bytes:
    path = folder / f"{name}.png"
    assert draw_losses(reports(written(folder / "curves.jsonl", lines)), path)
    with Image.open(path) as image:
        assert image.size[0] > 1000 and len(image.convert("RGB").getcolors(10**6) or ()) > 20
    return path.read_bytes()


def test_the_same_curves_give_the_same_bytes_and_others_do_not(tmp_path: Path) -> None:
    lines = [line(step, 1 / step, step % 2 == 0) for step in range(1, 9)]
    lines.insert(4, {"step": 4, "epoch": 1, "progress": 0.4, "validation": {"objective": 0.5}})
    first = picture(tmp_path, lines, "first")
    assert picture(tmp_path, lines, "again") == first
    lines[0]["terms"]["term1"]["share"] = 2.5
    assert picture(tmp_path, lines, "other") != first


@pytest.mark.parametrize(
    "lines",
    [
        [line(1, 0.5, False)],  # one report, no panel
        [line(1, -0.5, True), line(2, 0.5, True)],  # a mean below 0 has no logarithm
        [line(1, 0.5, True, terms=26), line(2, 0.4, True, terms=26)],  # more terms than colours
        [{**line(1, 0.5, False), "gradients": {}}],
    ],
)
def test_curves_of_every_kind_are_drawn(tmp_path: Path, lines: list[dict[str, Any]]) -> None:
    picture(tmp_path, lines, "picture")


def test_a_term_without_labels_leaves_a_gap(tmp_path: Path) -> None:
    lines = [line(step, 1.0, False) for step in (1, 2, 3)]
    whole = picture(tmp_path, lines, "whole")
    lines[1]["terms"]["term2"] |= {"raw": 0.0, "n_valid": 0}
    assert picture(tmp_path, lines, "gap") != whole


def test_a_training_without_a_report_has_no_picture(tmp_path: Path) -> None:
    curves = written(tmp_path / "curves.jsonl", [{"step": 3, "validation": {"objective": 1.0}}])
    assert not draw_losses(reports(curves), tmp_path / "losses.png")
    assert not draw_losses(reports(tmp_path / "elsewhere.jsonl"), tmp_path / "losses.png")
    assert not (tmp_path / "losses.png").exists()
