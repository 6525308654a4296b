"""The command line: help, one JSON document, one-line errors, statuses, and what stays unimported."""

import json
import signal
import subprocess
import sys

import pytest

from tests.flows.projects import command

VERBS = (
    "prepare",
    "train",
    "evaluate",
    "retrain",
    "tune",
    "study",
    "predict",
    "serve",
    "gate",
    "promote",
    "rollback",
    "history",
)
VERBS += ("shadow", "simulate", "lineage", "diff", "reproduce", "report")
VERBS += ("status", "doctor", "data", "init", "deploy", "tour")
HEAVY = ("torch", "mlflow", "prefect", "optuna", "sklearn", "pandas")
IMPORTED = (
    "import sys\nfrom flows import cli\nsys.argv = ['equipoise', *{arguments!r}]\n"
    "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
    "print('HEAVY', [m for m in {heavy!r} if m in sys.modules], file=sys.stderr)\n"
)


@pytest.mark.parametrize("arguments", [["--help"], ["status"], ["status", "--json"], ["history", "tool_calling"]])
def test_what_only_looks_imports_nothing_heavy(plain, arguments):
    code = IMPORTED.format(arguments=arguments, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], cwd=plain.project, capture_output=True, text=True)
    assert done.stderr.strip().endswith("HEAVY []"), done.stderr


def test_every_verb_explains_itself_with_an_example():
    from typer.main import get_command

    from flows.cli import app

    commands = get_command(app).commands  # pyright: ignore[reportAttributeAccessIssue]
    assert set(VERBS) == set(commands)
    for name, each in commands.items():
        assert each.epilog.startswith(f"Example: equipoise {name}"), name
        options = {option for parameter in each.params for option in parameter.opts}
        assert {"--json", "--state", "--project", "--debug"} <= options, name


def test_status_of_a_fresh_project_is_one_document_and_creates_nothing(plain):
    done = command(plain.project, "status", "--json")
    assert json.loads(done.stdout)["tool_calling"]["champion"] is None
    assert done.returncode == 0 and not plain.state.exists()


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (["nonsense"], 2, "E_USAGE"),
        (["train"], 2, "E_USAGE"),
        (["train", "other"], 2, "E_WORKLOAD"),
        (["train", "tool_calling", "--bogus"], 2, "E_USAGE"),
        (["train", "tool_calling", "--set", "training.epoch=1"], 78, "E_CONFIG_KEY"),
        (["train", "tool_calling", "--seed", "-1"], 78, "E_CONFIG"),
        (["prepare", "tool_calling", "--data", "no/such/folder"], 66, "E_MISSING"),
        (["history", "tool_calling", "--at", "yesterday"], 2, "E_TIME"),
        (["history"], 2, "E_USAGE"),
        (["predict", "tool_calling", "--input", "no-such-file.jsonl"], 66, "E_MISSING"),
        (["predict", "tool_calling", "--input", "raw.txt"], 78, "E_NO_CHAMPION"),
        (["rollback", "tool_calling"], 78, "E_LEDGER_VERSION"),
    ],
)
def test_a_wrong_command_is_answered_on_one_line(plain, arguments, status, code):
    before = plain.params.read_bytes()
    done = command(plain.project, *arguments, "--json")
    assert done.returncode == status, done.stderr
    assert json.loads(done.stdout)["error"]["code"] == code
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(code) and "Traceback" not in done.stderr
    assert plain.params.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "rule", "hint"),
    [
        (["nonsense", "tool_calling"], "no such command 'nonsense', got nonsense tool_calling", "equipoise --help"),
        (["train"], "missing argument 'workload', got train", "equipoise train --help"),
        (["serve", "tool_calling", "--port", "x y"], "got serve tool_calling --port 'x y'", "equipoise serve --help"),
        (["train", "tool_calling", "-\n" + "y" * 300], "\\n" + "y" * 60, "equipoise train --help"),
    ],
)
def test_a_command_that_is_typed_wrong_is_shown_with_its_rule_and_the_help_that_helps(arguments, rule, hint, plain):
    done = command(plain.project, *arguments)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and line.startswith("E_USAGE command line: ") and rule in line
    assert line.endswith(f". See `{hint}`.") and len(line) < 800


def test_what_set_changed_is_said_written_and_kept(plain):
    done = command(plain.project, "prepare", "tool_calling", "--set", "training.epochs=123")
    assert "tool_calling.training.epochs" in done.stderr and "epochs: 123" in plain.params.read_text()
    assert json.loads((plain.state / "edits.jsonl").read_text())["after"] == 123


def test_nobody_reading_the_answer_is_no_traceback(plain):
    code = "import sys\nfrom flows import cli\nsys.argv = ['equipoise', 'history', '--verify']\ncli.main()\n"
    interpreter = [sys.executable, "-c", code]
    child = subprocess.Popen(interpreter, cwd=plain.project, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None and child.stderr is not None
    child.stdout.close()
    assert b"Traceback" not in child.stderr.read()
    assert child.wait() == 141


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_says_how_to_go_on(plain, number):
    """The signal comes while the stage is at work."""
    (plain.project / "prepare.py").write_text("import time\nprint('at work', flush=True)\ntime.sleep(600)\n")
    text = plain.params.read_text().replace("source: data/raw/tool_calling", "source: raw.txt")
    plain.params.write_text(text)
    child = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "prepare", "tool_calling"],
        cwd=plain.project, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stderr is not None
    assert any("at work" in line for line in child.stderr)
    child.send_signal(number)
    rest = child.stderr.read()
    assert child.wait(60) == 130
    assert "E_INTERRUPTED" in rest and "equipoise prepare tool_calling" in rest and "Traceback" not in rest
