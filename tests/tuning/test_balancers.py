"""Balancers against static weights, on two quadratics where it is known how good each is."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from components.losses.balancing import METHODS
from components.tuning import balancers, study
from components.tuning.study_report import conclude
from tests.tuning import quadratics


def test_every_method_and_the_controls_stand_against_static() -> None:
    found = balancers.as_study(quadratics.section(seed=5)).study
    assert found.reference == "static"
    assert list(found.settings) == ["static", *METHODS]
    assert {"equal", "random"} < set(found.settings)
    assert found.settings["dwa"] == {"training.balancer.method": "dwa"}
    assert found.seeds == (6, 7, 8, 9, 10)  # five, none of them the recipe's own
    assert found.epochs == 1
    assert found.metrics == ("near/share", "close/share")


def test_a_method_that_does_not_exist() -> None:
    with pytest.raises(ValidationError, match="static"):
        balancers.as_study(quadratics.section(seed=5), ("gradnorm",))


def test_they_compete_at_the_same_budget(tmp_path: Path) -> None:
    """Weights 1 and 2 end at 2/3, equal ones at 1/2, where fewer samples are right; so does Chebyshev, where both
    losses are the same. The study says of each that it is worse, and how good it is."""
    prepared = quadratics.prepare(tmp_path / "prepared", seed=1)
    section = balancers.as_study(quadratics.section(seed=1), ("equal", "chebyshev"))
    found = study.run(
        quadratics.WORKLOAD, section, prepared, tmp_path, project="toy", device="cpu", say=lambda text: None
    )
    static, *others = (found.scores[name].by_seed().mean(axis=0)[0] for name in ("static", "equal", "chebyshev"))
    assert static == pytest.approx(quadratics.share(2 / 3, 0.25), abs=0.05)
    assert others == pytest.approx([quadratics.share(0.5, 0.25)] * 2, abs=0.05)
    assert len({run.steps for runs in found.runs.values() for run in runs}) == 1
    document = conclude(found)
    verdicts = {
        each["name"]: each["against"]["near/share"]["verdict"] for each in document["settings"] if each["against"]
    }
    assert verdicts == {"equal": "worse", "chebyshev": "worse"}
