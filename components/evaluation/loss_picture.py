"""A picture of a training's losses: each term's mean, its part of loss and gradient, which terms are in conflict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.evaluation.training_picture import COLOURS, Line, save, spread

LINES = ("-", "--", ":")  # a style for each time the colours, told apart by colour-blind eyes, are used up


def draw_losses(lines: Sequence[Line], path: Path) -> bool:
    """A picture of a training's lines: raw means, shares of the loss, shares of the gradient norms with the
    effective number of terms, cosines between the terms' gradients. The same curves give the same bytes.

    Args:
        lines: of curves.jsonl, as `training_picture.reports` reads them.
        path: `.png` or `.svg`.

    Returns:
        Whether there was anything to draw: a training shorter than `training.report_every` steps leaves no report, and
        a model brought from elsewhere may come without its curves.

    Raises:
        EquipoiseError: E_WRITE (73), E_IO (74).
    """
    lines = [line for line in lines if "terms" in line]
    if not lines:
        return False
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = spread([line for line in lines if line.get("gradients")])
    weighted = [name for name in lines[-1]["terms"] if any(line["terms"][name]["weight"] > 0 for line in lines)]
    styles = {
        name: {"color": COLOURS[i % len(COLOURS)], "linestyle": LINES[i // len(COLOURS) % len(LINES)]}
        for i, name in enumerate(weighted)
    }
    figure = Figure(figsize=(10.5, 7.0), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    (raw, share), (gradient, cosine) = figure.subplots(2, 2, sharex=True)
    _draw_terms(raw, share, spread(lines), styles)
    _draw_gradients(gradient, panels, styles)
    _draw_cosines(cosine, panels)
    figure.legend(*raw.get_legend_handles_labels(), loc="outside lower center", ncols=min(6, len(weighted)), fontsize=8)
    save(figure, path)
    return True


def _draw_terms(raw: Any, share: Any, lines: Sequence[Line], styles: Mapping[str, Mapping[str, Any]]) -> None:
    steps = [line["step"] for line in lines]
    lowest = math.inf
    for name, style in styles.items():
        rows = [line["terms"][name] for line in lines]
        means = [row["raw"] if row["n_valid"] else math.nan for row in rows]
        lowest = min([lowest, *(mean for mean in means if not math.isnan(mean))])
        raw.plot(steps, means, label=name, linewidth=1.2, **style)
        share.plot(steps, [row["share"] for row in rows], linewidth=1.2, **style)
    raw.set(title="mean of each term")
    if lowest > 0:
        from matplotlib.ticker import LogLocator, NullFormatter

        raw.set_yscale("log")
        raw.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))  # most terms fall by less than a decade
        raw.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        raw.yaxis.set_minor_formatter(NullFormatter())
    share.set(title="weight in force x mean")


def _draw_gradients(axes: Any, panels: Sequence[Line], styles: Mapping[str, Mapping[str, Any]]) -> None:
    """Shares of the sum of norms, from 0 to 1 at the left; the effective number of terms, from 1 on, at the right."""
    axes.set(title="share of gradient norms; effective terms (grey, right)", xlabel="step", ylim=(0, 1))
    steps = [line["step"] for line in panels]
    for name, style in styles.items():
        shares = [line["gradients"].get(name, {}).get("share", math.nan) for line in panels]
        axes.plot(steps, shares, marker="o", markersize=3, linewidth=1.2, **style)
    if panels:
        right = axes.twinx()
        effective = [line.get("effective_terms", math.nan) for line in panels]
        right.plot(steps, effective, color="0.6", linewidth=3, alpha=0.6, zorder=0)
        right.set_ylim(1, max(2, max(len(line["gradients"]) for line in panels)))


def _draw_cosines(axes: Any, panels: Sequence[Line]) -> None:
    """A line a pair of terms; only the pairs that were most opposed at some time are named."""
    axes.set(title="cosine between gradients: below 0 they conflict", xlabel="step", ylim=(-1.05, 1.05))
    axes.axhline(0, color="black", linewidth=0.8)
    found: dict[str, dict[int, float]] = {}
    for line in panels:
        for one, others in line.get("cosines", {}).items():
            for other, value in others.items():
                found.setdefault(f"{one} / {other}", {})[line["step"]] = value
    worst = sorted(found, key=lambda pair: min(found[pair].values()))[:4]
    for pair, values in found.items():
        if pair in worst:
            colour = COLOURS[worst.index(pair)]
            axes.plot(list(values), list(values.values()), marker="o", markersize=3, color=colour, label=pair)
        else:
            axes.plot(list(values), list(values.values()), color="0.8", linewidth=0.8, zorder=0)
    if worst:
        axes.legend(fontsize=7, loc="upper right")
