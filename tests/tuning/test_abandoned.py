"""Candidates of killed campaigns: told from those at work, put back, and trained on as if nothing had happened."""

import fcntl

import optuna
import pytest

from components.tuning.abandoned import abandoned, put_back
from components.tuning.campaign import OWNER
from tests.training import toy
from tests.tuning.toy_campaign import campaign, plain, section


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return toy.prepare(section(), tmp_path_factory.mktemp("toy") / "prepared")


def killed_in_its_second_candidate(prepared, state):
    """The state as a kill leaves it once the second candidate's weights were drawn, and its study."""
    found = campaign(prepared, state, 2)
    study = optuna.load_study(study_name=found.name, storage=f"sqlite:///{state / 'optuna.db'}")
    trial = study.get_trials()[1]
    with study._storage.engine.begin() as connection:  # as it stood before it was told
        for table in ("trial_values", "trial_user_attributes"):
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE trial_id = {trial._trial_id}")
        connection.exec_driver_sql(
            f"UPDATE trials SET state = 'RUNNING', datetime_complete = NULL WHERE trial_id = {trial._trial_id}"
        )
    owner = (found.folder / "owner").read_text().strip()
    study._storage.set_trial_user_attr(trial._trial_id, OWNER, owner)
    return found, study


def test_a_campaign_goes_on_from_the_queue_as_an_undisturbed_one(prepared, tmp_path):
    found, study = killed_in_its_second_candidate(prepared, tmp_path)
    (left,) = abandoned(tmp_path, None, "toys")
    assert (left.study, left.number, left.workload) == (found.name, 1, "toy")
    assert put_back(tmp_path, None, left)
    assert [trial.state.name for trial in study.get_trials()] == ["COMPLETE", "WAITING"]
    assert abandoned(tmp_path, None, "toys") == []
    assert put_back(tmp_path, None, left), "what was put back already stays so"
    again, whole = campaign(prepared, tmp_path, 3), campaign(prepared, tmp_path / "whole", 3)
    assert [plain(each) for each in again.candidates] == [plain(each) for each in whole.candidates]


def test_a_campaign_at_work_is_left_alone(prepared, tmp_path):
    found, study = killed_in_its_second_candidate(prepared, tmp_path)
    (left,) = abandoned(tmp_path, None, "toys")
    with (found.folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert abandoned(tmp_path, None, "toys") == []
        assert not put_back(tmp_path, None, left)
    assert study.get_trials()[1].state.name == "RUNNING"


def test_what_cannot_be_told_from_here_is_left_alone(prepared, tmp_path):
    found, study = killed_in_its_second_candidate(prepared, tmp_path)
    assert abandoned(tmp_path, None, "another") == []
    trial = study.get_trials()[1]
    study._storage.set_trial_user_attr(trial._trial_id, OWNER, "elsewhere")
    assert abandoned(tmp_path, None, "toys") == []
    (found.folder / "owner").write_text("elsewhere\n")
    assert len(abandoned(tmp_path, None, "toys")) == 1


def test_asking_creates_nothing(tmp_path):
    assert abandoned(tmp_path, None, "toys") == []
    (tmp_path / "campaigns" / "toys" / "toy" / "c").mkdir(parents=True)
    (tmp_path / "campaigns" / "toys" / "toy" / "c" / "owner").write_text("mine\n")
    assert abandoned(tmp_path, None, "toys") == [] and not (tmp_path / "optuna.db").exists()
