"""Choosing among hypotheses: votes worked out by hand, the limits of their power, and what a model then answers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.training.seeds import seed_everything
from components.workloads.assertions.choice import by_consensus
from components.workloads.assertions.data import samples
from components.workloads.assertions.predict import of_model
from components.workloads.assertions.teaching import build

ALONE, LEFT, RIGHT = "fail(x, y);", "assertTrue(a);", "assertTrue(b);"


def test_two_alike_outvote_a_likelier_one_that_stands_alone():
    # tokens in common: LEFT with RIGHT 4 of 5 -> .8; ALONE (7 tokens) with either: `(`, `)`, `;` -> 2 x 3 / 12 = .5
    # all votes alike: ALONE 1 + .5 + .5 = 2, LEFT and RIGHT .5 + 1 + .8 = 2.3
    assert by_consensus([ALONE, LEFT, RIGHT], [-1.0, -2.0, -3.0], power=0.0) == [1, 2, 0]
    # votes 1, e^-1, e^-2: ALONE 1.252, LEFT .5 + .368 + .108 = .976, RIGHT .5 + .294 + .135 = .930
    assert by_consensus([ALONE, LEFT, RIGHT], [-1.0, -2.0, -3.0], power=1.0) == [0, 1, 2]


def test_a_half_power_weighs_votes_between():
    # votes 1, e^-.25, e^-.5 at power .25: ALONE 1 + .5 (.779 + .607) = 1.693, LEFT .5 + .779 + .485 = 1.764
    assert by_consensus([ALONE, LEFT, RIGHT], [-1.0, -2.0, -3.0], power=0.25)[0] == 1


@given(
    st.lists(st.tuples(st.sampled_from([ALONE, LEFT, RIGHT, "", ";"]), st.floats(-900, 0)), max_size=5),
    st.floats(0, 5),
)
def test_every_hypothesis_has_one_place(hypotheses, power):
    texts, numbers = [text for text, _ in hypotheses], [number for _, number in hypotheses]
    assert sorted(by_consensus(texts, numbers, power)) == list(range(len(texts)))


@given(st.permutations([ALONE, LEFT, RIGHT]))
def test_a_high_power_leaves_the_likeliest_to_decide(texts):
    assert by_consensus(texts, [-900.0, -1.0, -500.0], power=4.0)[0] == 1


@pytest.mark.parametrize("power", [None, 0.0])
def test_the_model_answers_the_chosen_hypothesis_with_its_own_probability(small, power):
    section, prepared = small
    seed_everything(3)
    model = build(section, prepared).eval()
    model.settings = model.settings.model_copy(update={"consensus": None, "beams": 4})
    pairs = list(samples(prepared, "validation"))[:12]
    plain = of_model(model, section, prepared).predict(pairs)
    model.settings = model.settings.model_copy(update={"consensus": power})
    chosen = of_model(model, section, prepared).predict(pairs)
    assert [{p.assertion, *p.alternatives} for p in chosen] == [{p.assertion, *p.alternatives} for p in plain]
    changed = [(was, now) for was, now in zip(plain, chosen, strict=True) if was.assertion != now.assertion]
    assert bool(changed) == (power is not None)
    for was, now in changed:
        assert now.confidence != was.confidence
        assert replace(was, alternatives=()) != replace(now, alternatives=())
