"""`equipoise doctor`: the verb of the command line that looks at all engines at once."""

from __future__ import annotations

from typing import Annotated

import typer

from flows import present, terminal
from flows.options import Debug, Json, Project, State, place_of


def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Repair what is safe to repair, and record it.")] = False,
    json: Json = False,
    state: State = None,
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Says what is wrong across ledger, MLflow, Optuna, Prefect, DVC and files. Exit 0 when all is well, else 78."""
    where = place_of(None, state, project)
    from flows.doctor import run, status

    found = run(where, fix, terminal.say)
    terminal.emit(found, json, present.doctor)
    raise typer.Exit(status(found))
