"""A picture of a campaign's losses: what every candidate's terms weigh in its loss, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.files import write_atomically
from components.losses.gradient_panel import effective_number

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#7B4FA3", "#56B4E9", "#5F5F5F")
HATCHES = ("", "//", "..")  # one for each time the colours are used up


def shares_of(terms: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Each term's part of the loss, from the last report of a training: |share| over their sum; empty without any.

    A term of weight 0, or one without labels, has none. A negative share counts by its size: it pulls as well.
    """
    sizes = {name: abs(row["share"]) for name, row in terms.items() if row["share"]}
    total = sum(sizes.values())
    return {name: size / total for name, size in sizes.items()}


def draw(candidates: Mapping[str, Mapping[str, Mapping[str, Any]]], path: Path) -> bool:
    """PNG: a bar a candidate, its shares of the loss stacked; above, the effective number of its terms.

    The number is exp(-sum p ln p) over the shares p of the loss, see `effective_number`. Candidates stand in the order
    given; those without a report of their terms are left out. The same candidates give the same bytes.

    Args:
        candidates: label, such as the trial's number -> name of a term -> its row of the last report, of which
            "share" (weight in force x raw mean) is read.

    Returns:
        Whether there was anything to draw.

    Raises:
        EquipoiseError: E_WRITE (73), E_IO (74).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = {label: shares for label, terms in candidates.items() if (shares := shares_of(terms))}
    if not shown:
        return False
    names = list({name: None for shares in shown.values() for name in shares})
    figure = Figure(figsize=(max(5.0, 2.4 + 0.34 * len(shown)), 5.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[1, 3])
    places = range(len(shown))
    upper.bar(places, [effective_number(shares.values()) for shares in shown.values()], color="0.6")
    upper.axhline(len(names), color="black", linewidth=0.8, linestyle=":")
    upper.set(ylabel="effective terms", ylim=(0, len(names) + 0.5))
    below = [0.0] * len(shown)
    for index, name in enumerate(names):
        heights = [shares.get(name, 0.0) for shares in shown.values()]
        style = {"color": COLOURS[index % len(COLOURS)], "hatch": HATCHES[index // len(COLOURS) % len(HATCHES)]}
        lower.bar(places, heights, bottom=below, label=name, **style)
        below = [low + height for low, height in zip(below, heights, strict=True)]
    lower.set(ylabel="share of the loss", ylim=(0, 1), xlabel="candidate")
    lower.set_xticks(list(places), list(shown), rotation=90 if max(map(len, shown)) > 3 else 0, fontsize=8)
    figure.legend(*lower.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    write_atomically(path, lambda handle: figure.savefig(handle, format="png", metadata={"Software": None}))
    return True
