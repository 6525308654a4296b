"""The files that DVC rewrites in place, cut off as a kill leaves them: the next look puts them right."""

import json
import os
import subprocess
import sys

import pytest

from components.errors import EquipoiseError
from flows.stages import bring_up_to_date, stale

W = "tool_calling"
STAGES = ["prepare", "train"]


def quiet(_line: str) -> None:
    pass


@pytest.fixture
def generated(plain):
    """A project whose first stage is up to date, and has been looked at once since."""
    bring_up_to_date(plain, W, "prepare", quiet)
    assert stale(plain, W, STAGES) == ["train"]
    return plain


@pytest.fixture
def ended():
    """The number of a process that is gone."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.97])
def test_a_lock_file_that_was_cut_off_is_put_back(generated, share):
    lock = generated.project / "dvc.lock"
    whole = lock.read_bytes()
    lock.write_bytes(whole[: int(share * len(whole))] + b"  - {")
    assert stale(generated, W, STAGES) == ["train"]
    assert lock.read_bytes() == whole


def test_an_emptied_lock_file_is_put_back_and_a_deleted_one_is_not(generated):
    lock = generated.project / "dvc.lock"
    whole = lock.read_bytes()
    lock.write_bytes(b"")
    assert stale(generated, W, STAGES) == ["train"] and lock.read_bytes() == whole
    lock.unlink()
    assert stale(generated, W, STAGES) == STAGES and not lock.exists()


def test_an_older_lock_file_that_is_whole_stays(generated):
    """Somebody put an earlier state of the project back: what is kept follows."""
    lock = generated.project / "dvc.lock"
    lock.write_text("schema: '2.0'\nstages: {}\n")
    assert stale(generated, W, STAGES) == STAGES
    lock.write_bytes(b"")
    stale(generated, W, STAGES)
    assert lock.read_text() == "schema: '2.0'\nstages: {}\n"


def test_a_damaged_lock_file_that_was_never_whole_here_is_an_error(plain):
    lock = plain.project / "dvc.lock"
    lock.write_bytes(b"schema: '2.0'\nstages: {")
    with pytest.raises(EquipoiseError) as caught:
        stale(plain, W, STAGES)
    assert caught.value.code == "E_DVC" and int(caught.value.exit_code) == 78
    assert lock.read_bytes() == b"schema: '2.0'\nstages: {"


@pytest.mark.parametrize("content", [b"", b'{"read": {"/a": [{"pid": 1, "cm', b'{"read": {"/a": [{"pid": "one"}]}}'])
def test_holders_that_cannot_be_read_hold_nothing(generated, content):
    holders = generated.project / ".dvc" / "tmp" / "rwlock"
    holders.write_bytes(content)
    assert stale(generated, W, STAGES) == ["train"]
    assert not any(json.loads(holders.read_bytes()).values())


def test_only_holders_that_live_are_left(generated, ended):
    holders = generated.project / ".dvc" / "tmp" / "rwlock"
    mine, dead = {"pid": os.getpid(), "cmd": "dvc repro"}, {"pid": ended, "cmd": "dvc repro"}
    held = {"write": {"/a": mine, "/b": dead}, "read": {"/c": [dead, mine], "/d": [dead]}}
    holders.write_text(json.dumps(held))
    stale(generated, W, STAGES)
    assert json.loads(holders.read_bytes()) == {"write": {"/a": mine}, "read": {"/c": [mine]}}
