"""Doctor on real engines: a whole project has no fault, every planted one is found, repaired where that is safe."""

import fcntl
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import optuna
import pytest

from components.registry import aliases, processes, tracking
from components.registry.ledger import open_ledger
from flows import judging, leftovers, registration
from flows.doctor import run, status
from flows.stages import bring_up_to_date
from flows.state import Place, exclusive
from tests.flows.projects import ROOT, command

W, MODEL = "tool_calling", "equipoise-tool_calling"
LATER = 120.0  # seconds: longer than a leftover must have been left alone
DYING = """
import os, signal
from pathlib import Path
from components.registry import tracking
store = tracking.open_store(Path({state!r}), "equipoise")
print(tracking.start_run(store, "train", "tool_calling", "left open", params={{}}, tags={{}}), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def quiet(_line):
    pass


@pytest.fixture(autouse=True)
def embedded(monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "EQUIPOISE_DATABASE_URL", "EQUIPOISE_STATE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def promoted(fitted, tmp_path_factory):
    """The fitted project with two versions, the second of which serves."""
    place = Place(fitted.project, tmp_path_factory.mktemp("promoted") / "state")
    with registration.desk(place, W, "tester", quiet) as at:
        judging.first_champion(at)
        other = place.state / "other"
        shutil.copytree(place.evaluation(W) / registration.BASELINE, other)
        (other / "note.txt").write_text("another model")
        version = registration.register_folder(at, other, "another")
        at.ledger.promote(
            W, version, expected_generation=1, evaluation_digest=None, report_sha256="ab" * 32, key="second",
            actor="tester", reason="for the test",
        )  # fmt: skip
        judging.show(at)
    return place


@pytest.fixture
def own(promoted, tmp_path):
    """A copy of it that a test may damage."""
    shutil.copytree(promoted.state, tmp_path / "state")
    project = tmp_path / "project"
    shutil.copytree(promoted.project / "data", project / "data")
    shutil.copyfile(promoted.project / "params.yaml", project / "params.yaml")
    return Place(project, tmp_path / "state")


def store_of(place):
    store = tracking.open_store(place.state, "equipoise")
    return store, tracking.client(store)


def codes(document):
    return [each["code"] for each in document["findings"]]


def events(place, name=W):
    with open_ledger(place.ledger) as ledger:
        ledger.verify()
        return [event.document() for event in ledger.history(name)]


def repaired(place, *expected, workload=W):
    """The faults are found by a look, repaired by --fix and recorded, and gone after it."""
    looked = run(place, False, quiet)
    assert codes(looked) == list(expected) and status(looked) == 78
    assert not any(each["fixed"] for each in looked["findings"])
    before = len(events(place, workload))
    mended = run(place, True, quiet)
    assert codes(mended) == list(expected) and status(mended) == 0, mended
    assert all(each["fixed"] for each in mended["findings"])
    (event,) = events(place, workload)[before:]
    assert event["event"] == "repair" and event["version"] is None
    assert [each["code"] for each in event["details"]["repairs"]] == list(expected)
    assert run(place, True, quiet)["findings"] == [] and len(events(place, workload)) == before + 1


def needs_a_person(place, *expected):
    """The faults are found, and --fix leaves them and records nothing."""
    assert codes(run(place, False, quiet)) == list(expected)
    mended = run(place, True, quiet)
    assert codes(mended) == list(expected) and status(mended) == 78
    assert not any(each["fixed"] for each in mended["findings"])
    return mended["findings"]


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_whole_project_has_no_fault(own):
    found = run(own, False, quiet)
    assert found == {"findings": [], "notes": []} and status(found) == 0
    assert "repair" not in {event["event"] for event in events(own)}


def test_an_empty_folder_holds_nothing_and_stays_empty(tmp_path):
    done = command(tmp_path, "doctor", "--fix", PYTHONPATH=str(ROOT))
    assert done.returncode == 0 and "there is nothing in" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_project_before_its_first_command_stays_as_it_is(plain):
    assert run(plain, True, quiet) == {"findings": [], "notes": []}
    assert not plain.state.exists() and not (plain.project / ".dvc").exists()


def test_aliases_and_tags_that_fell_behind_are_projected_again(own):
    _, mlflow = store_of(own)
    mlflow.set_registered_model_alias(MODEL, "champion", "1")
    mlflow.set_registered_model_alias(MODEL, "challenger", "1")
    mlflow.set_registered_model_tag(MODEL, "generation", "1")
    mlflow.delete_model_version_tag(MODEL, "2", "gate_report")
    repaired(own, *["E_PROJECTION"] * 4)
    shown = mlflow.get_registered_model(MODEL)
    assert {alias: int(v) for alias, v in shown.aliases.items()} == {"champion": 2, "previous-champion": 1}
    assert mlflow.get_model_version(MODEL, "2").tags["gate_report"] == "ab" * 32


def test_a_ledger_that_is_older_than_its_projection_is_not_believed(own):
    _, mlflow = store_of(own)
    mlflow.set_registered_model_tag(MODEL, "generation", "9")
    (found,) = needs_a_person(own, "E_LEDGER_BEHIND")
    assert found["got"] == "9" and "put back its newest copy" in found["hint"]
    assert mlflow.get_registered_model(MODEL).tags["generation"] == "9"


def test_a_champion_that_mlflow_lost_needs_a_person(own):
    _, mlflow = store_of(own)
    mlflow.delete_registered_model_alias(MODEL, "champion")
    mlflow.delete_model_version(MODEL, "2")
    (found,) = needs_a_person(own, "E_VERSION_LOST")
    assert found["got"] == "no version 2" and "rollback tool_calling" in found["hint"]


def test_a_lost_database_of_mlflow_is_not_made_anew(own):
    for path in own.state.glob("mlflow.db*"):
        path.unlink()
    needs_a_person(own, "E_VERSION_LOST", "E_VERSION_LOST")
    assert not (own.state / "mlflow.db").exists()


@pytest.mark.parametrize("change", ["reason = 'another'", "hash = 'x'", "generation = 7"])
def test_a_broken_chain_is_told_and_nothing_is_repaired_beside_it(own, change):
    _, mlflow = store_of(own)
    mlflow.delete_registered_model_alias(MODEL, "champion")
    left = left_open(own)
    with closing(sqlite3.connect(own.state / "ledger.db")) as ledger:
        for (name,) in ledger.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            ledger.execute(f"DROP TRIGGER {name}")  # as somebody with the file could
        ledger.execute(f"UPDATE equipoise_ledger SET {change} WHERE sequence = 2")
        ledger.commit()
    broken, _ = needs_a_person(own, "E_LEDGER_DAMAGED", "E_RUN_LEFT")
    assert broken["place"] == "ledger event 2" and "restore a backup" in broken["hint"]
    assert mlflow.get_run(left).info.status == "RUNNING"
    notes = run(own, True, quiet)["notes"]
    assert [n for n in notes if "aliases were not compared" in n] and [n for n in notes if "nothing was repaired" in n]
    with closing(sqlite3.connect(own.state / "ledger.db")) as ledger:
        assert ledger.execute("SELECT count(*) FROM equipoise_ledger").fetchone() == (4,)


def test_a_changed_artefact_is_told_and_left(own):
    store, _ = store_of(own)
    path = aliases.resolve(store, W, 2) / "served_model.py"
    flip(path)
    damaged = path.read_bytes()
    (found,) = needs_a_person(own, "E_ARTEFACT")
    assert found["place"] == str(path) and "roll back" in found["hint"]
    assert path.read_bytes() == damaged


def test_an_artefact_that_fits_its_manifest_but_not_the_ledger_is_told(own):
    from components.registry import artefacts

    store, mlflow = store_of(own)
    folder = aliases.resolve(store, W, 1)
    (folder / "served_model.py").write_text("print('other code')\n")
    mlflow.set_model_version_tag(MODEL, "1", "artefact_digest", artefacts.write_manifest(folder))
    (found,) = needs_a_person(own, "E_ARTEFACT")
    assert found["rule"] == "the manifest must be the registered one"


def left_open(place) -> str:
    """A run as a process left it that is gone: this one's, under a number that no process has."""
    store, mlflow = store_of(place)
    run_id = tracking.start_run(store, "train", W, "left open", params={}, tags={})
    mlflow.set_tag(run_id, processes.PROCESS, "999999999")
    return run_id


