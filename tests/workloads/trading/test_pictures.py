"""The equity picture: every line can be told from the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from components.workloads.trading.pictures import BLUE, COMPARED, draw_equity, styles

NAMES = ("model", "softmax", "momentum", "60/40", "80/20", "90/10", "buy_and_hold", "sixty_forty", "equal_weight")
MIXES = ("60/40", "80/20", "90/10")


def accounts(names: tuple[str, ...] = NAMES) -> dict[str, np.ndarray]:
    return {name: np.random.default_rng(i).normal(0.0003, 0.01, 300) for i, name in enumerate(names)}


def test_no_two_lines_look_alike_but_the_mixes_in_grey() -> None:
    many = (*NAMES, *(f"benchmark {i}" for i in range(6)))
    found = styles(accounts(many), MIXES, "model")
    grey = [name for name, style in found.items() if style["color"] == "0.78"]
    looks = [(style["color"], style.get("linestyle")) for name, style in found.items() if name not in grey]
    assert len(grey) == 2 and set(grey) < set(MIXES)
    assert len(set(looks)) == len(looks) == len(many) - 2
    assert [style["label"] for name, style in found.items() if style["color"] == BLUE] == [
        f"{next(name for name in MIXES if name not in grey)}, best static mix"
    ]
    labels = [style["label"] for style in found.values() if style["label"] != "_"]
    assert len(set(labels)) == len(labels) and "buy and hold" in labels


def test_only_the_model_and_the_best_mix_are_compared_by_their_falls() -> None:
    found = styles(accounts(), MIXES, "model")
    assert sum(style["zorder"] >= COMPARED for style in found.values()) == 2
    assert found["model"]["zorder"] == max(style["zorder"] for style in found.values())


def test_a_picture_without_mixes_is_drawn(tmp_path: Path) -> None:
    dates = np.arange(np.datetime64("2020-01-01"), np.datetime64("2020-01-01") + 300)
    draw_equity(tmp_path / "equity.png", dates, accounts(("model", "softmax")), (), "model", "a title")
    assert (tmp_path / "equity.png").read_bytes().startswith(b"\x89PNG")
