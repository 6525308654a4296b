"""The verdict's table, and the comparison of two models on the same samples."""

import dataclasses
from types import SimpleNamespace

import polars as pl
import pytest

from components.tuning.verdict import Compared, compare, sentence
from tests.training import toy
from tests.tuning.test_pareto import candidate

BEST = candidate(5, {"x/acc": 0.9, "y/acc": 0.9})


@pytest.mark.parametrize(
    ("rows", "begins"),
    [
        ([], "keep the defaults: none of 8 candidates"),
        ([(0.03, 0.02), (0.011, 0.01)], "better: candidate 5 of 8"),
        ([(0.03, 0.02), (0.01, 0.01)], "within noise: keep the defaults; candidate 5"),
        ([(0.03, 0.02), (-0.005, 0.01)], "within noise"),
        ([(0.03, 0.02), (-0.02, 0.01)], "trade-off: candidate 5 of 8 is ahead in x/acc and behind in y/acc"),
        ([(0.03, 0.02), (0.5, None)], "within noise"),
        ([(-0.03, 0.02), (0.001, 0.01)], "within noise"),
    ],
)
def test_verdict(rows, begins):
    names = ("x/acc", "y/acc")
    compared = [Compared(name, *row) for name, row in zip(names, rows, strict=False)]
    text = sentence(compared, BEST, 8)
    assert text.startswith(begins) and "\n" not in text
    assert "one seed" in text or not rows


def test_half_the_interval_is_that_of_the_paired_difference(tmp_path):
    """20 conversations of one sample: the best is right in all, the default in every other one."""

    def score(samples, right):
        hits = [float(right or s % 2 == 0) for s in samples]
        names = [str(s) for s in samples]
        return pl.DataFrame({"conversation": names, "x/acc/hit": hits, "x/acc/of": [1.0] * len(hits)})

    workload = dataclasses.replace(
        toy.WORKLOAD,
        samples=lambda prepared, split: iter(range(20 if split == "validation" else 0)),
        load=lambda folder: SimpleNamespace(predict=lambda samples: folder.name == "5"),
        score=score,
    )
    settings = SimpleNamespace(
        evaluation=SimpleNamespace(resamples=500, confidence=0.95, seed=1), gate=SimpleNamespace(cluster="conversation")
    )
    default = candidate(0, {"x/acc": 0.5, "y/acc": 0.5})
    x, y = compare(workload, settings, tmp_path, tmp_path, BEST, default, ("x/acc", "y/acc"))
    # the difference of a sample is 0 or 1 with share 1/2: standard error sqrt(.25 / 20) = .112, times 1.96 = .22
    assert x.difference == 0.5 and 0.17 < x.half < 0.30 and x.ahead
    assert (y.difference, y.half, y.ahead, y.behind) == (pytest.approx(0.4), None, False, False)
    assert compare(workload, settings, tmp_path, tmp_path, default, default, ("x/acc",)) == []
