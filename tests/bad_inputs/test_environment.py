"""Bad environments: each answered with one line and its exit status; nothing is left half-written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.config_edit import edit

ROOT = Path(__file__).parents[2]
needs_a_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


def equipoise(project: Path, *arguments: str, drop: tuple[str, ...] = (), **environment: str):
    dropped = ("PREFECT_API_URL", "MLFLOW_TRACKING_URI", "EQUIPOISE_DATABASE_URL", "EQUIPOISE_STATE", *drop)
    keep = {key: value for key, value in os.environ.items() if key not in dropped}
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments],
        cwd=project, env=keep | environment, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
    )  # fmt: skip


NO_KIND = {"EQUIPOISE_DATABASE_URL": "mysql://h/d"}
NO_ADDRESS = {"EQUIPOISE_DATABASE_URL": "nonsense://"}
NO_DATABASE = {"EQUIPOISE_DATABASE_URL": "postgresql://u@127.0.0.1:1/d"}
NO_SERVER = {"PREFECT_API_URL": "http://127.0.0.1:1/api"}
NO_URL = {"PREFECT_API_URL": "prefect"}
ROWS = {
    "the state is a file": (["status", "--state", "params.yaml"], {}, 73, "E_WRITE"),
    "the state is a file, by the environment": (["status"], {"EQUIPOISE_STATE": "params.yaml"}, 73, "E_WRITE"),
    "a promotion before there is a champion": (["promote", "tool_calling", "7"], {}, 78, "E_NO_CHAMPION"),
    "a judgement before there is a champion": (["gate", "tool_calling", "7"], {}, 78, "E_NO_CHAMPION"),
    "no project": (["status", "--project", "nowhere"], {}, 66, "E_MISSING"),
    "the project is a file": (["status", "--project", "params.yaml"], {}, 66, "E_MISSING"),
    "a database of another kind": (["history", "tool_calling"], NO_KIND, 78, "E_LEDGER_URL"),
    "a database address that is none": (["status"], NO_ADDRESS, 78, "E_LEDGER_URL"),
    "no database there": (["status"], NO_DATABASE, 69, "E_LEDGER_UNREACHABLE"),
    "a deployment against no server": (["deploy", "tool_calling"], NO_SERVER, 69, "E_PREFECT"),
    "a server that is no address": (["deploy", "tool_calling"], NO_URL, 69, "E_PREFECT"),
    "a project that is no pipeline": (["retrain", "tool_calling", "--project", "empty"], {}, 66, "E_MISSING"),
}


@pytest.mark.parametrize("name", ROWS)
def test_one_line_and_the_right_status(project, name):
    arguments, environment, status, code = ROWS[name]
    (project / "empty").mkdir()
    done = equipoise(project, *arguments, **environment)
    assert done.returncode == status, done.stderr
    lines = done.stderr.strip().splitlines()
    assert lines[-1].startswith(code) and "Traceback" not in done.stderr and done.stdout == ""


def test_looking_at_a_ledger_that_is_not_there_does_not_create_it(project):
    done = equipoise(project, "status", EQUIPOISE_DATABASE_URL="no-such-ledger")
    assert done.returncode == 0 and not (project / "no-such-ledger").exists()


def test_a_cron_of_four_fields(project):
    edit(project / "params.yaml", "tool_calling", ['schedule.cron="0 2 * *"'])
    done = equipoise(project, "deploy", "tool_calling", "--dry-run")
    assert done.returncode == 78 and done.stderr.startswith("E_CONFIG params.yaml: tool_calling.schedule.cron")


def test_a_password_is_never_shown(project):
    secret = "sup3rs3cret"
    for arguments, environment in (
        (["status"], {"EQUIPOISE_DATABASE_URL": f"postgresql://u:{secret}@127.0.0.1:1/d"}),
        (["deploy", "tool_calling"], {"PREFECT_API_URL": f"http://u:{secret}@127.0.0.1:1/api"}),
    ):
        done = equipoise(project, *arguments, **environment)
        assert done.returncode == 69 and secret not in done.stdout + done.stderr


def test_a_broken_ledger_is_named_and_left_alone(project):
    (project / ".equipoise").mkdir()
    (project / ".equipoise" / "ledger.db").write_bytes(b"this is no database, and it is long enough to be read" * 40)
    before = (project / ".equipoise" / "ledger.db").read_bytes()
    done = equipoise(project, "status")
    assert done.returncode == 78 and done.stderr.startswith("E_LEDGER_DAMAGED")
    assert (project / ".equipoise" / "ledger.db").read_bytes() == before


@pytest.mark.parametrize("drop", [("HOME",), ("LANG", "LC_ALL"), ("PATH",), ("TERM",)])
def test_what_a_bare_environment_lacks_is_not_missed(project, drop):
    done = equipoise(project, "status", drop=drop, LC_ALL="C")
    assert done.returncode == 0 and "no champion yet" in done.stdout


@needs_a_user
def test_a_read_only_project_says_so(project):
    project.chmod(0o500)
    done = equipoise(project, "prepare", "tool_calling")
    assert done.returncode == 73 and "E_WRITE" in done.stderr
