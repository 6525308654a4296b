"""When the gradient panel is due: often enough to see a fault, seldom enough to cost nothing, whatever was killed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.training.report import STEPS_PER_TERM, panel_due


def panels(epochs: int, steps: int, report_every: int, terms: int) -> list[int]:
    return [
        epoch * steps + n
        for epoch in range(epochs)
        for n in range(1, steps + 1)
        if panel_due(epoch * steps + n, steps - n, epoch == 0, report_every, terms)
    ]


@pytest.mark.parametrize(
    ("epochs", "steps", "report_every", "terms", "expected"),
    [
        (3, 3, 1, 2, [3]),  # a short run has one, at the end of its first epoch
        (8, 36, 20, 7, [20]),
        (9, 402, 20, 7, [360, 400, 700, 1060, 1400, 1760, 2100, 2460, 2800, 3160, 3500]),
        (1, 1000, 300, 6, [300, 600, 900]),  # reports further apart than panels
        (1, 10, 20, 6, []),  # no report, no panel
        (4, 10, 20, 6, []),
    ],
)
def test_where_the_panels_are(epochs: int, steps: int, report_every: int, terms: int, expected: list[int]) -> None:
    assert panels(epochs, steps, report_every, terms) == expected


@given(st.integers(1, 6), st.integers(1, 900), st.integers(1, 80), st.integers(1, 9))
def test_a_panel_stands_in_a_report_and_costs_at_most_two_percent(
    epochs: int, steps: int, report_every: int, terms: int
) -> None:
    due = panels(epochs, steps, report_every, terms)
    assert all(step % report_every == 0 for step in due)
    later = due[1:] if due and due[0] <= steps else due
    assert len(later) <= epochs * steps / (STEPS_PER_TERM * terms) + 1
    assert steps < report_every or due
