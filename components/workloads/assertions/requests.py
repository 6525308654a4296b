"""What `predict` and the served model are asked and answer: a method with a test's beginning, and an assertion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.workloads.assertions.answers import Prediction
from components.workloads.assertions.fields import INPUTS, NAMES, unlabelled
from components.workloads.assertions.pairs import Pair, assert_type

ASKED = ("test_class", "test_name", "focal_class", "focal_method")
OPTIONAL = tuple(name for name in NAMES if name not in ASKED)  # not in every request


def read_request(row: Mapping[str, Any], place: str) -> Pair:
    """A pair without assertion.

    Args:
        row: {"focal_code", "test_prefix"} and, where they are known, names: those of ASKED help, OPTIONAL ones say
            where the test stands.

    Raises:
        EquipoiseError: E_PAIR (65) naming the field that is wrong.
    """
    return unlabelled(row, place)


def request_of(pair: Pair) -> dict[str, Any]:
    """The raw request behind a labelled pair: nothing in it gives the answer away."""
    return {name: getattr(pair, name) for name in (*INPUTS, *ASKED)}


def render(prediction: Prediction) -> dict[str, Any]:
    """The answer as a user sees it."""
    return {
        "assertion": prediction.assertion,
        "assert_type": assert_type(prediction.assertion),
        "confidence": round(prediction.confidence, 6),
        "alternatives": list(prediction.alternatives),
    }
