"""Several processes on one PostgreSQL: late ones, killed ones, a server that is away. Each candidate counts once."""

import json
import os
import subprocess
import sys

import pytest

from components.errors import EquipoiseError
from tests.flows.projects import ROOT
from tests.registry.postgres import cluster
from tests.training import toy
from tests.tuning.toy_campaign import campaign, plain, section

TOTAL = 5


@pytest.fixture(scope="module")
def sockets():
    with cluster() as folder:
        yield folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What one undisturbed process finds."""
    folder = tmp_path_factory.mktemp("whole")
    found = campaign(toy.prepare(section(), folder / "prepared"), folder / "state", TOTAL)
    return [plain(each) for each in found.candidates]


def played(scene, tmp_path, sockets):
    url = f"postgresql://test@/postgres?host={sockets}"
    command = [sys.executable, "-m", "tests.tuning.toy_workers", scene, str(tmp_path), str(sockets), url]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_a_late_worker_helps_and_a_dead_one_is_replaced_after_its_silence(tmp_path, sockets, whole):
    found = played("elsewhere", tmp_path, sockets)
    leader, late = found["leader"], found["late"]
    assert [each["number"] for each in leader["candidates"]] == list(range(TOTAL)), "none lost, none twice"
    assert late["epochs"], "the late one trained"
    over = [line for line in leader["lines"] + late["lines"] if "is taken over" in line]
    assert over == ["candidate 1 is taken over: whoever trained it fell silent"]
    trained = [line for each in (leader, late) for line in each["lines"] if " of 5: " in line]
    assert len(trained) == TOTAL, "each was trained to its end once"
    assert leader["candidates"][0] == whole[0]


def test_in_a_shared_folder_a_dead_leader_costs_its_last_steps_only(tmp_path, sockets, whole):
    found = played("shared", tmp_path, sockets)
    helper, leader = found["helper"], found["leader"]
    assert helper["epochs"][0] == 1, "it went on in the second epoch of what the dead one had begun"
    assert helper["candidates"] == whole and leader["candidates"] == whole and not leader["epochs"]


def test_a_server_that_is_away_is_waited_for(tmp_path, sockets, whole):
    assert played("restarted", tmp_path, sockets)["leader"]["candidates"] == whole


def test_a_worker_needs_a_campaign(tmp_path):
    prepared = toy.prepare(section(), tmp_path / "prepared")
    with pytest.raises(EquipoiseError) as refused:
        campaign(prepared, tmp_path / "state", None, worker=True)
    assert (refused.value.code, int(refused.value.exit_code)) == ("E_MISSING", 66)
    assert "without --worker" in str(refused.value)
