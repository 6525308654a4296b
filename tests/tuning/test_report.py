"""What a campaign writes: a table, and a difference that goes into params.yaml as it stands."""

import shutil
from dataclasses import replace

import pytest

from components.config import load_config
from components.config_edit import assignments_in, edit
from components.errors import EquipoiseError
from components.tuning.agreement import Agreement
from components.tuning.closing import Judgement
from components.tuning.report import difference_text, table
from components.tuning.space import Knob
from components.tuning.study_compare import Difference
from components.tuning.trial import Candidate
from flows.edits import apply
from flows.state import Place
from tests.flows.projects import ROOT
from tests.tuning.test_pareto import campaign_of, candidate

SPACE = (Knob("decision.weight", 0.25, 4.0, 1.0), Knob("q.weight", 1e-6, 1.0, 0.5), Knob("tool.weight", 0.2, 4.0, 1.0))
TRIED = (16, (0.0125, -3e-06))
SAID = {"verdict": "better: see", "reference": {"decision": 0.5, "tool": 2.0, "profit": 0.25}}
SCORES = {"x/acc": 0.5, "y/acc": 0.25}


@pytest.fixture
def project(tmp_path):
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    return tmp_path


def chosen(**weights):
    return Candidate(3, weights, {"x/acc": 0.75, "y/acc": 0.5}, {}, {}, 1, 2.0)


def written(project, weights):
    campaign = campaign_of([candidate(0, SCORES)])
    campaign = type(campaign)(campaign.name, campaign.folder, "", SPACE, campaign.objectives, campaign.candidates)
    default = Candidate(0, {knob.key: knob.default for knob in SPACE}, SCORES, {}, {}, 1, 2.0)
    text = difference_text("tool_calling", campaign, chosen(**weights), default, SAID)
    path = project / "tuned" / "tool_calling.yaml"
    path.parent.mkdir()
    path.write_text(text)
    return path


def test_the_difference_holds_changed_keys_only_and_applies_cleanly(project):
    weights = {"decision.weight": 2.125, "q.weight": 1e-05, "tool.weight": 1.0}
    path = written(project, weights)
    assert [line.partition("=")[0] for line in assignments_in(path)] == [
        "tool_calling.loss.decision.weight",
        "tool_calling.loss.q.weight",
    ]
    lines = path.read_text().splitlines()
    assert "      weight: 2.125  # default 1" in lines and "# Verdict: better: see." in lines
    assert [line.split()[1:] for line in lines if line.startswith(("# x/acc", "# decision", "# tool", "# q"))] == [
        ["x/acc", "0.7500", "0.5000"],
        ["decision.weight", "1.062", "0.5"],  # 2.125 * .5, 4 digits
        ["tool.weight", "2", "2"],  # q has no reference value
    ]
    before = (project / "params.yaml").read_text().splitlines()
    edits = edit(project / "params.yaml", "tool_calling", assignments_in(path))
    after = (project / "params.yaml").read_text().splitlines()
    assert [(e.key, e.before, e.after) for e in edits] == [
        ("tool_calling.loss.decision.weight", 1.0, 2.125),
        ("tool_calling.loss.q.weight", 0.5, 1e-05),
    ]
    assert len(before) == len(after) and sum(a != b for a, b in zip(before, after, strict=True)) == 2
    assert load_config(project / "params.yaml").tool_calling.loss.q.weight == 1e-05


def test_the_defaults_are_an_empty_difference(project):
    path = written(project, {"decision.weight": 1.0, "q.weight": 0.5, "tool.weight": 1.0})
    assert assignments_in(path) == []


def test_a_set_on_the_command_line_stands_over_the_file(project):
    path = written(project, {"decision.weight": 2.125, "q.weight": 0.25, "tool.weight": 1.0})
    place = Place(project, project / ".equipoise")
    apply(place, "tool_calling", ["loss.q.weight=0.75"], None, None, path)
    loss = place.config().tool_calling.loss
    assert (loss.decision.weight, loss.q.weight) == (2.125, 0.75)


