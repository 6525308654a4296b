"""The Pareto front of finished candidates, its picture, and which weights went along with which objective."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.files import write_atomically
from components.tuning.agreement import spearman
from components.tuning.trial import Candidate

if TYPE_CHECKING:
    from components.tuning.campaign import Campaign

FEWEST = 5  # candidates from which on a rank correlation is shown


def dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    """At least as high everywhere and higher somewhere."""
    pairs = list(zip(a, b, strict=True))
    return all(x >= y for x, y in pairs) and any(x > y for x, y in pairs)


def front(points: Sequence[Sequence[float]]) -> list[int]:
    """Indices of the points [n, objectives] that no other dominates, in order; equal points are all kept."""
    return [i for i, point in enumerate(points) if not any(dominates(other, point) for other in points)]


def best(candidates: Sequence[Candidate]) -> Candidate:
    """The candidate of the highest mean objective, the first of equal ones: nothing dominates it."""
    return max(candidates, key=lambda each: (each.mean, -each.number))


def ranked(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Candidates in the order in which they are worth another look: the front of those that could be promoted, then the
    rest of these, then all others; by mean within each, the first of equal ones first."""
    kept = [each for each in candidates if each.feasible]
    ahead = {kept[i].number for i in front([list(each.objectives.values()) for each in kept])}
    return sorted(candidates, key=lambda each: (not each.feasible, each.number not in ahead, -each.mean, each.number))


def importances(campaign: Campaign) -> dict[str, dict[str, float | None]]:
    """Weight -> objective -> Spearman's rank correlation over the finished candidates, in [-1, 1].

    None with fewer than five candidates or where a column does not vary. It says which way an objective went with a
    weight in this campaign; with tens of candidates it is a hint, not a measurement.
    """
    done = [each for each in campaign.complete if not each.stopped]
    found: dict[str, dict[str, float | None]] = {}
    for knob in campaign.space:
        values = [each.weights[knob.key] for each in done]
        scores = {name: [each.objectives[name] for each in done] for name in campaign.objectives}
        enough = len(done) >= FEWEST
        found[knob.key] = {name: spearman(values, column) if enough else None for name, column in scores.items()}
    return found


def draw(campaign: Campaign, chosen: Candidate, path: Path) -> None:
    """PNG: a panel per pair of objectives (of a single one: its value by candidate); front, default and best marked."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    done, names = campaign.judged, campaign.objectives
    points = {name: [each.objectives[name] for each in done] for name in names}
    kept = set(front([[each.objectives[name] for name in names] for each in done]))
    pairs: list[tuple[str | None, str]] = list(combinations(names, 2)) or [(None, names[0])]
    figure = Figure(figsize=(4.6 * len(pairs), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (across, up) in zip(figure.subplots(1, len(pairs), squeeze=False)[0], pairs, strict=True):
        horizontal = points[across] if across else [each.number for each in done]
        _panel(axes, horizontal, points[up], done, kept, chosen)
        axes.set(xlabel=across or "candidate", ylabel=up)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    figure.suptitle(f"{campaign.name}: {len(done)} candidates at full length, one seed each")
    write_atomically(path, lambda handle: figure.savefig(handle, format="png", dpi=110))


def _panel(axes: Any, x: Sequence[float], y: Sequence[float], done: Sequence[Candidate], kept: set[int],
           chosen: Candidate) -> None:  # fmt: skip
    groups = {
        "dominated": ([i for i in range(len(done)) if i not in kept], {"color": "0.65", "marker": "o"}),
        "Pareto front": (sorted(kept), {"color": "tab:blue", "marker": "o"}),
        "default": ([i for i, each in enumerate(done) if each.number == 0], {"color": "tab:orange", "marker": "D"}),
        "best": ([i for i, each in enumerate(done) if each.number == chosen.number],
                 {"facecolors": "none", "edgecolors": "tab:red", "marker": "o", "s": 140}),
    }  # fmt: skip
    for label, (indices, style) in groups.items():
        axes.scatter([x[i] for i in indices], [y[i] for i in indices], label=label, **style)
    for i, each in enumerate(done):
        axes.annotate(str(each.number), (x[i], y[i]), textcoords="offset points", xytext=(5, 4), fontsize=8)
