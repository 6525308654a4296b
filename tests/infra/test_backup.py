"""A project with a champion: copied, lost, put back. It answers as before, and doctor finds nothing wrong."""

import contextlib
import json
import shutil
import subprocess
import sys

import pytest

from components import stage
from components.workloads.tool_calling.baseline import fit_baseline
from flows import judging, registration
from flows.state import Place, exclusive
from tests.flows.projects import ROOT, command, real_project
from tests.infra.files import INFRA

W = "tool_calling"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A project whose baseline serves; its state lies outside."""
    folder = tmp_path_factory.mktemp("kept")
    made = Place(real_project(folder / "project"), folder / "state")
    section = made.config().tool_calling
    with contextlib.chdir(made.project):
        stage.generate(W, section)
        stage.prepare(W, section)
    fit_baseline(section, made.prepared(W), made.evaluation(W) / registration.BASELINE)
    made.state.mkdir()
    with registration.desk(made, W, "tester", print) as at:
        assert judging.first_champion(at) == 1
    tool = {"name": "clock.set", "description": "Sets an alarm", "parameters": {"time": "when it rings"}}
    row = {"tools": [tool], "history": [{"role": "user", "content": "wake me at 7:30 please"}]}
    (made.project / "asked.jsonl").write_text(json.dumps(row) + "\n")
    return made


def backup(verb: str, target, place: Place) -> subprocess.CompletedProcess[str]:
    words = [verb, str(target), "--project", str(place.project), "--state", str(place.state)]
    return subprocess.run(
        [sys.executable, str(INFRA / "backup.py"), *words], cwd=ROOT, capture_output=True, text=True, timeout=600
    )


@pytest.mark.timeout(900)
def test_what_was_lost_is_put_back_and_answers_as_before(place, tmp_path):
    named = ("--state", str(place.state))
    before = command(place.project, "predict", W, "--input", "asked.jsonl", *named)
    assert before.returncode == 0 and len(before.stdout.splitlines()) == 1, before.stderr
    made = backup("make", tmp_path / "copy", place)
    assert made.returncode == 0 and made.stdout.startswith(f"{tmp_path / 'copy'}: "), made.stderr
    shutil.rmtree(place.project)
    shutil.rmtree(place.state)

    restored = backup("restore", tmp_path / "copy", place)
    assert restored.returncode == 0, restored.stderr
    found = command(place.project, "doctor", "--json", *named)
    assert found.returncode == 0 and json.loads(found.stdout)["findings"] == [], found.stdout
    after = command(place.project, "predict", W, "--input", "asked.jsonl", *named)
    assert after.returncode == 0 and after.stdout == before.stdout

    again = backup("restore", tmp_path / "copy", place)
    assert again.returncode == 78 and again.stderr.startswith(f"E_BACKUP {place.project}: nothing may be there")


def test_a_copy_is_not_written_over_another(place, tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "precious").touch()
    done = backup("make", tmp_path / "old", place)
    assert done.returncode == 78 and done.stderr.startswith("E_BACKUP ") and (tmp_path / "old" / "precious").exists()


def test_nothing_is_copied_while_a_workload_changes(place, tmp_path):
    with exclusive(place, "keyboard"):
        done = backup("make", tmp_path / "copy", place)
    assert done.returncode == 75 and done.stderr.startswith("E_BUSY keyboard: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("part", ["project/params.yaml", "state/ledger.db"])
def test_a_damaged_copy_is_not_put_back(place, tmp_path, part):
    assert backup("make", tmp_path / "copy", place).returncode == 0
    path = tmp_path / "copy" / part
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    new = Place(tmp_path / "new", tmp_path / "new-state")
    done = backup("restore", tmp_path / "copy", new)
    assert done.returncode == 65 and done.stderr.startswith("E_BACKUP ") and not new.project.exists()


def test_a_folder_that_is_no_backup_is_refused(place, tmp_path):
    done = backup("restore", tmp_path, place)
    assert done.returncode == 66 and done.stderr.startswith("E_MISSING ")
