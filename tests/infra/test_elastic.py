"""torchrun trains a workload's stage on two ranks, one of which is killed: the group starts again and loses nothing."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from components.config_edit import edit
from components.files import sha256_file
from tests.flows.processes import descendants
from tests.flows.projects import real_project
from tests.infra.files import pods
from tests.infra.stack import end

W = "tool_calling"
SHARE = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"  # as the Kubernetes template sets it
SECONDS = 600.0
LONGER = ("training.epochs=3", "training.accumulate=2", "training.checkpoint_every=1", "training.batch_tokens=1024")
pytestmark = [pytest.mark.infra, pytest.mark.timeout(2400)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A project whose data are prepared, ready to train for some steps."""
    project = real_project(tmp_path_factory.mktemp("ranks") / "project")
    edit(project / "params.yaml", W, LONGER)
    for stage in ("generate", "prepare"):
        subprocess.run([sys.executable, "-m", "components.stage", stage, W], cwd=project, check=True)
    return project


@pytest.fixture(scope="module")
def undisturbed(prepared, tmp_path_factory):
    """The model's digest, trained by two ranks that nobody disturbs."""
    project = tmp_path_factory.mktemp("undisturbed") / "project"
    shutil.copytree(prepared, project)
    ended(ranks(project), project)
    return model(project)


def ranks(project: Path) -> subprocess.Popen[bytes]:
    """Two ranks of the train stage; what they print lies in ranks.log."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts"]
    command += ["3", "-m", "components.stage", "train", W]
    (pod,) = [spec for _, labels, spec in pods() if labels["app"] == "training"]
    given = {each["name"]: each["value"] for each in pod["containers"][0]["env"]}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", SHARE: given[SHARE]}
    with (project / "ranks.log").open("ab") as log:
        return subprocess.Popen(command, cwd=project, env=environment, stdout=log, stderr=log, start_new_session=True)


def ended(process: subprocess.Popen[bytes], project: Path) -> None:
    """Waits for the ranks; the test fails with their last lines where they did not end well."""
    try:
        status = process.wait(SECONDS)
    finally:
        if process.poll() is None:
            end(process)
    assert status == 0, (project / "ranks.log").read_text(errors="replace")[-3000:]


def model(project: Path) -> str:
    return sha256_file(project / "checkpoints" / W / "model.safetensors")


def rank_of(pid: int) -> str | None:
    """RANK in a process's environment, for a process that trains."""
    try:
        settings = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return None
    named = dict(each.split(b"=", 1) for each in settings if b"=" in each)
    return named[b"RANK"].decode() if b"RANK" in named and b"components.stage" in words else None


@pytest.mark.parametrize("victim", ["0", "1"])
def test_a_killed_rank_costs_time_and_nothing_else(prepared, undisturbed, tmp_path, victim):
    """Killed once a state was saved and before the model is: whoever is left ends, both start again and go on."""
    project = tmp_path / "project"
    shutil.copytree(prepared, project)
    process = ranks(project)
    folder, wake, until = project / "checkpoints" / W, threading.Event(), time.monotonic() + SECONDS
    try:
        while not list(folder.glob("resume/slot-*.json")):
            assert process.poll() is None and time.monotonic() < until
            wake.wait(0.02)
        (killed,) = [pid for pid in descendants(process.pid) if rank_of(pid) == victim]
        os.kill(killed, signal.SIGKILL)
        assert not (folder / "model.safetensors").exists(), "it was killed too late to show anything"
    finally:
        ended(process, project)
    assert "SIGKILL" in (project / "ranks.log").read_text() or "exitcode: -9" in (project / "ranks.log").read_text()
    assert model(project) == undisturbed


def test_a_stage_finds_the_training_of_ranks_finished(prepared, undisturbed, tmp_path):
    """What torchrun trained is what `dvc repro` would train: one process goes through it and changes nothing."""
    project = tmp_path / "project"
    shutil.copytree(prepared, project)
    ended(ranks(project), project)
    again = [sys.executable, "-m", "components.stage", "train", W]
    done = subprocess.run(again, cwd=project, capture_output=True, text=True, timeout=SECONDS, check=True)
    assert "training has finished, nothing to do" in done.stdout
    assert model(project) == undisturbed
