"""The stage command as DVC calls it: exit codes, one-line errors, the lock, what it imports, dying with its parent."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components import stage
from components.errors import EquipoiseError, bad_data

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_wrong_workload_is_a_usage_error(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stage.main(["prepare", "tool_caling"]) == 2
    captured = capsys.readouterr()
    assert captured.err == (
        "E_WORKLOAD command line: the workload must be one of tool_calling, trading, assertions, keyboard, "
        "got tool_caling. Name one of them.\n"
    )
    assert captured.out == ""


def test_unknown_stage_is_a_usage_error(project: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        stage.main(["cook", "tool_calling"])
    assert caught.value.code == 2


def test_no_params_and_no_project(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "params.yaml").unlink()
    assert stage.main(["train", "tool_calling"]) == 66
    assert stage.main(["train", "tool_calling", "--project", "nowhere"]) == 66
    errors = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in errors] == ["E_MISSING", "E_PROJECT"]


def test_bad_parameter_is_78_and_names_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(re.sub(r"learning_rate: \S+", "learning_rate: fast", text))
    assert stage.main(["train", "tool_calling"]) == 78
    assert "tool_calling.training.learning_rate" in capsys.readouterr().err


def test_training_before_preparing_says_what_to_run(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stage.main(["train", "tool_calling"]) == 66
    error = capsys.readouterr().err
    assert "manifest.json" in error
    assert "equipoise prepare tool_calling" in error
    assert not (project / "checkpoints" / "tool_calling").exists()


@pytest.mark.parametrize(
    ("problem", "code", "text"),
    [
        (bad_data("dev.jsonl:3", "a tool must have a name", got="", hint="Name it"), 65, "E_DATA dev.jsonl:3: a tool"),
        (KeyboardInterrupt(), 130, "Interrupted. Run train again to go on"),
        (KeyboardInterrupt("stopped at\nstep 3"), 130, "stopped at\\nstep 3"),
        (ZeroDivisionError("by zero"), 1, "E_INTERNAL train tool_calling: ZeroDivisionError: by zero."),
    ],
)
def test_every_end_is_one_line_and_a_code(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    problem: BaseException,
    code: int,
    text: str,
) -> None:
    def fail(name: str, section: object) -> str:
        raise problem

    monkeypatch.setitem(stage.STAGES, "train", fail)
    assert stage.main(["train", "tool_calling"]) == code
    error = capsys.readouterr().err
    assert error.startswith(text)
    assert error.count("\n") == 1
    monkeypatch.setenv("EQUIPOISE_DEBUG", "1")
    with pytest.raises(type(problem)):
        stage.main(["train", "tool_calling"])


def test_second_of_a_workload_is_busy_and_the_lock_outlives_nobody(project: Path) -> None:
    with stage.locked("tool_calling"):
        with (
            pytest.raises(EquipoiseError, match=f"E_BUSY tool_calling: .*process {os.getpid()} at work") as caught,
            stage.locked("tool_calling"),
        ):
            pass
        assert caught.value.exit_code == 75
        with stage.locked("trading"):
            pass
    with stage.locked("tool_calling"):
        pass


def test_the_first_rank_holds_the_lock_for_the_others(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with stage.locked("tool_calling"):
        monkeypatch.setenv("RANK", "0")
        with pytest.raises(EquipoiseError, match="E_BUSY"), stage.locked("tool_calling"):
            pass
        monkeypatch.setenv("RANK", "1")
        with stage.locked("tool_calling"):
            pass


def test_lock_of_a_killed_process_is_free(project: Path) -> None:
    code = (
        "import sys, time; from components.stage import locked\n"
        "with locked('w'):\n print('held', flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(EquipoiseError, match=f"process {holder.pid}"), stage.locked("w"):
            pass
    finally:
        holder.kill()
        holder.wait()
    with stage.locked("w"):
        pass


@pytest.mark.parametrize("verb", ["generate", "prepare"])
def test_generate_and_prepare_do_not_import_torch(project: Path, verb: str) -> None:
    code = (
        "import sys; from components import stage\n"
        f"stage._data_module('tool_calling'); stage.main([{verb!r}, 'nothing'])\n"
        "heavy = {'torch', 'mlflow', 'prefect', 'optuna'} & set(sys.modules)\n"
        "print(sorted(heavy))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_child_of_a_killed_parent_dies() -> None:
    child = (
        "import time; from components.stage import die_with_parent\n"
        "die_with_parent(); print('up', flush=True); time.sleep(60)"
    )
    parent = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE)\n"
        "p.stdout.readline(); print(p.pid, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    grandchild = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20
    while _alive(grandchild) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(grandchild)


def _alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
