"""`equipoise gate`: a judgement of one version, or of the gate itself."""

from __future__ import annotations

from typing import Annotated

import typer

from flows import present, terminal
from flows.options import Debug, Json, Project, State, Workload, place_of

REPLAYS = 1000


def gate(
    workload: Workload,
    version: Annotated[
        int | None, typer.Argument(help="A registered version [--self-test: the newest but the champion].")
    ] = None,
    against: Annotated[
        int | None, typer.Option("--against", help="Version to compare with [default: the champion].")
    ] = None,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Measure the gate itself on evaluation sets of known truth.")
    ] = False,
    replays: Annotated[
        int | None, typer.Option("--replays", min=100, help="Self-test: sets for each truth [default: 1000].")
    ] = None,
    clusters: Annotated[
        int | None,
        typer.Option("--clusters", min=2, help="Self-test: size of a set [default: that of the test split]."),
    ] = None,
    json: Json = False,
    state: State = None,
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Judges one version against another without promoting. Exit 0 PROMOTE, 10 HOLD, 11 REJECT.

    With --self-test: how often the gate errs, how often it sees a planted change; exit 78 where it is too weak.
    """
    where = place_of(workload, state, project)
    if self_test:
        from flows import self_test as measured

        found = measured.run(where, workload, version, against, replays or REPLAYS, clusters, terminal.say)
        terminal.emit(found, json, measured.text)
        raise typer.Exit(measured.status(found, terminal.say))
    chosen = _named(version, replays, clusters)
    from flows.promote import judge_versions

    outcome = judge_versions(where, workload, chosen, against, terminal.say)
    terminal.emit(outcome, json, present.gate)
    raise typer.Exit(present.STATUS[outcome["decision"]])


def _named(version: int | None, *of_self_test: int | None) -> int:
    """The version to judge; E_USAGE (2) without one, or with options that only a self-test has."""
    from components.errors import EquipoiseError, Exit

    if version is not None and all(value is None for value in of_self_test):
        return version
    rule = "a version must be named" if version is None else "--replays and --clusters go with --self-test"
    hint = "Name a version, or measure the gate with --self-test"
    raise EquipoiseError("USAGE", "equipoise gate", rule, got=version or "none", hint=hint, exit_code=Exit.USAGE)
