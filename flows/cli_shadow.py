"""`equipoise shadow`: is the champion as good as the one it replaced, now that labelled samples have come in?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows import terminal
from flows.options import Debug, Json, Project, State, Workload, place_of


def shadow(
    workload: Workload,
    input: Annotated[
        Path | None,
        typer.Option("--input", help="Labelled samples in the format of the raw data [default: none, only say]."),
    ] = None,
    growing: Annotated[
        bool, typer.Option("--growing", help="More may be written to the input: its last conversation waits.")
    ] = False,
    json: Json = False,
    state: State = None,
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Compares the champion with the one before it and demotes it on evidence of harm. Exit 11 when it is demoted."""
    where = place_of(workload, state, project)
    from flows import shadow as watching

    outcome = watching.run(where, workload, input, growing, terminal.say)
    terminal.emit(outcome, json, watching.text)
    raise typer.Exit(watching.STATUS[outcome["decision"]])
