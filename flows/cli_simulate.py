"""`equipoise simulate`: which retraining policy would have paid, on the workload's own history."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from flows import terminal
from flows.options import Debug, Json, Project, State, Workload, place_of


def simulate(
    workload: Workload,
    policies: Annotated[
        str, typer.Option("--policies", help="Comma-separated: always, new_data, drift, age, age:DAYS.")
    ] = "always,age:365,drift",
    first: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="First decision [default: after 40% of the days].")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="DAY", help="End, exclusive [default: the hold-out's beginning].")
    ] = None,
    every: Annotated[int, typer.Option("--every", min=1, help="Days between decisions.")] = 91,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Of each training at most [default: as configured].")
    ] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", help="Judged head/metric of the gate [default: its first primary].")
    ] = None,
    json: Json = False,
    state: State = None,
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Replays dated data through retraining policies: score, trainings, processor time and age of each."""
    where = place_of(workload, state, project)
    from flows import simulate as replayed

    asked = replayed.Settings(
        tuple(name.strip() for name in policies.split(",")), _day(first, "--from"), _day(until, "--until"),
        every, epochs, metric,
    )  # fmt: skip
    terminal.emit(replayed.run(where, workload, asked, terminal.say), json, replayed.text)


def _day(text: str | None, option: str) -> Any:
    """The day as datetime64[D]; E_TIME (2) for anything that is none."""
    if text is None:
        return None
    import numpy as np

    from components.registry.ledger import parse_time

    return np.datetime64(parse_time(text, option).date())
