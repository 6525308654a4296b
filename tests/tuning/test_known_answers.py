"""Whole campaigns over problems whose answer is known: they find the best weighting where there is one, and keep the
defaults where weights do not matter. One world each here, twenty each in `make worlds`."""

from dataclasses import dataclass

import pytest

from components.tuning import closing
from components.tuning.campaign import run
from tests.tuning import quadratics

WORLDS, ENOUGH = 20, 18


@dataclass(frozen=True)
class Answer:
    """What a campaign said, where its chosen weights end, and whether the gain of the best weighting that there is lies
    within its intervals."""

    judgement: closing.Judgement
    x: float
    inside: bool


def campaign(folder, seed, matters=True):
    """A whole campaign: two dozen candidates, the best two and the default with fresh seeds, the verdict."""
    section = quadratics.section(seed, matters)
    prepared = quadratics.prepare(folder / "prepared", seed)
    where = {"project": "toys", "device": "cpu", "say": lambda line: None}
    found = run(quadratics.WORKLOAD, section, prepared, folder / "state", total=section.tuning.candidates, **where)
    judgement = closing.run(quadratics.WORKLOAD, section, prepared, folder / "state", found, **where)
    default, chosen = found.candidates[0], found.candidates[judgement.chosen]
    start = quadratics.minimiser(default.weights)
    gains = [quadratics.share(quadratics.BEST, r) - quadratics.share(start, r) for r in quadratics.NEAR.values()]
    rows = judgement.rows.get(judgement.chosen, ())
    inside = bool(rows) and all(row.low <= gain <= row.high for row, gain in zip(rows, gains, strict=True))
    return Answer(judgement, quadratics.minimiser(chosen.weights), inside)


def test_the_closed_form_is_where_training_ends(tmp_path):
    found = campaign(tmp_path, 1)
    start = quadratics.minimiser({"zero.weight": 1.0, "one.weight": 2.0})
    assert found.judgement.verdict == "better" and found.inside
    assert abs(found.x - quadratics.BEST) < abs(start - quadratics.BEST) / 2


def test_where_weights_do_not_matter_the_defaults_are_kept(tmp_path):
    found = campaign(tmp_path, 1, matters=False)
    assert found.judgement.sentence == closing.KEEP and found.judgement.rows


@pytest.mark.worlds
@pytest.mark.timeout(1800)
def test_the_best_weighting_is_found_within_its_interval(tmp_path):
    found = [campaign(tmp_path / str(seed), seed) for seed in range(WORLDS)]
    right = [each.judgement.verdict == "better" and each.inside for each in found]
    assert sum(right) >= ENOUGH, [(each.judgement.sentence, each.x, each.inside) for each in found]


@pytest.mark.worlds
@pytest.mark.timeout(1800)
def test_noise_is_called_noise(tmp_path):
    said = [campaign(tmp_path / str(seed), seed, matters=False).judgement.sentence for seed in range(WORLDS)]
    assert said.count(closing.KEEP) >= ENOUGH, said
