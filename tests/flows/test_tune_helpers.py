"""When a champion's weights lie in the space of a campaign."""

import copy

import pytest

from components.tuning.space import Knob
from flows.tune_helpers import weights_in

LOSS = {"a": {"weight": 1.0, "gamma": 2.0, "schedule": [[0.0, 1.0]]}, "b": {"weight": 0.5, "target": "x"}}
SPACE = (Knob("a.weight", 0.1, 10.0, 1.0), Knob("b.weight", 0.1, 1.0, 0.5))


def changed(**values):
    loss = copy.deepcopy(LOSS)
    for path, value in values.items():
        term, _, key = path.partition("__")
        loss[term][key] = value
    return loss


@pytest.mark.parametrize(
    ("champion", "expected"),
    [
        (changed(a__weight=3.0), {"a.weight": 3.0, "b.weight": 0.5}),
        (LOSS, {"a.weight": 1.0, "b.weight": 0.5}),
        (changed(b__weight=2.0), None),  # beyond the end
        (changed(a__gamma=1.0), None),  # another loss
        ({"a": LOSS["a"]}, None),
        ({**LOSS, "c": {"weight": 1.0}}, None),
        (None, None),  # a baseline
    ],
)
def test_weights_in_the_space(champion, expected):
    assert weights_in(champion, LOSS, SPACE) == expected
