"""What a judgement leaves in the ledger: its look at the hold-out and the alpha of it, or why nothing was judged."""

import json
import shutil

import pytest

from components.config_edit import edit
from components.workloads.tool_calling.baseline import fit_baseline
from flows import judging, ledgers, registration
from flows.state import Place
from tests.flows.projects import real_project

W = "tool_calling"


def quiet(_line):
    pass


@pytest.fixture
def rivals(fitted, tmp_path):
    """The baseline as champion; registered beside it a weaker one, and that one again with an alarm of its training."""
    project = real_project(tmp_path / "project")
    for name in ("data", "evaluation"):
        (project / name).symlink_to(fitted.project / name)
    place = Place(project, tmp_path / "state")
    section = place.config().tool_calling
    weaker = section.evaluation.baseline.model_copy(update={"strength": 1e-3})
    other = section.model_copy(update={"evaluation": section.evaluation.model_copy(update={"baseline": weaker})})
    fit_baseline(other, place.prepared(W), tmp_path / "weaker")
    shutil.copytree(tmp_path / "weaker", tmp_path / "alarmed")
    card = json.loads((tmp_path / "alarmed" / "model.json").read_text())
    row = {"rule": "growing", "subject": "loss", "message": "the loss grew threefold"}
    (tmp_path / "alarmed" / "model.json").write_text(json.dumps(card | {"alarms": [row]}))
    edit(place.params, W, ["gate.alarms=[growing]"])
    with registration.desk(place, W, "tester", quiet) as at:
        judging.first_champion(at)
        for name in ("weaker", "alarmed"):
            registration.register_folder(at, tmp_path / name, name)
    return place


def test_looks_are_counted_spent_and_shown(rivals):
    with registration.desk(rivals, W, "tester", quiet) as at:
        refused = judging.decide(at, 3)
        assert refused.decision == "HOLD" and "E_GATE_ALARM" in refused.reason and "growing loss" in refused.reason
        first = judging.decide(at, 2)
        named = judging.decide(at, 2, automatic=False)
        events = [event.document() for event in at.ledger.history(W)]
        report = judging.compare(at, 2, 1)
    assert first.decision == named.decision == report.decision and report.look == 1
    held, judged, again = events[-3:]
    assert held["event"] == "hold" and held["evaluation_digest"] is None  # nobody looked at a sample
    assert judged["details"]["look"] == again["details"]["look"] == 1  # asked twice, the same look
    assert judged["details"]["alpha"] == pytest.approx(0.05 * 0.607927, abs=1e-6)
    standing = ledgers.status(rivals, W)[W]
    assert standing["looks"] == 1 and standing["alpha_left"] == pytest.approx(0.05 * (1 - 0.607927), abs=1e-6)

    edit(rivals.params, W, ["gate.budgets.size=0.001"])  # another question, hence another look
    with registration.desk(rivals, W, "tester", quiet) as at:
        outcome = judging.decide(at, 2)
        last = at.ledger.history(W)[-1].document()
    assert outcome.decision == "REJECT" and "shown over its budget: size" in outcome.reason
    assert last["details"]["look"] == 2 and ledgers.status(rivals, W)[W]["looks"] == 2