@pytest.mark.parametrize(
    ("text", "code", "status"),
    [
        (None, "E_MISSING", 66),
        ("[1, 2]", "E_CONFIG", 78),
        ("a: [", "E_CONFIG", 78),
        ("tool_calling: {loss: {decison: {weight: 1.0}}}", "E_CONFIG_KEY", 78),
        ("tool_calling: {loss: {decision: {weight: -1.0}}}", "E_CONFIG", 78),
    ],
)
def test_a_file_that_does_not_fit_changes_nothing(project, text, code, status):
    path, before = project / "other.yaml", (project / "params.yaml").read_bytes()
    if text is not None:
        path.write_text(text)
    with pytest.raises(EquipoiseError) as refused:
        apply(Place(project, project / ".equipoise"), "tool_calling", [], None, None, path)
    assert (refused.value.code, int(refused.value.exit_code)) == (code, status)
    assert (project / "params.yaml").read_bytes() == before


def difference(metric, value, verdict="no difference shown"):
    return Difference(metric, value, value - 0.1, value + 0.1, 0.04, 0.03, 0.01, 0.02, verdict)


def test_the_table_has_every_candidate_and_marks_default_front_failures_and_the_stopped():
    failed = candidate(1, {}, weight=0.3, failure="E_NONFINITE loss")
    ahead = candidate(2, {"x/acc": 0.5, "y/acc": 0.3}, weight=2.5)
    stopped = replace(candidate(3, {"x/acc": 0.1, "y/acc": 0.1}), stopped={"rung": 2, "dominators": [0, 2]})
    campaign = campaign_of([candidate(0, SCORES), failed, ahead, stopped])
    document = {
        "verdict": "better: x", "best": {"number": 2}, "front": [{"number": 2}],
        "importances": {"a.weight": {"x/acc": None, "y/acc": 0.5}},
    }  # fmt: skip
    rows = {2: (difference("x/acc", 0.0), difference("y/acc", 0.25, "better"))}
    closing = Judgement("better", "better: x", 2, rows, (2,), (4, 5, 6), 3.0)
    text = "\n".join(table(campaign, document, closing))
    assert "Better: x." in text
    assert "| 0 | 1 | 0.5000 | 0.2500 | 0.0 | default |" in text
    assert "| 1 | 0.3 |  |  | 0.0 | failed |" in text
    assert "| 2 | 2.5 | 0.5000 | 0.3000 | 0.0 | front |" in text
    assert "| 3 | 1 | 0.1000 | 0.1000 | 0.0 | stopped after epoch 2 by 0, 2 |" in text
    assert "fresh seeds 4, 5, 6:" in text
    assert "| 2 | y/acc | +0.2500 | +0.1500 to +0.3500 | 0.02 | better |" in text and "| a.weight |  | 0.5000 |" in text


def test_after_a_screen_the_table_has_both_lengths():
    screened = [candidate(0, SCORES), candidate(1, {"x/acc": 0.25, "y/acc": 0.125})]
    longer = replace(screened[1], objectives={"x/acc": 0.75, "y/acc": 0.625}, feasible=False)
    agreement = Agreement(None, 1, True, "ranks cannot be compared")
    campaign = replace(campaign_of(screened), full=(screened[0], longer), agreement=agreement)
    document = {"verdict": "within seed noise: keep the defaults", "front": [], "importances": {}}
    lines = table(campaign, document, Judgement("within seed noise", "", 0, {}))
    full, short = (lines.index(line) for line in lines if line.startswith("| 1 |"))
    assert "| 0.7500 | 0.6250 | 0.0 | below the champion |" in lines[full] and "| 0.2500 | 0.1250 |" in lines[short]
    assert full < short and "Ranks cannot be compared." in lines
    assert campaign.judged == [screened[0], longer] and not any("fresh seeds" in line for line in lines)


def test_a_workload_that_counts_trials_is_told_how_many_were_tried(project):
    space = (Knob("profit.weight", 0.25, 4.0, 1.0),)
    campaign = campaign_of([candidate(0, SCORES)])
    campaign = type(campaign)(campaign.name, campaign.folder, "", space, campaign.objectives, campaign.candidates)
    default = Candidate(0, {"profit.weight": 1.0}, SCORES, {}, {}, 1, 2.0)
    texts = {
        weight: difference_text("trading", campaign, chosen(**{"profit.weight": weight}), default, SAID, TRIED)
        for weight in (2.0, 1.0)
    }
    path = project / "trading.yaml"
    path.write_text(texts[2.0])
    edit(project / "params.yaml", "trading", assignments_in(path))
    section = load_config(project / "params.yaml").trading
    assert (section.loss.profit.weight, section.evaluation.trials) == (2.0, 16)
    assert section.evaluation.trial_ratios == (0.0125, -3e-06)
    assert "trials" not in texts[1.0]  # the default was not chosen for its score
