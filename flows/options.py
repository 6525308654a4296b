"""What several verbs of the command line share: their options, and what comes of reading them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from flows import terminal

Workload = Annotated[str, typer.Argument(help="The workload, for example tool_calling.")]
AnyWorkload = Annotated[str | None, typer.Argument(help="The workload [default: all].")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; logs go to stderr.")]
State = Annotated[
    Path | None,
    typer.Option(
        "--state", help="Folder of databases, artefacts and caches [default: .equipoise, or EQUIPOISE_STATE]."
    ),
]
Project = Annotated[Path | None, typer.Option("--project", help="Folder that holds params.yaml [default: this one].")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Assign = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change params.yaml first; may be repeated.")
]
Data = Annotated[
    str | None, typer.Option("--data", metavar="PATH", help="Raw data: a folder or an archive; kept in params.yaml.")
]
Seed = Annotated[int | None, typer.Option("--seed", help="Training seed; kept in params.yaml.")]
SetFile = Annotated[
    Path | None,
    typer.Option(
        "--set-file", metavar="FILE", help="Apply a YAML file of values to params.yaml: tuned/<workload>.yaml."
    ),
]
Device = Annotated[str | None, typer.Option("--device", help="cpu, cuda, cuda:0, mps [default: the best there is].")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint (always done; said for clarity).")]
Actor = Annotated[str | None, typer.Option("--actor", help="Who decides, for the ledger [default: you].")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the ledger.")]
Version = Annotated[int, typer.Argument(help="A registered version.")]


def example(text: str) -> str:
    """The closing paragraph of a verb's --help."""
    return f"Example: {text}"


def place_of(workload: str | None, state: Path | None, project: Path | None) -> Any:
    """Where the command works; from now on stdout is for its answer alone.

    Raises:
        EquipoiseError: E_WORKLOAD (2), E_MISSING (66), E_WRITE (73).
    """
    from components.workload import known
    from flows.state import place

    terminal.answers()
    if workload is not None:
        known(workload)
    return place(project, state)


def edited(
    where: Any,
    workload: str,
    assign: list[str] | None,
    data: str | None,
    seed: int | None,
    device: str | None,
    file: Path | None = None,
) -> None:
    """Makes the changes to params.yaml that the command asks for, and remembers its device.

    Raises:
        EquipoiseError: what `flows.edits.apply` refuses; params.yaml is then as it was.
    """
    from flows.edits import apply

    apply(where, workload, assign or [], data, seed, file)
    if device:
        os.environ["EQUIPOISE_DEVICE"] = device
