"""Pictures of the hold-out: what one unit of money became with each candidate and each mix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.evaluation.performance import growth
from components.files import write_atomically

Floats = NDArray[np.float64]

BLUE = "#0072B2"
COLOURS = ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#7B4FA3")  # told apart by colour-blind eyes, none of them blue
LINES = ("-", "--", ":")
COMPARED = 4  # from this height on a line is drawn below too


def draw_equity(
    path: Path,
    dates: NDArray[np.datetime64],
    net: Mapping[str, Floats],
    mixes: Sequence[str],
    judged: str,
    title: str,
) -> None:
    """A PNG: growth of one unit above (logarithmic), the fall below the last height underneath.

    Args:
        dates: [T] days at whose close the returns are known.
        net: name -> [T] daily returns after costs.
        mixes: names among them that are drawn thin and grey, as the field to beat.
        judged: the name drawn thick.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, NullLocator

    figure = Figure(figsize=(8.4, 6.0), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    days: Any = dates.astype("datetime64[D]")
    for name, style in styles(net, mixes, judged).items():
        curve = growth(net[name])
        upper.plot(days, curve, **style)
        if style["zorder"] >= COMPARED:
            heights = np.maximum.accumulate(np.append(1.0, curve))[1:]
            lower.plot(days, (curve / heights - 1.0) * 100, **style)
    upper.set(ylabel="one unit has become", yscale="log", title=title)
    upper.yaxis.set_major_locator(
        MaxNLocator(8, steps=[1, 2, 5, 10])
    )  # a hold-out grows by less than a decade: powers of ten say nothing
    upper.yaxis.set_minor_locator(NullLocator())
    upper.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    upper.legend(loc="upper left", fontsize="small")
    lower.set(ylabel="below height, %")
    write_atomically(path, lambda handle: figure.savefig(handle, format="png", metadata={"Software": None}))


def styles(net: Mapping[str, Floats], mixes: Sequence[str], judged: str) -> dict[str, dict[str, Any]]:
    """Name -> how its line looks. No two lines look alike but the static mixes that are not the best, all grey."""
    best = max(mixes, key=lambda name: float(growth(net[name])[-1])) if mixes else None
    rest = [name for name in mixes if name != best]
    others = [name for name in net if name not in mixes and name != judged]
    found: dict[str, dict[str, Any]] = {}
    for name in net:
        if name == judged:
            found[name] = {"label": name, "color": "black", "linewidth": 2.0, "zorder": COMPARED + 1}
        elif name == best:
            found[name] = {"label": f"{name}, best static mix", "color": BLUE, "linewidth": 1.8, "zorder": COMPARED}
        elif name in rest:
            label = "other static mixes" if name == rest[0] else "_"
            found[name] = {"label": label, "color": "0.78", "linewidth": 0.7, "zorder": 1}
        else:
            turn, colour = divmod(others.index(name), len(COLOURS))
            line = LINES[turn % len(LINES)]
            label = name.replace("_", " ")
            found[name] = {"label": label, "color": COLOURS[colour], "linestyle": line, "linewidth": 1.1, "zorder": 2}
    return found
