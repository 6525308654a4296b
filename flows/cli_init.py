"""`equipoise init`: the verb of the command line that starts a project of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows import present, terminal
from flows.options import Debug, Json, State, Workload, place_of


def init(
    workload: Workload,
    folder: Annotated[Path, typer.Argument(help="A new or an empty folder.")],
    json: Json = False,
    state: State = None,
    project: Annotated[
        Path | None, typer.Option("--project", help="Begin with that project's parameters [default: those that ship].")
    ] = None,
    debug: Debug = False,
) -> None:
    """Starts a project of one's own from one workload: parameters, stages, a git and a DVC repository."""
    where = place_of(workload, state, project)
    from flows.init import init as begin

    terminal.emit(begin(workload, folder, where.project if project else None, terminal.say), json, present.init)