def test_the_run_of_a_killed_process_is_closed(own):
    died = subprocess.run(
        [sys.executable, "-c", DYING.format(state=str(own.state))], cwd=ROOT, capture_output=True, text=True
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    left = died.stdout.strip()
    store, mlflow = store_of(own)
    alive = tracking.start_run(store, "train", W, "alive", params={}, tags={})
    repaired(own, "E_RUN_LEFT")
    assert mlflow.get_run(left).info.status == "KILLED" and mlflow.get_run(alive).info.status == "RUNNING"


def campaign_of(place, name, owner="mine"):
    """A campaign's folder and study with one finished, one running and one queued candidate."""
    folder = place.state / "campaigns" / name
    folder.mkdir(parents=True)
    (folder / "owner").write_text("mine\n")
    (folder / "lock").touch()
    study = optuna.create_study(storage=f"sqlite:///{place.state / 'optuna.db'}", study_name=name)
    study.tell(study.ask(), 1.0)
    study.ask().set_user_attr("equipoise.owner", owner)
    study.enqueue_trial({})
    return folder, study


def states(study):
    return [trial.state.name for trial in study.get_trials()]


def test_a_candidate_whose_campaign_was_killed_goes_back_into_the_queue(own):
    _, study = campaign_of(own, f"equipoise/{W}/spring")
    repaired(own, "E_TRIAL_LEFT")
    assert states(study) == ["COMPLETE", "WAITING", "WAITING"]


@pytest.mark.parametrize("name", [f"equipoise/{W}/spring", f"another/{W}/spring"], ids=["elsewhere", "another project"])
def test_a_candidate_of_somebody_else_is_left(own, name):
    _, study = campaign_of(own, name, owner="elsewhere" if name.startswith("equipoise") else "mine")
    assert run(own, True, quiet)["findings"] == [] and states(study)[1] == "RUNNING"


def test_a_candidate_at_work_is_left(own):
    folder, study = campaign_of(own, f"equipoise/{W}/spring")
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run(own, True, quiet)["findings"] == [] and states(study)[1] == "RUNNING"


def test_changed_prepared_data_is_told(own):
    flip(path := next(own.prepared(W).rglob("*.npy")))
    (found,) = needs_a_person(own, "E_MANIFEST")
    assert found["place"] == str(path) and "run prepare again" in found["hint"]
    (own.prepared(W) / "manifest.json").write_text("{}")
    needs_a_person(own, "E_MANIFEST")
    (own.prepared(W) / "manifest.json").unlink()
    needs_a_person(own, "E_MISSING")


def test_data_at_work_is_not_judged(own):
    flip(next(own.prepared(W).rglob("*.npy")))
    assert codes(run(own, False, quiet)) == ["E_MANIFEST"]
    with exclusive(own, W):
        found = run(own, False, quiet)
    assert found["findings"] == [] and found["notes"] == [f"{W} is at work: its files were not read"]


def test_a_stale_lock_file_is_no_fault(own):
    for path in (own.project / ".dvc/tmp" / f"equipoise-{W}.lock", own.project / "checkpoints" / f".{W}.lock"):
        path.parent.mkdir(parents=True)
        path.write_text("process 1 since long ago")
    assert run(own, False, quiet) == {"findings": [], "notes": []}


def test_damaged_curves_are_told(own):
    curves = own.checkpoint(W) / "curves.jsonl"
    curves.parent.mkdir(parents=True)
    curves.write_text('{"step": 1, "alarms": 5}\n')
    (found,) = needs_a_person(own, *codes(run(own, False, quiet)))
    assert found["place"].startswith("curves.jsonl")


def test_an_output_that_dvc_knows_and_nobody_has_is_told(plain):
    bring_up_to_date(plain, W, "prepare", quiet)
    assert "E_DVC_OUT" not in codes(run(plain, False, quiet))
    shutil.rmtree(plain.prepared(W))
    (found,) = needs_a_person(plain, "E_DVC_OUT")
    assert found["got"] == f"no data/prepared/{W}" and f"prepare@{W}" in found["hint"]
    bring_up_to_date(plain, W, "prepare", quiet)
    assert "E_DVC_OUT" not in codes(run(plain, False, quiet))


def test_one_cause_is_one_finding_and_hides_no_other(own):
    own.params.write_text("project: [\n")
    flip(next(own.prepared(W).rglob("*.npy")))
    assert sorted(codes(needs := run(own, True, quiet))) == ["E_CONFIG", "E_MANIFEST"] and status(needs) == 78


@pytest.fixture
def parts(own, monkeypatch):
    """Leftovers of a kill, seen two minutes later."""
    file = own.checkpoint(W) / "resume" / ".slot-0.json.a1b2c3d4.part"
    folder = own.project / "data" / "prepared" / f".{W}.x_y_z_12.part"
    shared = own.state / ".runs.json.00000000.part"
    for path in (file, folder / "tokens.npy", shared):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    monkeypatch.setattr(leftovers.time, "time", lambda moment=leftovers.time.time: moment() + LATER)
    return file, folder, shared


def test_leftovers_are_swept_and_each_owner_is_told(own, parts):
    download = own.project / "data" / "originals" / ".sgd.zip.0123456789ab.part"
    inside = next((own.state / "mlartifacts").rglob("served_model.py")).with_name(".x.a1b2c3d4.part")
    for path in (download, inside):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    assert codes(run(own, False, quiet)) == ["E_ARTEFACT", *["E_LEFTOVER"] * 3]
    inside.unlink()
    assert status(run(own, True, quiet)) == 0
    assert not any(path.exists() for path in parts) and download.exists()
    assert [len(events(own, name)[-1]["details"]["repairs"]) for name in (W, "project")] == [2, 1]
    told = command(own.project, "history", "project", "--json", "--state", str(own.state), PYTHONPATH=str(ROOT))
    assert [event["event"] for event in json.loads(told.stdout)["events"]] == ["repair"]


def test_leftovers_that_somebody_holds_are_left(own, parts):
    file, folder, shared = parts
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with file.open("rb"):
            assert leftovers.leftovers(own) == [shared]
    finally:
        os.close(descriptor)
    assert leftovers.leftovers(own) == sorted(parts)


def test_what_was_written_a_moment_ago_is_nobodys_leftover(own):
    path = own.state / ".runs.json.00000000.part"
    path.write_bytes(b"half")
    assert leftovers.leftovers(own) == []
    assert leftovers.leftovers(own, path.stat().st_ctime + LATER) == [path]


def test_the_command_says_it_on_a_line_or_as_json(own):
    _, mlflow = store_of(own)
    mlflow.set_registered_model_alias(MODEL, "champion", "1")
    flip(path := next(own.prepared(W).rglob("*.npy")))
    where = ("--state", str(own.state))
    said = command(own.project, "doctor", *where, PYTHONPATH=str(ROOT))
    alias, damaged, total = said.stdout.splitlines()
    assert said.returncode == 78 and total == "2 found, 0 repaired, 2 left."
    assert alias.startswith("E_PROJECTION ") and alias.endswith("Run `equipoise doctor --fix`.")
    assert damaged.startswith(f"E_MANIFEST {path}: must have SHA-256")
    done = command(own.project, "doctor", "--fix", "--json", *where, PYTHONPATH=str(ROOT))
    document = json.loads(done.stdout)
    assert done.returncode == 78
    assert all(set(each) == {"code", "place", "rule", "got", "hint", "fixed"} for each in document["findings"])
    assert [(each["code"], each["fixed"]) for each in document["findings"]] == [
        ("E_PROJECTION", True),
        ("E_MANIFEST", False),
    ]
