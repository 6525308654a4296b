"""The curves that a training left: read whole or refused, and drawn as loss, learning rate and validation metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import bad_data
from components.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#7B4FA3", "#56B4E9", "#5F5F5F")
POINTS = 600  # of a line in a picture: more would not be told apart
OBJECTIVE = "objective"  # what early stopping maximises, among the validation metrics

Line = Mapping[str, Any]


def reports(curves: Path) -> list[dict[str, Any]]:
    """The complete lines of curves.jsonl, also of a training under way; none without the file.

    Raises:
        EquipoiseError: E_CURVES (65) for a line that is not a report.
    """
    if not curves.is_file():
        return []
    found = []
    with curves.open("rb") as handle:
        for number, line in enumerate(handle, 1):
            if line.endswith(b"\n"):
                found.append(_report(line, f"{curves} line {number}"))
    return found


def _report(line: bytes, place: str) -> dict[str, Any]:
    try:
        report = json.loads(line)
        if not isinstance(report, dict) or not isinstance(report.get("step"), int):
            raise ValueError("no step")
        return report
    except (ValueError, RecursionError) as error:
        rule, hint = "must be a JSON object with a whole number `step`", "Train again; only training writes this file"
        raise bad_data(place, rule, got=line[:60].decode("utf-8", "replace"), hint=hint, code="CURVES") from error


def spread(lines: Sequence[Line], most: int = POINTS) -> list[Line]:
    """At most `most` of the lines, evenly chosen, the first and the last among them."""
    if len(lines) <= most:
        return list(lines)
    return [lines[round(i * (len(lines) - 1) / (most - 1))] for i in range(most)]


def draw_training(lines: Sequence[Line], named: Sequence[str], path: Path) -> bool:
    """A picture of a training's lines: loss with learning rate, and the validation metrics by step.

    Args:
        named: validation metrics that get a colour and a name beside the objective; the others are grey.
        path: `.png` or `.svg`.

    Returns:
        Whether there was anything to draw.

    Raises:
        EquipoiseError: E_WRITE (73), E_IO (74).
    """
    losses, judged = spread([x for x in lines if "loss" in x]), spread([x for x in lines if "validation" in x])
    if not losses and not judged:
        return False
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 3.9), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _draw_loss(left, losses)
    _draw_validation(right, judged, named)
    save(figure, path)
    return True


def _draw_loss(axes: Any, lines: Sequence[Line]) -> None:
    axes.set(title="loss; learning rate (grey, right)", xlabel="step")
    steps, values = [line["step"] for line in lines], [line["loss"] for line in lines]
    axes.plot(steps, values, color=COLOURS[0], linewidth=1.3)
    if values and min(values) > 0 and max(values) > 5 * min(values):
        axes.set_yscale("log")
    rates = [(line["step"], line["learning_rate"]) for line in lines if "learning_rate" in line]
    if rates:
        beside = axes.twinx()
        beside.plot(*zip(*rates, strict=True), color="0.6", linewidth=1.2, alpha=0.8)
        beside.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
        beside.set_ylim(bottom=0)


def _draw_validation(axes: Any, lines: Sequence[Line], named: Sequence[str]) -> None:
    axes.set(title="validation after each epoch", xlabel="step")
    found: dict[str, list[tuple[int, float]]] = {}
    for line in lines:
        for name, value in line["validation"].items():
            found.setdefault(name, []).append((line["step"], value))
    shown = [name for name in named if name in found and name != OBJECTIVE]
    for name, points in found.items():
        if name == OBJECTIVE:
            style = {"color": "black", "linewidth": 2.0, "label": name, "zorder": 3}
        elif name in shown:
            style = {"color": COLOURS[shown.index(name) % len(COLOURS)], "linewidth": 1.3, "label": name}
        else:
            style = {"color": "0.82", "linewidth": 0.8, "zorder": 0}
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, **style)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=7, loc="best")


def save(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG, or without a background as SVG, by the path's suffix: the same figure, the same bytes.

    Raises:
        EquipoiseError: E_WRITE (73), E_IO (74).
    """
    from matplotlib import rc_context

    if path.suffix == ".svg":
        kept: dict[str, Any] = {"format": "svg", "metadata": {"Date": None, "Creator": None}, "transparent": True}
    else:
        kept = {"format": "png", "metadata": {"Software": None}}
    with rc_context({"svg.hashsalt": "equipoise"}):
        write_atomically(path, lambda handle: figure.savefig(handle, **kept))
