"""`equipoise tune`: the verb of the command line that searches the loss weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from flows import present, terminal
from flows.options import Assign, Data, Debug, Device, Json, Project, State, Workload, edited, place_of


def tune(
    workload: Workload,
    candidates: Annotated[
        int | None, typer.Option("--candidates", min=1, help="Total number of candidates; a second call continues.")
    ] = None,
    campaign: Annotated[
        str | None, typer.Option("--campaign", metavar="NAME", help="Its name [default: a digest of data and recipe].")
    ] = None,
    begin_from: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="A campaign's result.json, to begin with its front.")
    ] = None,
    worker: Annotated[
        bool, typer.Option("--worker", help="Only help a campaign that is under way; needs the data prepared.")
    ] = False,
    balancers: Annotated[
        bool, typer.Option("--balancers", help="Instead, compare the balancers with the static weights.")
    ] = False,
    data: Data = None,
    assign: Assign = None,
    device: Device = None,
    json: Json = False,
    state: State = None,
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Searches the loss weights by evidence and writes tuned/<workload>.yaml, a diff to review."""
    where = place_of(workload, state, project)
    edited(where, workload, assign, data, None, device)
    if balancers:
        from flows.study import run as compare

        terminal.emit(compare(where, workload, "validation", terminal.say, _with_balancers), json, present.study)
        return
    from flows.tune import help_with, run

    if worker:
        terminal.emit(help_with(where, workload, campaign, terminal.say), json, present.helped)
    else:
        terminal.emit(run(where, workload, candidates, campaign, terminal.say, begin_from), json, present.tune)


def _with_balancers(section: Any) -> Any:
    from components.tuning.balancers import as_study

    return as_study(section)
