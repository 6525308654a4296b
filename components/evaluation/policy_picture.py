"""A picture of replayed retraining policies: how well each did over time, when it trained, how old its model was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from components.evaluation.policy_replay import Day, Replay, score_over_time
from components.evaluation.training_picture import COLOURS, save


def draw_policies(replays: Sequence[Replay], days: Sequence[Day], until: Day, metric: str, path: Path) -> None:
    """Writes a PNG of two panels over the same days: the score between decision days, with a dot where a policy had
    trained, and the age of the model that answered. Where policies are alike, the later ones' thinner lines lie on the
    earlier ones'.

    Raises:
        EquipoiseError: E_WRITE (73), E_IO (74).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 6.0), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    score, age = figure.subplots(2, 1, sharex=True)
    edges = np.array([*days, until], "datetime64[D]")
    for number, each in enumerate(replays):
        colour = COLOURS[number % len(COLOURS)]
        width = 1.2 + 1.1 * (len(replays) - 1 - number)
        values = score_over_time(each.answers, days, until)
        many = "training" if each.trainings == 1 else "trainings"
        label = f"{each.policy}: {each.trainings} {many}, {each.cpu_seconds:.0f} CPU s"
        score.step(edges, [*values, values[-1]], where="post", color=colour, linewidth=width, label=label)
        trained = [i for i, decision in enumerate(each.decisions) if decision.retrained]
        score.plot(edges[trained], values[trained], "o", color=colour, markersize=2.5 + width)
        age.plot(each.answers.days, each.ages, color=colour, linewidth=width)
    score.set_ylabel(metric)
    age.set_ylabel("days since training")
    for axes in (score, age):
        axes.grid(alpha=0.25)
    figure.legend(*score.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8)
    save(figure, path)
