"""Labelled moments read from messages alone are those that preparing gives, but for their screens."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from components.errors import EquipoiseError
from components.workloads.keyboard.data import samples
from components.workloads.keyboard.labelled import labelled
from tests.workloads.keyboard.small import data_section, prepared_small


def test_they_are_the_moments_of_the_prepared_splits(tmp_path):
    prepared = prepared_small(tmp_path, screens=0)
    section = SimpleNamespace(data=data_section())
    read = {event.id: event for event in labelled(section, tmp_path / "raw")}  # pyright: ignore[reportArgumentType]
    kept = [event for split in ("train", "validation", "test") for event in samples(prepared, split)]
    assert len(kept) > 1000
    assert [read[event.id] for event in kept] == kept


def test_there_must_be_messages(tmp_path):
    section = SimpleNamespace(data=data_section())
    with pytest.raises(EquipoiseError, match="E_MISSING"):
        labelled(section, tmp_path)  # pyright: ignore[reportArgumentType]
