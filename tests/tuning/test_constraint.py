"""How far a candidate is beyond what the gate would let through, by hand and as Optuna reads it."""

import optuna
import pytest

from components.config import load_config
from components.config_parts import GateHead
from components.errors import EquipoiseError
from components.tuning.constraint import violations
from components.workload import NAMES
from tests.flows.projects import ROOT

HEADS = (
    GateHead(head="tool", metric="accuracy", role="primary", margin=0.02, direction="higher"),
    GateHead(head="arguments", metric="exact_match", role="guard", margin=0.05, direction="higher"),
    GateHead(head="decision", metric="ece", role="guard", margin=0.01, direction="lower"),
)
CHAMPION = {"tool/accuracy": 0.8, "arguments/exact_match": 0.5, "decision/ece": 0.03}


def test_by_hand():
    found = violations({"tool/accuracy": 0.75, "arguments/exact_match": 0.6, "decision/ece": 0.045}, CHAMPION, HEADS)
    # .05 below with .02 allowed; .1 above; .015 more error with .01 allowed
    assert found == pytest.approx({"tool/accuracy": 0.03, "arguments/exact_match": -0.15, "decision/ece": 0.005})
    assert all(value < 0 for value in violations(CHAMPION, CHAMPION, HEADS).values())


def test_what_the_champion_has_no_value_of_does_not_constrain():
    metrics = {"tool/accuracy": 0.8, "decision/ece": 0.5}
    assert set(violations(metrics, {"tool/accuracy": 0.8}, HEADS)) == {"tool/accuracy"}


def test_a_head_that_only_the_champion_has_is_refused():
    with pytest.raises(EquipoiseError, match="decision/ece") as refused:
        violations({"tool/accuracy": 0.8, "arguments/exact_match": 0.5}, CHAMPION, HEADS)
    assert refused.value.code == "E_CONFIG_KEY"


def test_optuna_keeps_what_violates_off_the_front():
    study = optuna.create_study(directions=["maximize", "maximize"])
    for tool, arguments in ((0.8, 0.5), (0.79, 0.7), (0.7, 0.9)):
        trial = study.ask()
        metrics = {"tool/accuracy": tool, "arguments/exact_match": arguments}
        for key, value in violations(metrics, CHAMPION, HEADS[:2]).items():
            trial.set_constraint(key, value)
        study.tell(trial, [tool, arguments])
    assert [trial.number for trial in study.best_trials] == [0, 1], "2 would be on the front, .1 below the champion"


@pytest.mark.parametrize("name", NAMES)
def test_every_workload_is_constrained_by_all_heads_of_its_gate(name):
    heads = getattr(load_config(ROOT / "params.yaml"), name).gate.heads
    champion = {f"{head.head}/{head.metric}": 0.5 for head in heads}
    for head in heads:
        sign = -1 if head.direction == "higher" else 1
        metrics = champion | {f"{head.head}/{head.metric}": 0.5 + sign * 2 * head.margin}
        found = violations(metrics, champion, heads)
        assert {key for key, value in found.items() if value > 0} == {f"{head.head}/{head.metric}"}
