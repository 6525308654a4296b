"""No label looks across a cut: every gap is at least purge + embargo, and the parts are whole."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from components.data.arrays import write_array
from components.errors import EquipoiseError
from components.workloads.trading.features import LOOKBACK
from components.workloads.trading.folds import FEWEST, FIRST_TRAINING, cut_time, pasts, walk_forward
from tests.workloads.trading.small_bars import data_section, walk


@settings(max_examples=60)
@given(
    days=st.integers(400, 1200), horizon=st.integers(1, 20), purge=st.integers(0, 10), embargo=st.integers(0, 10),
    folds=st.integers(3, 6), window=st.integers(2, 40), held=st.floats(0.6, 0.9),
)  # fmt: skip
def test_labels_never_look_across(days, horizon, purge, embargo, folds, window, held):
    dates = walk(days).dates
    data = data_section(
        horizon=horizon, purge=horizon + purge, embargo=horizon + embargo, folds=folds, window=window,
        holdout_from=str(dates[int(held * days)]),
    )  # fmt: skip
    try:
        cut = cut_time(dates, data)
    except EquipoiseError as error:
        assume(error.code != "E_SHORT")
        raise
    train, validation, test = (cut.days[split] for split in ("train", "validation", "test"))
    gap = data.purge + data.embargo
    assert train[-1] + horizon < validation[0] - data.embargo
    assert validation[-1] + horizon < test[0] - data.embargo
    assert validation[0] - train[-1] == gap + 1
    assert test[0] - validation[-1] == gap + 1
    assert test[-1] + horizon == days - 1
    assert train[0] == LOOKBACK + window - 1
    assert dates[test[0]] >= np.datetime64(data.holdout_from) > dates[test[0] - 1]
    for part in (train, validation, test):
        assert (np.diff(part) == 1).all()
    assert set(cut.folds["validation"]) == {folds}
    assert set(cut.folds["test"]) == {folds + 1}
    assert sorted(set(cut.folds["train"])) == list(range(folds))


def test_walk_forward_grows_and_never_overlaps(tmp_path):
    data = data_section(folds=4)
    cut = cut_time(walk(600).dates, data)
    for split in ("train", "validation", "test"):
        (tmp_path / split).mkdir()
        write_array(tmp_path / split / "day.npy", cut.days[split])
        write_array(tmp_path / split / "fold.npy", cut.folds[split])
    days = np.concatenate([cut.days["train"], cut.days["validation"]])
    folds = walk_forward(tmp_path, data.purge, data.embargo)
    assert [fold.number for fold in folds] == [1, 2, 3, 4]
    for fold in folds:
        assert days[fold.validation[0]] - days[fold.train[-1]] > data.horizon + data.embargo
        assert fold.train[0] == 0
    assert all(len(a.train) < len(b.train) for a, b in itertools.pairwise(folds))
    assert len(set(np.concatenate([fold.validation for fold in folds]))) == sum(len(f.validation) for f in folds)
    assert folds[-1].train.tolist() == list(range(len(cut.days["train"])))
    assert folds[-1].validation.tolist() == list(range(len(cut.days["train"]), len(days)))
    assert len(folds[0].train) == pytest.approx(FIRST_TRAINING * len(days), abs=20)


def test_a_past_ends_where_its_block_does_and_judges_all_of_it():
    dates = walk(900).dates
    data = data_section(folds=4, holdout_from=str(dates[840]))
    cut = cut_time(dates, data)
    days = np.concatenate([cut.days["train"], cut.days["validation"]])
    block = np.concatenate([cut.folds["train"], cut.folds["validation"]])
    found = pasts(dates, cut, data)
    assert [past.number for past in found] == [1, 2, 3, 4]
    for past in found:
        judged = days[block == past.number]
        earlier = cut_time(dates[: past.bars], data.model_copy(update={"holdout_from": past.first}))
        assert earlier.days["test"].tolist() == judged.tolist()
        assert earlier.days["validation"][-1] + data.horizon < judged[0] - data.embargo
        assert past.bars == judged[-1] + data.horizon + 1


def test_a_past_too_short_to_be_cut_is_left_out():
    data = data_section(folds=4)
    dates = walk(600).dates
    cut = cut_time(dates, data)
    found = pasts(dates, cut, data)
    assert 0 < len(found) < 4 and found[-1].number == 4
    for past in found:
        earlier = cut_time(dates[: past.bars], data.model_copy(update={"holdout_from": past.first}))
        assert len(earlier.days["validation"]) >= FEWEST


def test_only_days_from_label_from_on_are_sampled():
    dates = walk(600).dates
    cut = cut_time(dates, data_section(label_from=str(dates[200])))
    assert cut.days["train"][0] == 200
    assert cut.labelled[0] == 200
    assert cut.labelled[-1] == 594


@pytest.mark.parametrize(
    ("days", "changes", "code"),
    [
        (74, {}, "E_HORIZON"),
        (600, {"horizon": 540, "purge": 540, "embargo": 540}, "E_HORIZON"),
        (600, {"holdout_from": "2030-01-01"}, "E_SHORT"),
        (600, {"holdout_from": "2020-05-01"}, "E_SHORT"),
        (600, {"folds": 60}, "E_SHORT"),
        (600, {"label_from": "2021-11-01"}, "E_SHORT"),
    ],
)
def test_too_few_days_are_refused(days, changes, code):
    with pytest.raises(EquipoiseError) as caught:
        cut_time(walk(days).dates, data_section(**changes))
    assert caught.value.code == code
    assert caught.value.exit_code == 65
