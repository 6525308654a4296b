"""Settings of a study: leave-one-out names and values, equal budget, and configurations that are refused."""

import pytest
from pydantic import ValidationError

from components.config import load_config, parse_config, read_yaml
from components.errors import EquipoiseError
from components.tuning.study_settings import Setting, as_trained, family, weighted_terms
from components.workload import NAMES
from tests.flows.projects import ROOT
from tests.tuning.toy_study import section

PARAMS = ROOT / "params.yaml"


def shipped(workload, **study):
    values = read_yaml(PARAMS)
    values[workload]["study"] |= study
    return getattr(parse_config(values), workload)


def test_one_setting_is_generated_for_every_weighted_term():
    found = family("tool_calling", shipped("tool_calling"))
    assert found.reference == Setting("full", {})
    assert [each.name for each in found.settings] == [
        "full", "cross-entropy", "without-decision", "without-tool", "without-intent", "without-q",
        "without-slot_span", "without-arg_span",
    ]  # fmt: skip
    assert found.settings[2].changes == {"loss.decision.weight": 0.0} and found.settings[2].generated
    assert found.left_out == {}, "content has weight 0: leaving it out would be the same"


def test_terms_are_left_out_of_the_reference_not_of_params():
    settings = {"mine": {"loss.q.weight": 0, "loss.content.weight": 2}, "shipped": {}}
    found = family("tool_calling", shipped("tool_calling", reference="mine", settings=settings))
    names = [each.name for each in found.settings]
    assert "without-content" in names and "without-q" not in names
    assert found.settings[2].changes == {"loss.q.weight": 0, "loss.content.weight": 2, "loss.decision.weight": 0.0}


def test_the_reference_comes_first_and_what_cannot_be_trained_is_said():
    found = family("trading", shipped("trading", reference="both"))
    assert [each.name for each in found.settings][:3] == ["both", "profit", "cross-entropy"]
    alone = family("trading", shipped("trading"))
    assert [each.name for each in alone.settings] == ["profit", "cross-entropy", "both", "without-halt"]
    assert "halt alone teaches no strategy" in alone.left_out["without-profit"]


def test_a_generated_setting_that_has_a_name_already_stands_once():
    found = family("toy", section(leave_one_out=True))
    assert [each.name for each in found.settings] == ["full", "almost full", "sizes", "without-size"]
    assert found.left_out == {"without-above": "it is the same as sizes"}


def test_terms_within_composites_are_named_by_their_path():
    loss = {
        "total": {"weight": 1.0, "schedule": [], "encoder": {"weight": 0.5}, "decoder": {"weight": 0.0}},
        "off": {"weight": 0.0, "inner": {"weight": 1.0}},
        "lm": {"weight": 2.0},
        "normalise": True,
    }
    assert list(weighted_terms(loss)) == ["total.encoder", "lm"]


def test_a_run_has_its_seed_and_the_same_epochs_whatever_stops_early():
    recipe = as_trained(section(), Setting("x", {"loss.size.weight": 0.25, "model.width": 8}), 7)
    assert (recipe.training.seed, recipe.training.epochs, recipe.training.patience) == (7, 2, 2)
    assert (recipe.loss.size.weight, recipe.model.width) == (0.25, 8)
    assert recipe.loss.size.schedule == section().loss.size.schedule


@pytest.mark.parametrize("workload", NAMES)
def test_what_ships_is_a_study(workload):
    found = family(workload, getattr(load_config(PARAMS), workload))
    assert len(found.settings) >= 3


