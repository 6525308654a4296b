"""`equipoise lineage`, `diff`, `reproduce`: what a version was made of, what differs, the same once more."""

from __future__ import annotations

from typing import Annotated

import typer

from flows import terminal
from flows.options import Debug, Json, Project, State, Workload, place_of

OfVersion = Annotated[int | None, typer.Argument(help="A registered version [default: the champion].")]


def lineage(
    workload: Workload,
    version: OfVersion = None,
    json: Json = False,
    state: State = None,
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Says what a version was made of: data, code, parameters, campaign, parents, and every judgement about it."""
    where = place_of(workload, state, project)
    from flows import present_lineage
    from flows.lineage import lineage as told

    terminal.emit(told(where, workload, version, terminal.say), json, present_lineage.lineage)


def diff(
    workload: Workload,
    version: Annotated[int, typer.Argument(help="A registered version.")],
    other: Annotated[int, typer.Argument(help="The version to hold it against.")],
    json: Json = False,
    state: State = None,
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Shows what differs between two versions: data, code, packages, parameters, validation metrics, files."""
    where = place_of(workload, state, project)
    from flows import present_lineage
    from flows.lineage import difference

    terminal.emit(difference(where, workload, version, other, terminal.say), json, present_lineage.difference)


def reproduce(
    workload: Workload,
    version: OfVersion = None,
    json: Json = False,
    state: State = None,
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Trains a version again from its own code and parameters and compares the bytes. Exit 0 equal, 78 not."""
    where = place_of(workload, state, project)
    from flows import present_lineage
    from flows import reproduce as again

    made = again.reproduce(where, workload, version, terminal.say)
    terminal.emit(made, json, present_lineage.reproduced)
    if not made["equal"]:
        error = again.not_equal(made)
        terminal.say(str(error))
        raise typer.Exit(error.exit_code)
