"""Signs of life, the mutex of claims, and patience with a server that is away."""

import threading
import time

import optuna
import pytest
import sqlalchemy
from sqlalchemy.exc import IntegrityError, OperationalError

from components.errors import EquipoiseError
from components.tuning import storage as storage_module
from components.tuning.alone import alone, among_others, taken, wait_for
from components.tuning.storage import beaten, beating, claiming, open_storage, patiently, stale

NOWHERE = sqlalchemy.create_engine("postgresql+psycopg://nobody@/nothing?host=/nonexistent")


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study in SQLite with two running trials, whose signs of life hold for a second."""
    monkeypatch.setattr(storage_module, "BEAT_SECONDS", 1)
    monkeypatch.setattr(storage_module, "GRACE_SECONDS", 1)
    storage, _ = open_storage(tmp_path, None)
    study = optuna.create_study(storage=storage, study_name="s")
    for _ in range(2):
        study.ask()
    yield study
    storage.engine.dispose()


def test_a_trial_that_beats_is_not_stale_and_one_that_never_did_is_unknown(study):
    storage, (first, second) = study._storage._backend, (trial._trial_id for trial in study.trials)
    for trial in (first, second):
        assert trial not in beaten(storage)
    storage.record_heartbeat(first)
    assert beaten(storage) == {first} and stale(storage, study._study_id) == set()
    with beating(storage, [second]):
        time.sleep(3.2)
        assert stale(storage, study._study_id) == {first} and beaten(storage) == {first, second}
    assert "heartbeat" not in {each.name for each in threading.enumerate()}


def test_claims_exclude_each_other(study):
    storage, order = study._storage._backend, []

    def claim():
        with claiming(storage, "s"):
            order.append("second")

    thread = threading.Thread(target=claim)
    with claiming(storage, "s"):
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def unreachable(*_):
    with NOWHERE.connect():
        raise AssertionError("there is a server")


def test_a_server_that_comes_back_is_waited_for():
    calls = []

    def call():
        calls.append(len(calls))
        return 5 if len(calls) == 3 else unreachable()

    assert patiently(call) == 5 and calls == [0, 1, 2]


def test_patience_ends_and_other_errors_are_not_waited_for():
    calls = []
    with pytest.raises(OperationalError):
        patiently(lambda: calls.append(0) or unreachable(), patience=0.3)
    assert len(calls) == 2, "once, and once more within the patience"
    with pytest.raises(IntegrityError):
        patiently(lambda: calls.append(0) or _refused())
    assert len(calls) == 3


def _refused():
    raise IntegrityError("INSERT", {}, Exception("unique"))


def test_a_folder_is_shared_or_had_alone(tmp_path):
    shared = among_others(tmp_path, "p"), among_others(tmp_path, "p")
    with shared[0], shared[1], pytest.raises(EquipoiseError) as refused, alone(tmp_path, "p", "a campaign", "wait"):
        raise AssertionError("it is shared")
    assert (refused.value.code, int(refused.value.exit_code)) == ("E_BUSY", 75)
    with alone(tmp_path, "p", "a campaign", "wait"), pytest.raises(EquipoiseError), among_others(tmp_path, "p"):
        raise AssertionError("somebody has it alone")


def test_a_candidate_is_had_by_one_and_waited_for_by_others(tmp_path):
    order, held = [], taken(tmp_path, "candidate-1")
    assert held is not None and taken(tmp_path, "candidate-1") is None
    other = taken(tmp_path, "candidate-2")
    assert other is not None
    other.close()

    def wait():
        wait_for(tmp_path, "candidate-1")
        order.append("waited")

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.3)
    order.append("held")
    held.close()
    thread.join()
    assert order == ["held", "waited"]
