"""Raw requests: read back what was written, refuse what cannot be bars, answer in plain JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from components.errors import EquipoiseError
from components.workloads.trading.records import Panel, Prediction
from components.workloads.trading.requests import read_request, render, request_of, sample_of


def good(**changes):
    row = {
        "dates": ["2022-01-28", "2022-01-31", "2022-02-01"],
        "close": {"SPY": [450.0, 451.5, 449.0], "TLT": [140, 141, 142]},
        "exogenous": {"VIX": [20.0, 21.5, -0.5]},
    }
    return {**row, **changes}


def test_a_request_becomes_the_decision_of_its_last_day():
    sample = read_request(good(), "input line 1")
    assert (sample.id, sample.labels, sample.block) == ("2022-02-01", None, 52 * 12 + 1)
    assert sample.panel.symbols == ("SPY", "TLT")
    assert sample.panel.close[1].tolist() == [451.5, 141.0]
    assert sample.panel.exogenous["VIX"].tolist() == [20.0, 21.5, -0.5]
    assert sample.panel.volume is None


@pytest.mark.parametrize("with_volume", [False, True])
def test_what_was_written_is_read_back(with_volume):
    make = np.random.default_rng(1)
    dates = np.array(["2020-01-02", "2020-01-03", "2020-01-06"], dtype="datetime64[D]")
    close, volume = make.uniform(50, 150, (3, 2)), make.integers(1, 10**9, (3, 2)).astype(float)
    panel = Panel(dates, ("A", "B"), close, volume if with_volume else None, {"VIX": make.normal(size=3)})
    row = json.loads(json.dumps(request_of(sample_of(panel))))
    assert read_request(row, "line 1").panel == panel
    assert ("volume" in row) == with_volume


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"prices": {}}, "fields must be among dates, close, volume, exogenous, got prices"),
        ({"dates": None}, "dates: must be a list of ISO days"),
        ({"dates": []}, "dates: must be a list of ISO days"),
        ({"dates": "2022-01-28"}, "dates: must be a list of ISO days"),
        ({"dates": ["2022-01-28", "2022-02-30", "2022-03-01"]}, "got 2022-02-30"),
        ({"dates": ["2022-01-28", 20220131, "2022-02-01"]}, "got 20220131"),
        ({"dates": ["2022-01-28", "2022-02-01", "2022-01-31"]}, "got 2022-01-31 after 2022-02-01"),
        ({"dates": ["2022-01-28", "2022-01-31", "2022-01-31"]}, "must rise, each day once"),
        ({"close": {}}, "close: must hold the closes of at least one symbol"),
        ({"close": [1, 2, 3]}, "close: must be an object of lists"),
        ({"close": {"SPY": [1.0, 2.0]}}, "close.SPY: must be a list of 3 numbers, one a date, got 2"),
        ({"close": {"SPY": [1.0, 0.0, 2.0]}}, "close.SPY: closes must be above 0, got 0"),
        ({"close": {"SPY": [1.0, -3.0, 2.0]}}, "closes must be above 0"),
        ({"close": {"SPY": [1.0, float("nan"), 2.0]}}, "close.SPY: must be numbers below 1e+15, got nan"),
        ({"close": {"SPY": [1.0, 10**400, 2.0]}}, "must be numbers below 1e+15"),
        ({"close": {"SPY": [1.0, True, 2.0]}}, "got True"),
        ({"close": {"SPY": [1.0, "2", 2.0]}}, "must be numbers"),
        ({"exogenous": {"VIX": [1.0, None, 2.0]}}, "exogenous.VIX: must be numbers"),
        ({"exogenous": 7}, "exogenous: must be an object of lists"),
        ({"volume": {"SPY": [1, 2, 3]}}, "volume: must hold SPY, TLT as close does"),
    ],
)
def test_what_cannot_be_bars_is_refused(changes, says):
    with pytest.raises(EquipoiseError) as caught:
        read_request(good(**changes), "input line 4")
    assert int(caught.value.exit_code) == 65
    assert str(caught.value).startswith("E_DATA input line 4") and says in str(caught.value)


def test_an_answer_is_plain_json():
    said = Prediction(5, "90/10/0", 0.55, (0.05,) * 5 + (0.55, 0.1, 0.1), 2, 0.8)
    assert json.loads(json.dumps(render(said))) == {
        "strategy": "90/10/0",
        "index": 5,
        "confidence": 0.55,
        "steps": 2,
        "halt_confidence": 0.8,
        "probabilities": [0.05, 0.05, 0.05, 0.05, 0.05, 0.55, 0.1, 0.1],
    }
