"""The sentences of a study, by hand."""

import pytest

from components.tuning.study_compare import Difference
from components.tuning.study_report import notes, sentence, verdict_of


def row(value, verdict="no difference shown", metric="x/acc"):
    return Difference(metric, value, value - 0.01, value + 0.02, 0, 0, 1, 1, verdict)


NOTHING = {"ce": [row(0.004)], "ce+kl": [row(-0.002)]}


@pytest.mark.parametrize(
    ("against", "lower", "split", "said"),
    [
        (NOTHING, (), "validation",
         "no setting is shown better than full Trident: largest difference +0.0040 [-0.0060, +0.0240], ce in x/acc"),
        (NOTHING, ("x/acc",), "validation",
         "no setting is shown better than full Trident: largest difference -0.0020 [-0.0120, +0.0180], ce+kl in x/acc"),
        (NOTHING, (), "test",
         "no setting is shown better than full Trident: largest difference +0.0040 [-0.0060, +0.0240], ce in x/acc; "
         "judged on the test split"),
        ({"ce": [row(0.05, "better"), row(0.1, metric="y/acc")],
          "kl": [row(-0.3, "worse"), row(-0.2, "worse", "y/acc")]}, (), "validation",
         "shown better than full Trident: ce in x/acc by +0.0500 [+0.0400, +0.0700]; shown worse: kl"),
        ({}, (), "validation", "nothing can be said: no setting but full Trident trained to its end"),
    ],
)  # fmt: skip
def test_the_closing_sentence(against, lower, split, said):
    assert sentence("full Trident", against, frozenset(lower), split) == said


@pytest.mark.parametrize(
    ("verdicts", "word"),
    [
        (("no difference shown", "no difference shown"), "no difference shown"),
        (("better", "no difference shown"), "better"),
        (("no difference shown", "worse"), "worse"),
        (("better", "worse"), "better in a, worse in b"),
    ],
)
def test_a_setting_judged_in_several_metrics_has_one_verdict(verdicts, word):
    assert verdict_of(dict(zip("ab", verdicts, strict=True))) == word


def test_what_has_to_be_said_beside_the_table():
    settings = [
        {"name": "full", "failures": {}, "steps": [10, 10, 10]},
        {"name": "short", "failures": {}, "steps": [8, 8, 8]},
        {"name": "huge", "failures": {"2": "E_NONFINITE loss"}, "steps": [10, 3, 10]},
    ]
    document = {"split": "test", "samples": 7, "resampled": "months", "trials": 3, "settings": settings}
    said = notes({**document, "left_out": {"without-a": "nothing would be left"}})
    assert said[0] == "test split, 7 samples; months."
    assert said[1].startswith("The test split was looked at") and "evaluation.trials" in said[2]
    assert said[3:] == [
        "without-a is left out: nothing would be left.",
        "huge, seed 2: E_NONFINITE loss",
        "The settings did not take the same number of optimizer steps: full 10, short 8.",
    ]


def test_steps_are_compared_seed_by_seed():
    """Another seed may pack its batches otherwise: that every setting does alike is no difference between settings."""
    settings = [{"name": name, "failures": {}, "steps": [10, 11, 10]} for name in ("full", "short")]
    document = {"split": "validation", "samples": 7, "resampled": "months", "trials": None, "settings": settings}
    assert notes({**document, "left_out": {}}) == ["validation split, 7 samples; months."]
