"""Alarms that a training wrote, where people look: the stage's result, `status` in JSON and text, quickly."""

import json
import subprocess
import sys

import pytest

from components.registry.ledger import open_ledger
from flows import present
from flows.ledgers import status
from flows.stages import bring_up_to_date
from flows.state import Place, make_state
from tests.flows.projects import ROOT, command

W = "tool_calling"
DEAD = {
    "rule": "dead",
    "subject": "q",
    "step": 40,
    "value": 0.0001,
    "message": "q had 0.01% of the gradient in epoch 2 (dead)",
    "causes": ["the term cannot be felt", "nobody needs it"],
    "remedies": ["raise its weight", "run equipoise tune"],
}
TEXT = [
    "alarm dead at step 40: q had 0.01% of the gradient in epoch 2 (dead)",
    "  possible causes: the term cannot be felt; nobody needs it",
    "  try: raise its weight; run equipoise tune",
]
KEYS = {"rule", "subject", "step", "value", "message", "causes", "remedies"}


def write_curves(place, *alarms):
    folder = place.checkpoint(W)
    folder.mkdir(parents=True, exist_ok=True)
    report = {"step": 40, "epoch": 2, "progress": 0.5, "loss": 1.0}
    text = "".join(json.dumps(each) + "\n" for each in (report, {**report, "alarms": list(alarms)}, report))
    (folder / "curves.jsonl").write_text(text)


def test_a_training_says_what_it_raised(plain):
    """The train stage's result holds its alarms, whether it ran now or was up to date; other stages have none."""
    line = json.dumps({"step": 40, "alarms": [DEAD]})
    (plain.project / "train.py").write_text(
        "import pathlib\n"
        f"folder = pathlib.Path('checkpoints/{W}')\n"
        "folder.mkdir(parents=True, exist_ok=True)\n"
        f"(folder / 'curves.jsonl').write_text({line!r} + chr(10))\n"
    )
    prepared = bring_up_to_date(plain, W, "prepare", print)
    assert set(prepared.document()) == {"ran", "seconds"}
    for ran in (True, False):
        trained = bring_up_to_date(plain, W, "train", print)
        assert (trained.ran, trained.alarms) == (ran, [DEAD])
        assert trained.document()["alarms"] == [DEAD]
    stages = {"prepare": prepared.document(), "train": trained.document()}
    assert present.stages(stages)[2:] == TEXT
    document = {"workload": W, "stages": stages, "report": {"steps": 40, "alarms": [DEAD]}}
    assert present.stage(document).splitlines()[2:] == [*TEXT, "steps 40"]
    outcome = {"decision": "HOLD", "version": 2, "champion": 1, "reason": "x", "heads": [], "stages": stages}
    assert present.retrain(outcome).splitlines()[2:5] == TEXT


def test_status_tells_them_before_there_is_a_champion(tmp_path):
    place = Place(tmp_path, tmp_path / ".equipoise")
    assert status(place, W)[W]["alarms"] == []
    write_curves(place, DEAD)
    document = status(place, W)
    assert document[W]["alarms"] == [DEAD]
    assert present.status(document).splitlines()[1:] == [f"  {line}" for line in TEXT]
    assert not place.state.exists()


def test_a_rollback_comes_first(tmp_path):
    place = Place(tmp_path, tmp_path / ".equipoise")
    make_state(place)
    write_curves(place, DEAD)
    with open_ledger(place.ledger) as ledger:
        for version in (1, 2):
            ledger.append_register(W, version, actor="a", key=f"register/{version}", details={}, reason="r")
            rules = {"evaluation_digest": None, "report_sha256": None, "actor": "a", "reason": "better"}
            ledger.promote(W, version, expected_generation=version - 1, key=f"promote/{version}", **rules)
        ledger.rollback(W, actor="a", key="back", reason="wrong at night")
    first, second = status(place)[W]["alarms"]
    assert set(first) == KEYS
    assert (first["rule"], first["causes"]) == ("rollback", ["wrong at night"])
    assert second == DEAD
    text = present.status(status(place))
    assert "alarm rollback: a rollback stands: nothing is promoted automatically" in text
    assert f"`equipoise rollback {W} --release`" in text


def test_damaged_curves_are_an_alarm_and_no_error(tmp_path):
    place = Place(tmp_path, tmp_path / ".equipoise")
    write_curves(place)
    (place.checkpoint(W) / "curves.jsonl").write_text('{"step": 1}\n{"alarms": [\n')
    (row,) = status(place, W)[W]["alarms"]
    assert set(row) == KEYS
    assert row["message"].startswith("curves.jsonl line 2: ")
    assert present.alarms([row])


@pytest.mark.parametrize("arguments", [("status",), ("status", W)])
def test_the_command_prints_them(tmp_path, arguments):
    place = Place(tmp_path, tmp_path / ".equipoise")
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    write_curves(place, DEAD)
    told = command_here(tmp_path, *arguments, "--json")
    assert json.loads(told.stdout)[W]["alarms"] == [DEAD]
    assert "\n".join(f"  {line}" for line in TEXT) in command_here(tmp_path, *arguments).stdout


def command_here(project, *arguments):
    done = command(ROOT, *arguments, "--project", str(project), "--state", str(project / ".equipoise"))
    assert done.returncode == 0, done.stderr
    return done


def test_a_look_imports_no_torch_and_no_engine(tmp_path):
    place = Place(tmp_path, tmp_path / ".equipoise")
    write_curves(place, DEAD)
    code = (
        "import sys; from pathlib import Path; from flows.ledgers import status; from flows.state import Place\n"
        "root = Path(sys.argv[1]); assert status(Place(root, root / '.equipoise'))['tool_calling']['alarms']\n"
        "print([n for n in ('torch', 'mlflow', 'prefect', 'dvc', 'optuna', 'polars') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "[]", done.stderr
