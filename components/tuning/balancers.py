"""Balancers as candidates: each against the static weights, at the same budget, with the same fresh seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from components.losses.balancing import METHODS
from components.tuning.closing import fresh_seeds

STATIC = "static"


def as_study(section: Any, methods: Sequence[str] = tuple(METHODS)) -> Any:
    """The section whose study lets balancers compete: `study.run` trains, scores and resumes it, `conclude` judges.

    The reference is the recipe with its static weights. All train section.tuning.epochs epochs at full size, with
    section.tuning.closing.seeds seeds of which none is the recipe's own, and are judged by the campaign's objectives on
    the same samples: intervals over seeds and clusters, Holm over all methods and objectives. The controls `equal` and
    `random` belong among the methods: a balancer that does not beat them has learnt nothing.

    Raises:
        ValidationError: for a method that does not exist.
    """
    settings = {name: {"training.balancer.method": name} for name in (STATIC, *methods)}
    tuning = section.tuning
    study = {
        "seeds": list(fresh_seeds({section.training.seed}, tuning.closing.seeds)),
        "epochs": tuning.epochs,
        "reference": STATIC,
        "leave_one_out": False,
        "metrics": list(tuning.objectives),
        "settings": settings,
    }
    for name in methods:
        section.training.balancer.model_validate({**section.training.balancer.model_dump(), "method": name})
    return type(section).model_validate({**section.model_dump(mode="json"), "study": study})
