"""Reference values from curves, weights without their losses' scale, and a new campaign from an old one's front."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import EquipoiseError
from components.tuning.scale_free import references, starting_points, weights
from components.tuning.space import Knob

SPACE = (
    Knob("tool.weight", 0.1, 10.0, 1.0),
    Knob("decoder.task.weight", 0.1, 10.0, 0.5),
    Knob("focal.gamma", 0.5, 4.0, 2.0),
)
FIRST = {"tool.weight": 2.0, "decoder.task.weight": 0.25, "focal.gamma": 3.0}
OLD = {"tool": 2.0, "decoder.task": 8.0}


def line(epoch, composites=None, **terms):
    rows = {name: {"raw": raw, "n_valid": n, "share": 0.0} for name, (raw, n) in terms.items()}
    return {"epoch": epoch, "terms": rows, **({"composites": composites} if composites else {})}


def result(tmp_path, *points, **more):
    path = tmp_path / "result.json"
    front = [{"number": n, "weights": each, "objectives": {}} for n, each in enumerate(points)]
    path.write_text(json.dumps({"study": "p/w/c", "front": front, **more}))
    return path


def test_the_reference_is_the_mean_of_the_last_epoch_by_hand():
    curves = [
        line(1, tool=(9.0, 10)),
        line(2, tool=(3.0, 10), profit=(-0.5, 4), unused=(0.0, 0), done=(0.0, 7)),
        {"epoch": 2, "validation": {"objective": 0.5}},
        line(2, tool=(1.0, 30), profit=(-0.5, 4), unused=(0.0, 0), done=(0.0, 7)),
        {"epoch": 2, "validation": {"objective": 0.6}},
    ]
    # (3 * 10 + 1 * 30) / 40; a profit counts by its size; nothing valid, or nothing left to lose, is no reference
    assert references(curves) == {"tool": 1.5, "profit": 0.5}
    assert references([]) == {} == references(curves[2:3])


def test_terms_within_a_composite_and_the_composite_itself():
    rows = {"decoder/task": {"raw": 4.0, "n_valid": 5}, "tool": {"raw": 1.0, "n_valid": 5}}
    curves = [
        {"epoch": 1, "terms": rows, "composites": {"decoder": {"raw": raw, "weight": 2.0}, "total": {"raw": 9.0}}}
        for raw in (1.0, 3.0)
    ]
    assert references(curves) == {"decoder.task": 4.0, "tool": 1.0, "decoder": 2.0, "total": 9.0}


def test_a_weight_times_its_reference():
    found = weights({**FIRST, "other.weight": 1.0, "encoder.weight": 0.5}, {**OLD, "encoder": 3.0, "focal": 7.0})
    assert found == {"tool.weight": 4.0, "decoder.task.weight": 2.0, "encoder.weight": 1.5}


def test_the_front_is_taken_up_as_it_is(tmp_path):
    second = {"tool.weight": 0.5, "gone.weight": 3.0}
    found = starting_points(result(tmp_path, FIRST, second), SPACE)
    assert found == [FIRST, {"tool.weight": 0.5, "decoder.task.weight": 0.5, "focal.gamma": 2.0}]


def test_other_data_keep_the_scale_free_weight_and_leave_what_has_no_scale(tmp_path):
    new = {"tool": 4.0, "decoder.task": 2.0, "focal": 100.0}
    (found,) = starting_points(result(tmp_path, FIRST, reference=OLD), SPACE, new)
    assert found == {"tool.weight": 1.0, "decoder.task.weight": 1.0, "focal.gamma": 3.0}
    assert weights(found, new) == weights(FIRST, OLD)
    assert starting_points(result(tmp_path, FIRST), SPACE, new) == [FIRST], "no reference of old: as they are"
    (short,) = starting_points(result(tmp_path, {"tool.weight": 4.0}, reference=OLD), SPACE, new)
    assert (short["tool.weight"], short["decoder.task.weight"]) == (2.0, 0.5), (
        "what was not varied stays at the default"
    )


def test_values_beyond_an_end_are_put_on_it_and_what_is_then_alike_is_one(tmp_path):
    wide = [{"tool.weight": value} for value in (50.0, 20.0, 0.001, 1.0, 12.34567)]
    found = starting_points(result(tmp_path, *wide), SPACE)
    assert [each["tool.weight"] for each in found] == [10.0, 0.1], "and the default is trial 0 already"


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=6), st.floats(1e-4, 1e4))
def test_every_point_lies_in_the_space(tmp_path_factory, values, scale):
    path = result(tmp_path_factory.mktemp("old"), *({"tool.weight": v} for v in values), reference={"tool": 1.0})
    found = starting_points(path, SPACE, {"tool": scale})
    for each in found:
        assert all(knob.low <= each[knob.key] <= knob.high for knob in SPACE)
    assert len({json.dumps(each) for each in found}) == len(found)
    for value in values:
        if 0.1 < value / scale < 10 and not math.isclose(value / scale, 1.0, rel_tol=1e-3):
            assert any(math.isclose(each["tool.weight"], value / scale, rel_tol=1e-3) for each in found)


@pytest.mark.parametrize(
    ("text", "code", "named"),
    [
        (None, "E_MISSING", "readable file"),
        ("{", "E_JSON", "must be JSON"),
        ("[1]", "E_CAMPAIGN_RESULT", "needs the front of a campaign"),
        ('{"front": []}', "E_CAMPAIGN_RESULT", "needs the front of a campaign"),
        ('{"settings": [], "study": "x"}', "E_CAMPAIGN_RESULT", "needs the front of a campaign"),
        ('{"front": [3]}', "E_CAMPAIGN_RESULT", "must hold numbers by name"),
        ('{"front": [{"weights": {"tool.weight": "2"}}]}', "E_CAMPAIGN_RESULT", "tool.weight must be a number above 0"),
        ('{"front": [{"weights": {"tool.weight": true}}]}', "E_CAMPAIGN_RESULT", "tool.weight"),
        ('{"front": [{"weights": {"tool.weight": 0}}]}', "E_CAMPAIGN_RESULT", "tool.weight"),
        ('{"front": [{"weights": {"a.weight": 1}}]}', "E_CAMPAIGN_RESULT", "varied one of tool.weight"),
        ('{"front": [{"weights": {"tool.weight": 1}}], "reference": {"tool": -1}}', "E_CAMPAIGN_RESULT", "reference"),
    ],
)
def test_a_file_that_is_not_a_campaigns_is_refused(tmp_path, text, code, named):
    path = tmp_path / "result.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(EquipoiseError, match=named) as refused:
        starting_points(path, SPACE)
    assert refused.value.code == code and str(path) in str(refused.value)
