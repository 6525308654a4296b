"""How many were tried, and how far apart they were: what a campaign tells the evaluation of its best candidate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.config_trading import TradingConfig, TradingEvaluation
from components.evaluation.performance import daily_sharpe
from components.evaluation.sharpe_evidence import deflated_sharpe
from components.tuning.report import tried_by_now
from components.workload import workload
from components.workloads.trading import baseline as b
from components.workloads.trading.data import samples
from components.workloads.trading.judging import evidence_of, run_accounts, trial_ratio
from components.workloads.trading.metrics import score
from tests.tuning.test_pareto import campaign_of, candidate

from .prepared_market import held_out, market

SCORES = {"return/captured": 0.5}


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> tuple[TradingConfig, Path, Path]:
    """Section, prepared data, and the folder of a campaign whose two candidates are a static mix and a regression."""
    folder = tmp_path_factory.mktemp("tried")
    section, prepared = market(folder, seed=6, edge=0.15, days=1800)
    for number, model in enumerate((b.fit_static(prepared), b.fit_softmax(section, prepared))):
        b.write(model, prepared, folder / "campaign" / str(number))
    return section, prepared, folder / "campaign"


def counting(section: TradingConfig, trials: int, ratios: tuple[float, ...]) -> TradingConfig:
    known = section.evaluation.model_copy(update={"trials": trials, "trial_ratios": ratios})
    return section.model_copy(update={"evaluation": known})


def test_a_choice_that_never_changes_times_nothing(tried: tuple[TradingConfig, Path, Path]) -> None:
    section, prepared, _ = tried
    labelled = list(samples(prepared, "validation"))
    still, moving = (
        score(labelled, model.predict(labelled)) for model in (b.fit_static(prepared), b.fit_softmax(section, prepared))
    )
    assert trial_ratio(section, prepared, still) == 0.0
    track = run_accounts(section, prepared, {"model": moving}, "validation").tracks["model"]
    assert trial_ratio(section, prepared, moving) == float(daily_sharpe(track.returns - track.still)) > 0.03


def test_a_campaign_adds_to_what_was_tried_before(tried: tuple[TradingConfig, Path, Path]) -> None:
    """The default of a second campaign was counted by the first."""
    section, prepared, folder = tried
    campaign = replace(campaign_of([candidate(0, SCORES), candidate(1, SCORES)]), folder=folder)
    trials, ratios = tried_by_now(workload("trading"), section, prepared, campaign)
    assert trials == 2 and ratios[0] == 0.0 and ratios[1] > 0.03
    again = tried_by_now(workload("trading"), counting(section, 2, (0.0, 0.01)), prepared, campaign)
    assert again == (3, [0.0, 0.01, ratios[1]])
    failed = replace(campaign, candidates=(candidate(0, SCORES), candidate(1, {}, failure="E_NONFINITE loss")))
    assert tried_by_now(workload("trading"), section, prepared, failed) == (1, [0.0])


def test_a_workload_that_deflates_nothing_counts_nothing(tried: tuple[TradingConfig, Path, Path]) -> None:
    section, prepared, folder = tried
    campaign = replace(campaign_of([candidate(0, SCORES)]), folder=folder)
    assert tried_by_now(replace(workload("trading"), trial_ratio=None), section, prepared, campaign) == (0, [])


def test_the_spread_of_the_trials_deflates(tried: tuple[TradingConfig, Path, Path]) -> None:
    section, prepared, _ = tried
    labelled, names = held_out(prepared), tuple(section.data.strategies)
    frame = score(labelled, b.fit_softmax(section, prepared).predict(labelled))
    accounts = run_accounts(section, prepared, {"model": frame})
    track = accounts.tracks["model"]
    ratios = (0.02, 0.05, -0.01, 0.04)
    found = evidence_of(counting(section, 20, ratios), accounts, names)
    expected = deflated_sharpe(track.returns - track.still, 20, float(np.var(ratios, ddof=1)))
    assert found.deflated == pytest.approx(expected) and found.trials == 20
    alike = evidence_of(counting(section, 20, (0.03, 0.03)), accounts, names)
    alone = evidence_of(counting(section, 1, ()), accounts, names)
    assert alike.deflated == pytest.approx(alone.deflated)  # trials that are all one are one trial
    one_known = evidence_of(counting(section, 20, (0.03,)), accounts, names)
    assert one_known.deflated == pytest.approx(deflated_sharpe(track.returns - track.still, 20))


def test_more_ratios_than_trials_are_refused(tried: tuple[TradingConfig, Path, Path]) -> None:
    values = tried[0].evaluation.model_dump(mode="json")
    assert TradingEvaluation.model_validate({**values, "trials": 2, "trial_ratios": [0.1, 0.2]})
    with pytest.raises(ValueError, match="trial_ratios must not be more than trials"):
        TradingEvaluation.model_validate({**values, "trials": 1, "trial_ratios": [0.1, 0.2]})
