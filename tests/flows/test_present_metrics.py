"""What `equipoise evaluate` prints: the verdict in words, and the baselines that can be read beside the model."""

from __future__ import annotations

from flows import present

DOCUMENT = {
    "workload": "trading",
    "split": "test",
    "n": 7,
    "metrics": {"test/a": 1.0, "test/b": 2.0, "test/c": 0.5},
    "baselines": {"majority": {"test/a": 0.25, "test/b": 4.0}, "a mix": {"test/a": 8.0}},
}


def test_baselines_with_a_few_figures_only_are_left_to_the_file():
    assert present.metrics(DOCUMENT).splitlines() == [
        "trading, test split, 7 samples",
        "metric  model   majority",
        "test/a  1.0000  0.2500",
        "test/b  2.0000  4.0000",
        "test/c  0.5000",
    ]


def test_a_verdict_is_said_first():
    lines = present.metrics({**DOCUMENT, "sentence": "No edge shown."}).splitlines()
    assert lines[:2] == ["trading, test split, 7 samples", "No edge shown."]
