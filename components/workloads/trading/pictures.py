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

    figure = Figure(figsize=(8.4, 6.0), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    days: Any = dates.astype("datetime64[D]")
    best = max(mixes, key=lambda name: float(growth(net[name])[-1])) if mixes else None
    for name, returns in net.items():
        curve = growth(returns)
        style = _style(name, name == judged, name == best, name in mixes)
        if name in mixes and name != best:
            style["label"] = "static mixes" if name == next(m for m in mixes if m != best) else "_"
        upper.plot(days, curve, **style)
        if name in (judged, best):
            heights = np.maximum.accumulate(np.append(1.0, curve))[1:]
            lower.plot(days, (curve / heights - 1.0) * 100, **style)
    upper.set(ylabel="one unit has become", yscale="log", title=title)
    upper.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    upper.yaxis.set_minor_formatter(lambda value, _: f"{value:.2g}")
    upper.legend(loc="upper left", fontsize="small")
    lower.set(ylabel="below height, %")
    write_atomically(path, lambda handle: figure.savefig(handle, format="png", metadata={"Software": None}))


def _style(name: str, judged: bool, best: bool, mix: bool) -> dict[str, Any]:
    if judged:
        return {"label": name, "color": "black", "linewidth": 2.0, "zorder": 5}
    if best:
        return {"label": f"{name}, the best static mix", "color": "tab:blue", "linewidth": 1.6, "zorder": 4}
    if mix:
        return {"label": name, "color": "0.75", "linewidth": 0.7, "zorder": 1}
    return {"label": name, "linewidth": 1.0, "zorder": 2}