REFUSED = {  # settings -> code, and what the line says
    "a misspelled key": ({"loss.abov.weight": 0}, "E_CONFIG_KEY", "Did you mean `loss.above.weight`?"),
    "a misspelled part": ({"los.above.weight": 0}, "E_CONFIG_KEY", "Did you mean `loss.above.weight`?"),
    "a section": ({"loss.above": 0}, "E_CONFIG", "loss.above.weight"),
    "a whole part": ({"loss": {}}, "E_CONFIG", "not a section"),
    "the data": ({"data.samples": 10}, "E_CONFIG_KEY", "no such key in the recipe"),
    "the gate": ({"gate.alpha": 0.1}, "E_CONFIG_KEY", "no such key in the recipe"),
    "the seed": ({"training.seed": 5}, "E_CONFIG", "Set study.seeds instead"),
    "the epochs": ({"training.epochs": 5}, "E_CONFIG", "Set study.epochs instead"),
    "an early end": ({"training.patience": 1}, "E_CONFIG", "one budget"),
    "a negative weight": ({"loss.above.weight": -1}, "E_CONFIG", "other: loss.above.weight"),
    "text for a number": ({"loss.above.weight": "much"}, "E_CONFIG", "got much"),
    "NaN": ({"loss.above.weight": float("nan")}, "E_CONFIG", "loss.above.weight"),
    "yes for a number": ({"model.width": True}, "E_CONFIG", "must not be true or false"),
    "a schedule that goes back": ({"loss.size.schedule": [[0.5, 1], [0.1, 1]]}, "E_CONFIG", "rise"),
    "nothing to learn": ({"loss.above.weight": 0, "loss.size.weight": 0}, "E_CONFIG", "at least one weight"),
    "the same as the reference": ({"loss.size.weight": 0.5}, "E_CONFIG", "must not train the same as full"),
    "nothing at all": ({}, "E_CONFIG", "must not train the same as full"),
    "an empty key": ({"": 1}, "E_CONFIG_KEY", "no such key"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_setting_that_does_not_fit_is_one_line(case):
    changes, code, says = REFUSED[case]
    with pytest.raises(EquipoiseError) as refused:
        family("toy", section(settings={"full": {}, "other": changes}))
    line = str(refused.value)
    assert (refused.value.code, int(refused.value.exit_code)) == (code, 78)
    assert says in line and "params.yaml: toy.study.settings.other" in line and line.isprintable()


def test_a_name_that_leave_one_out_makes_is_refused():
    with pytest.raises(EquipoiseError, match="without-size: this name is made by leave_one_out"):
        family("toy", section(leave_one_out=True, settings={"full": {}, "without-size": {"model.width": 8}}))


def test_a_study_of_nothing_but_what_cannot_be_trained_is_refused():
    one = {"full": {"loss.size.weight": 0}}  # without its only term the loss is refused
    with pytest.raises(EquipoiseError, match="at least two settings"):
        family("toy", section(leave_one_out=True, settings=one))


@pytest.mark.parametrize(
    ("study", "says"),
    [
        ({"seeds": [1, 2]}, "at least 3 items"),
        ({"seeds": [1, 2, 2]}, "seeds must stand once each"),
        ({"seeds": [1, 2, -3]}, "greater than or equal to 0"),
        ({"reference": "ful"}, "did you mean full?"),
        ({"settings": {"full": {}}}, "another one"),
        ({"settings": {"full": {}, "../x": {"model.width": 8}}}, "pattern"),
        ({"metrics": []}, "at least 1 item"),
        ({"metrics": ["a/b", "a/b"]}, "metrics must stand once each"),
        ({"epochs": 0}, "greater than or equal to 1"),
        ({"leave_one_out": "perhaps"}, "boolean"),
        ({"setings": {}}, "Extra inputs"),
    ],
)
def test_a_study_section_that_does_not_fit_is_refused(study, says):
    with pytest.raises(ValidationError) as refused:
        section(**study)
    assert says in str(refused.value)


def test_in_params_it_is_one_line_with_the_nearest_key():
    with pytest.raises(EquipoiseError) as refused:
        shipped("tool_calling", refrence="full")
    assert refused.value.code == "E_CONFIG_KEY" and "`reference`" in str(refused.value)
