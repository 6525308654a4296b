"""`equipoise report`: the verb of the command line that tells everything about one model in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows import present, terminal
from flows.options import Debug, Json, Project, State, Workload, place_of


def report(
    workload: Workload,
    version: Annotated[
        int | None, typer.Option("--version", help="A registered version [default: what was trained here last].")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="The file [default: reports/WORKLOAD/VERSION.html in the state].")
    ] = None,
    json: Json = False,
    state: State = None,
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Writes one HTML file about a model: decision, metrics, slices, calibration, curves, losses, campaign, lineage."""
    where = place_of(workload, state, project)
    from flows.report import report as written

    terminal.emit(written(where, workload, version, output, terminal.say), json, present.report)
