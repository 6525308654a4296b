"""Candidates of killed campaigns: told from those at work, put back, and trained on as if nothing had happened."""

import contextlib
import fcntl

import pytest

from components.tuning.abandoned import abandoned, put_back
from components.tuning.storage import open_storage
from components.tuning.trials import OWNER
from tests.training import toy
from tests.tuning.toy_campaign import campaign, plain, section


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return toy.prepare(section(), tmp_path_factory.mktemp("toy") / "prepared")


def killed_in_its_second_candidate(prepared, state, owner=None):
    """The state as a kill leaves it once the second candidate was trained, but not told."""
    found = campaign(prepared, state, 2)
    with storage_of(state) as storage:
        (trial,) = [each._trial_id for each in trials_of(storage, found.name) if each.number == 1]
        with storage.engine.begin() as connection:
            for table in ("trial_values", "trial_user_attributes"):
                connection.exec_driver_sql(f"DELETE FROM {table} WHERE trial_id = {trial}")
            connection.exec_driver_sql(f"UPDATE trials SET state = 'RUNNING' WHERE trial_id = {trial}")
        storage.set_trial_user_attr(trial, OWNER, owner or (found.folder / "owner").read_text().strip())
    return found


@contextlib.contextmanager
def storage_of(state):
    storage, _ = open_storage(state, None)
    yield storage
    storage.engine.dispose()


def trials_of(storage, name):
    return storage.get_all_trials(storage.get_study_id_from_name(name))


def states(state, name):
    with storage_of(state) as storage:
        return [trial.state.name for trial in trials_of(storage, name)]


def test_a_campaign_goes_on_from_the_queue_as_an_undisturbed_one(prepared, tmp_path):
    found = killed_in_its_second_candidate(prepared, tmp_path)
    (left,) = abandoned(tmp_path, None, "toys")
    assert (left.study, left.number, left.workload) == (found.name, 1, "toy")
    assert put_back(tmp_path, None, left)
    assert states(tmp_path, found.name) == ["COMPLETE", "WAITING"]
    assert abandoned(tmp_path, None, "toys") == []
    assert put_back(tmp_path, None, left), "what was put back already stays so"
    again, whole = campaign(prepared, tmp_path, 3), campaign(prepared, tmp_path / "whole", 3)
    assert [plain(each) for each in again.candidates] == [plain(each) for each in whole.candidates]


def test_a_campaign_at_work_is_left_alone(prepared, tmp_path):
    found = killed_in_its_second_candidate(prepared, tmp_path)
    (left,) = abandoned(tmp_path, None, "toys")
    with (found.folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert abandoned(tmp_path, None, "toys") == []
        assert not put_back(tmp_path, None, left)
    assert states(tmp_path, found.name)[1] == "RUNNING"


def test_what_cannot_be_told_from_here_is_left_alone(prepared, tmp_path):
    found = killed_in_its_second_candidate(prepared, tmp_path, owner="elsewhere")
    assert abandoned(tmp_path, None, "another") == []
    assert abandoned(tmp_path, None, "toys") == []
    (found.folder / "owner").write_text("elsewhere\n")
    assert len(abandoned(tmp_path, None, "toys")) == 1


def test_asking_creates_nothing(tmp_path):
    assert abandoned(tmp_path, None, "toys") == []
    (tmp_path / "campaigns" / "toys" / "toy" / "c").mkdir(parents=True)
    (tmp_path / "campaigns" / "toys" / "toy" / "c" / "owner").write_text("mine\n")
    assert abandoned(tmp_path, None, "toys") == [] and not (tmp_path / "optuna.db").exists()
