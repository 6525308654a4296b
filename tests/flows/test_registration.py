"""From a folder to a version: what the ledger keeps of it, what it may be asked, what is tidied before."""

import subprocess
import sys

import pytest

from components.errors import EquipoiseError
from components.registry import aliases, artefacts, tracking
from components.registry.ledger import open_ledger
from components.workload import workload
from flows import registration
from flows.serving import artefact
from flows.stages import bring_up_to_date
from flows.state import Place, make_state

W = "tool_calling"
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


@pytest.fixture
def own(fitted, tmp_path):
    """The fitted project with a state folder of this test alone."""
    return Place(fitted.project, tmp_path / "state")


def register(place) -> int:
    with registration.desk(place, W, "tester", quiet) as at:
        return registration.register_folder(at, place.evaluation(W) / registration.BASELINE, "a baseline")


def events(place):
    with open_ledger(place.ledger) as ledger:
        return [event.document() for event in ledger.history(W)]


def test_the_ledger_keeps_the_digest_of_the_very_files(own):
    version = register(own)
    (event,) = events(own)
    chosen, folder = artefact(own, W, version)
    digest = event["details"]["artefact_digest"]
    assert (chosen, event["event"]) == (version, "register")
    assert artefacts.verify(folder) == digest
    assert event["details"]["model_digest"] == artefacts.model_digest(folder / "artifacts" / "model")


def test_registering_again_finds_the_version_and_completes_what_is_missing(own):
    version = register(own)
    (event,) = events(own)
    assert register(own) == version and len(events(own)) == 1
    for suffix in ("", "-wal", "-shm"):  # killed between the registry and the ledger
        (own.state / f"ledger.db{suffix}").unlink(missing_ok=True)
    assert register(own) == version
    (again,) = events(own)
    assert again["details"] == event["details"]


def test_a_version_rewritten_with_its_manifest_and_its_tag_is_refused(own):
    """MLflow's own record can be changed by whoever reaches it; the ledger's chain says what was registered."""
    version = register(own)
    _, folder = artefact(own, W, version)
    (folder / "served_model.py").write_text("print('other code')\n")
    changed = artefacts.write_manifest(folder)
    store = tracking.open_store(own.state, "equipoise")
    tracking.client(store).set_model_version_tag(store.model_name(W), str(version), "artefact_digest", changed)
    assert aliases.resolve(store, W, version) == folder  # MLflow alone would serve it
    with pytest.raises(EquipoiseError, match="E_ARTEFACT"):
        artefact(own, W, version)
    with registration.desk(own, W, "tester", quiet) as at, pytest.raises(EquipoiseError, match="E_ARTEFACT"):
        from flows.judging import score

        score(at, version)


@pytest.mark.parametrize("more", [(), ("intents",), ("slot_descriptions", "given_tool"), ("intents", "given_tool")])
def test_requests_with_and_without_optional_fields_are_answered_as_predict_does(own, more):
    import mlflow.pyfunc

    from components.registry.answers import answer

    tool = {"name": "clock.set", "description": "Sets an alarm", "parameters": {"time": "when it rings"}}
    row = {"tools": [tool], "history": [{"role": "user", "content": "wake me at 7:30 please"}]}
    fields = {"intents": {"wake": "be woken"}, "slot_descriptions": {"city": "where"}, "given_tool": "clock.set"}
    asked = row | {name: fields[name] for name in more}
    _, folder = artefact(own, W, register(own))
    record = workload(W)
    expected = answer(record, record.load(own.evaluation(W) / registration.BASELINE), [asked])
    served = mlflow.pyfunc.load_model(str(folder))
    assert served.predict([asked]) == expected
    assert (expected[0]["intent"] == "wake") == ("intents" in more)
    assert ("given_tool" in expected[0]) == ("given_tool" in more)
    assert set(workload(W).optional) == set(served.metadata.get_input_schema().optional_input_names())


def test_a_retraining_with_nothing_to_train_closes_what_a_kill_left_open(plain):
    """The training was killed after its last byte and before its run was closed: DVC has nothing to do any more."""
    for name in ("prepare", "train"):
        if name == "train":
            (plain.project / "train.py").write_text(
                "import pathlib\np = pathlib.Path('checkpoints/tool_calling')\np.mkdir(parents=True, exist_ok=True)\n"
                "(p / 'model').write_text('x')\n"
            )
        bring_up_to_date(plain, W, name, quiet)
    make_state(plain)
    left = subprocess.run(
        [sys.executable, "-c", DYING.format(state=str(plain.state))], capture_output=True, text=True
    ).stdout.strip()
    store, said = tracking.open_store(plain.state, "equipoise"), []
    assert tracking.client(store).get_run(left).info.status == "RUNNING"
    with registration.desk(plain, W, "tester", said.append) as at:
        assert not registration.train_recorded(at, None).ran
    assert tracking.client(store).get_run(left).info.status == "KILLED"
    assert any(left in line for line in said)


def test_the_ledger_says_nothing_of_a_version_it_was_not_told_of(own):
    make_state(own)
    with open_ledger(own.ledger) as ledger:
        assert ledger.registered(W, 7) == {}
