"""`equipoise <verb> <workload>`: the command line. It reads arguments; a verb imports what it needs when it runs."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from flows import present, terminal
from flows.cli_doctor import doctor
from flows.cli_gate import gate
from flows.cli_init import init
from flows.cli_lineage import diff, lineage, reproduce
from flows.cli_report import report
from flows.cli_shadow import shadow
from flows.cli_simulate import simulate
from flows.cli_tune import tune
from flows.options import (
    Actor,
    AnyWorkload,
    Assign,
    Data,
    Debug,
    Device,
    Json,
    Project,
    Reason,
    Resume,
    Seed,
    SetFile,
    State,
    Version,
    Workload,
    edited,
    example,
    place_of,
)

app = typer.Typer(
    name="equipoise",
    help="Trains small multi-head models, tunes loss weights by evidence, promotes only what is shown to be no worse.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command(epilog=example("equipoise prepare tool_calling --data ../dialogues"))
def prepare(
    workload: Workload,
    data: Data = None,
    assign: Assign = None,
    seed: Seed = None,
    device: Device = None,
    resume: Resume = False,
    json: Json = False,
    state: State = None,
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Reads the raw data into arrays on disk and reports what is in it."""
    _run_stage("prepare", workload, data, assign, seed, device, json, state, project)


@app.command(epilog=example("equipoise train tool_calling --set training.epochs=3 --seed 2"))
def train(
    workload: Workload,
    data: Data = None,
    assign: Assign = None,
    set_file: SetFile = None,
    seed: Seed = None,
    device: Device = None,
    resume: Resume = False,
    json: Json = False,
    state: State = None,
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Trains, or goes on from the checkpoint; prepares first where the data changed."""
    _run_stage("train", workload, data, assign, seed, device, json, state, project, set_file)


@app.command(epilog=example("equipoise evaluate tool_calling --json"))
def evaluate(
    workload: Workload,
    data: Data = None,
    assign: Assign = None,
    seed: Seed = None,
    device: Device = None,
    resume: Resume = False,
    json: Json = False,
    state: State = None,
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Scores the trained model on the test split, with intervals and baselines beside it."""
    _run_stage("evaluate", workload, data, assign, seed, device, json, state, project)


def _run_stage(
    stage: str,
    workload: str,
    data: str | None,
    assign: list[str] | None,
    seed: int | None,
    device: str | None,
    json: bool,
    state: Path | None,
    project: Path | None,
    set_file: Path | None = None,
) -> None:
    where = place_of(workload, state, project)
    edited(where, workload, assign, data, seed, device, set_file)
    from flows.single import up_to

    terminal.emit(up_to(where, workload, stage, terminal.say), json, present.stage)


@app.command(epilog=example("equipoise retrain tool_calling --data ../dialogues --json"))
def retrain(
    workload: Workload,
    data: Data = None,
    assign: Assign = None,
    set_file: SetFile = None,
    seed: Seed = None,
    device: Device = None,
    resume: Resume = False,
    actor: Actor = None,
    tune: Annotated[bool, typer.Option("--tune", help="Then search the loss weights, as `tune` does.")] = False,
    json: Json = False,
    state: State = None,
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Prepares, trains, evaluates, registers, gates, promotes. Exit 0 promoted or nothing to do, 10 HOLD, 11 REJECT."""
    where = place_of(workload, state, project)
    edited(where, workload, assign, data, seed, device, set_file)
    from flows.cycle import run

    outcome = run(where, workload, actor, terminal.say, tune)
    terminal.emit(outcome, json, present.retrain)
    raise typer.Exit(present.STATUS[outcome["decision"]])


app.command(epilog=example("equipoise tune tool_calling --candidates 16"))(tune)


@app.command(epilog=example("equipoise study tool_calling --set 'study.seeds=[1, 2, 3, 4, 5]'"))
def study(
    workload: Workload,
    split: Annotated[
        str, typer.Option("--split", help="Samples that judge: validation, or test, which wears out by it.")
    ] = "validation",
    data: Data = None,
    assign: Assign = None,
    device: Device = None,
    json: Json = False,
    state: State = None,
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Trains named settings with several seeds at equal budget and says which differ from the reference."""
    where = place_of(workload, state, project)
    edited(where, workload, assign, data, None, device)
    from flows.study import run

    terminal.emit(run(where, workload, split, terminal.say), json, present.study)


@app.command(epilog=example("equipoise predict tool_calling --input requests.jsonl --output answers.jsonl"))
def predict(
    workload: Workload,
    input: Annotated[Path, typer.Option("--input", help="JSON Lines of raw requests, or - for stdin.")] = Path("-"),
    output: Annotated[Path | None, typer.Option("--output", help="Where the answers go [default: stdout].")] = None,
    version: Annotated[int | None, typer.Option("--version", help="A version other than the champion.")] = None,
    json: Json = False,
    state: State = None,
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Answers raw requests with the champion, one JSON object a line."""
    where = place_of(workload, state, project)
    from flows.serving import predict as answer

    written = answer(where, workload, input, output, version, terminal.answers(), quiet=json)
    if output or json:
        terminal.emit(written, json, present.predict)


@app.command(epilog=example("equipoise serve tool_calling --port 5001"))
def serve(
    workload: Workload,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port on 127.0.0.1.")] = 5001,
    json: Json = False,
    state: State = None,
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Serves the champion over HTTP on 127.0.0.1 with MLflow's scoring protocol, until ctrl-C."""
    where = place_of(workload, state, project)
    from flows.serving import serve as listen

    raise typer.Exit(listen(where, workload, port, terminal.say))


app.command(epilog=example("equipoise gate tool_calling 3 --against 2"))(gate)


@app.command(epilog=example("equipoise promote tool_calling 3 --reason 'agreed in review'"))
def promote(
    workload: Workload,
    version: Version,
    actor: Actor = None,
    reason: Reason = "",
    json: Json = False,
    state: State = None,
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Judges a version against the champion and promotes it if the gate says so. Exit 10 HOLD, 11 REJECT."""
    where = place_of(workload, state, project)
    from flows.promote import promote_version

    outcome = promote_version(where, workload, version, actor, reason, terminal.say)
    terminal.emit(outcome, json, present.gate)
    raise typer.Exit(present.STATUS[outcome["decision"]])


@app.command(epilog=example("equipoise rollback tool_calling --reason 'wrong arguments at night'"))
def rollback(
    workload: Workload,
    to: Annotated[
        int | None, typer.Option("--to", help="Version to return to [default: the previous champion].")
    ] = None,
    release: Annotated[
        bool, typer.Option("--release", help="Lift the block an earlier rollback left on automatic promotion.")
    ] = False,
    actor: Actor = None,
    reason: Reason = "",
    json: Json = False,
    state: State = None,
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Returns to the previous champion at once; judges nothing and blocks automatic promotion until newer data."""
    where = place_of(workload, state, project)
    from flows.promote import release_block, roll_back

    outcome = (
        release_block(where, workload, actor, reason)
        if release
        else roll_back(where, workload, to, actor, reason, terminal.say)
    )
    terminal.emit(outcome, json, present.rollback)


app.command(epilog=example("equipoise shadow tool_calling --input labelled.jsonl"))(shadow)
app.command(epilog=example("equipoise simulate trading --policies always,age:365,drift"))(simulate)


@app.command(epilog=example("equipoise history tool_calling --at 2026-11-01T00:00Z"))
def history(
    workload: Annotated[str | None, typer.Argument(help="The workload, or project; not needed with --verify.")] = None,
    at: Annotated[
        str | None, typer.Option("--at", help="Only what had happened by then (UTC), and who served.")
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Check the whole hash chain.")] = False,
    json: Json = False,
    state: State = None,
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Shows the ledger: who was champion when, and why."""
    from flows.ledgers import PROJECT, events

    where = place_of(None if workload == PROJECT else workload, state, project)
    terminal.emit(events(where, workload, at, verify), json, present.history)


@app.command(epilog=example("equipoise status --json"))
def status(
    workload: AnyWorkload = None,
    json: Json = False,
    state: State = None,
    project: Project = None,
    debug: Debug = False,
) -> None:
    """What serves, since when, and what is wrong."""
    where = place_of(workload, state, project)
    from flows.ledgers import status as standing

    terminal.emit(standing(where, workload), json, present.status)


app.command(epilog=example("equipoise doctor --fix"))(doctor)
app.command(epilog=example("equipoise lineage tool_calling 3"))(lineage)
app.command(epilog=example("equipoise diff tool_calling 3 2"))(diff)
app.command(epilog=example("equipoise reproduce tool_calling 3"))(reproduce)
app.command(epilog=example("equipoise report tool_calling --version 3 --output report.html"))(report)


@app.command(epilog=example("equipoise data tool_calling --fetch sgd"))
def data(
    workload: AnyWorkload = None,
    fetch: Annotated[
        str | None, typer.Option("--fetch", metavar="NAME", help="Download a catalogued original.")
    ] = None,
    verify: Annotated[str | None, typer.Option("--verify", metavar="NAME", help="Compare it byte by byte.")] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Where it lies [default: data/originals/NAME].")
    ] = None,
    json: Json = False,
    state: State = None,
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Lists, fetches and verifies the catalogued public originals, and says what the workload reads now."""
    where = place_of(workload, state, project)
    from flows.raw_data import listing

    terminal.emit(listing(where, workload, fetch, verify, folder, terminal.say), json, present.data)


app.command(epilog=example("equipoise init tool_calling ../assistant"))(init)


@app.command(epilog=example("equipoise deploy tool_calling --dry-run"))
def deploy(
    workload: Workload,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be scheduled.")] = False,
    json: Json = False,
    state: State = None,
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Schedules retraining on the workload's cron (UTC) through Prefect, one run at a time, until ctrl-C."""
    where = place_of(workload, state, project)
    from flows.scheduling import deploy as schedule

    planned = schedule(where, workload, dry_run, lambda plan: terminal.emit(plan, json, present.deploy))
    raise typer.Exit(planned)


@app.command(epilog=example("equipoise tour"))
def tour(json: Json = False, state: State = None, project: Project = None, debug: Debug = False) -> None:
    """The life cycle on the embedded data: a first champion, a promotion, a twin, a damaged model, a rollback."""
    where = place_of(None, state, project)
    from flows.tour import run

    terminal.emit(run(where, terminal.say), json, present.tour)


def main() -> None:
    """Entry point of `equipoise`; always ends the process with a status from the table of exit codes."""
    arguments = sys.argv[1:] or ["--help"]
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(terminal.guarded(lambda: _invoke(arguments), arguments))


def _invoke(arguments: list[str]) -> None:
    """Runs the verb without Typer's own handling of errors and interruptions, which would hide ours."""
    command = typer.main.get_command(app)
    with command.make_context("equipoise", arguments) as context:
        command.invoke(context)


def _terminate(*_: object) -> None:
    raise KeyboardInterrupt("SIGTERM received")


if __name__ == "__main__":
    main()
