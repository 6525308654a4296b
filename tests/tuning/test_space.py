"""The space: which keys it may name, ranges, digits, and how a candidate's numbers enter the recipe."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from components.config import load_config
from components.errors import EquipoiseError
from components.tuning.space import Knob, defaults, knobs, rounded, screened, tunable, with_weights
from tests.flows.projects import ROOT
from tests.tuning.toy_campaign import section


def test_the_products_own_space_is_around_its_defaults():
    real = load_config(ROOT / "params.yaml").tool_calling
    found = knobs("tool_calling", real)
    assert [knob.key for knob in found] == list(real.tuning.space)
    assert defaults(found)["decision.weight"] == real.loss.decision.weight
    assert "content.weight" in tunable(real.loss) and "decision.gamma" in tunable(real.loss)
    assert not any("schedule" in key or "target" in key for key in tunable(real.loss))


def test_numbers_of_nested_composites_have_longer_names():
    real = load_config(ROOT / "params.yaml").keyboard
    found = knobs("keyboard", real)
    assert defaults(found)["encoder.align.tau"] == 0.07
    changed = with_weights(real, {"encoder.align.tau": 0.1, "encoder.weight": 0.5, "decoder.load.weight": 0.02})
    assert changed.loss.encoder.align.tau == 0.1
    assert changed.loss.encoder.weight == 0.5
    assert changed.loss.decoder.load.weight == 0.02
    assert changed.loss.encoder.contrastive == real.loss.encoder.contrastive


@pytest.mark.parametrize(
    ("space", "code", "says"),
    [
        ({"abov.weight": (0.1, 1.0)}, "E_CONFIG_KEY", "Did you mean `above.weight`?"),
        ({"zzz": (0.1, 1.0)}, "E_CONFIG_KEY", "Known: above.weight, size.weight"),
        ({"above.schedule": (0.1, 1.0)}, "E_CONFIG_KEY", "above.weight"),
        ({"above.weight": (2.0, 4.0)}, "E_CONFIG", "must lie in its range [2, 4]"),
        ({}, "E_CONFIG", "must name a weight"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(space, code, says):
    with pytest.raises(EquipoiseError) as refused:
        knobs("toy", section(space=space))
    assert (refused.value.code, int(refused.value.exit_code)) == (code, 78)
    assert says in str(refused.value)


@given(st.floats(0.1, 10.0))
def test_a_weight_has_four_digits_and_stays_in_its_range(value):
    knob = Knob("above.weight", 0.1, 9.99951, 1.23456)
    found = rounded((knob,), {"above.weight": min(value, knob.high)})["above.weight"]
    assert knob.low <= found <= knob.high
    assert abs(found - value) <= 1e-3 * value
    assert found in (knob.high, knob.default) or found == float(f"{found:.4g}")


def test_a_default_keeps_all_its_digits():
    assert rounded((Knob("a.weight", 0.1, 2.0, 1.23456),), {"a.weight": 1.23456}) == {"a.weight": 1.23456}


def test_a_candidates_section_differs_in_its_weights_and_in_the_epochs_alone():
    before = section()
    after = with_weights(before, {"above.weight": 3.5})
    assert after.loss.above.weight == 3.5 and after.training.epochs == 2
    back = after.model_dump()
    back["loss"]["above"]["weight"], back["training"]["epochs"] = 1.0, 1
    assert back == before.model_dump()


def screen_of(**changes):
    return {"epochs": 3, "changes": changes, "rungs": [1], "margin": 0.1, "full": 2, "agreement": 0.5}


def test_the_screen_changes_what_it_names_and_its_epochs():
    found = screened("toy", section(epochs=9, screen=screen_of(**{"model.width": 8, "training.accumulate": 1})))
    assert (found.model.width, found.training.accumulate, found.tuning.epochs) == (8, 1, 3)
    assert with_weights(found, {}).training.epochs == 3
    without = section(epochs=9)
    assert screened("toy", without) is without


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"model.widht": 8}, "E_CONFIG_KEY", "Did you mean `model.width`?"),
        ({"loss.above.weight": 8}, "E_CONFIG_KEY", "no such value of the model or the training"),
        ({"training.seed": 8}, "E_CONFIG_KEY", "no such value of the model or the training"),
        ({"model.width": "narrow"}, "E_CONFIG", "toy.tuning.screen.changes"),
    ],
)
def test_a_screen_that_cannot_be_trained_is_refused(changes, code, says):
    with pytest.raises(EquipoiseError) as refused:
        screened("toy", section(screen=screen_of(**changes)))
    assert (refused.value.code, int(refused.value.exit_code)) == (code, 78)
    assert says in str(refused.value)


@pytest.mark.parametrize("rungs", [[3], [2, 1], [1, 1]])
def test_rungs_rise_below_the_epochs(rungs):
    with pytest.raises(ValidationError, match="rungs must rise and lie below epochs"):
        section(screen={**screen_of(), "rungs": rungs})
