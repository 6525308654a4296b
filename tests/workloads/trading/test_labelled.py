"""Labelled days read from bars alone are those that preparing gives, but for their regime."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from components.errors import EquipoiseError
from components.workloads.trading.labelled import labelled
from components.workloads.trading.records import Sample
from tests.workloads.trading.prepared_market import held_out, market


def content(sample: Sample) -> tuple:
    assert sample.labels is not None
    returns = np.array(sample.labels.returns, np.float32)
    return (
        sample.id,
        sample.block,
        sample.panel,
        replace(sample.labels, regime="", pnl=0.0, returns=tuple(returns.tolist())),
        np.float32(sample.labels.pnl),
    )


def test_they_are_the_days_of_the_hold_out_with_the_same_labels(tmp_path):
    section, prepared = market(tmp_path, seed=3, edge=0.1)
    read = {sample.id: sample for sample in labelled(section, tmp_path / "raw")}
    expected = held_out(prepared)
    assert len(expected) > 500
    assert [content(read[sample.id]) for sample in expected] == [content(sample) for sample in expected]
    assert list(read)[-1] == expected[-1].id and list(read) == sorted(read)


def test_there_must_be_bars(tmp_path):
    section, _ = market(tmp_path, seed=3, edge=0.1)
    with pytest.raises(EquipoiseError, match="E_MISSING"):
        list(labelled(section, tmp_path / "prepared" / "train"))
