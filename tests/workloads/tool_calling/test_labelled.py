"""Labelled decisions read without preparing anything, in each format of the raw data."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.config import load_config
from components.errors import EquipoiseError
from components.workloads.tool_calling.generator import write_dialogues
from components.workloads.tool_calling.labelled import labelled
from components.workloads.tool_calling.sgd import read_sgd
from components.workloads.tool_calling.trm_jsonl import read_jsonl
from tests.workloads.tool_calling.test_sgd import dialogue, write

SECTION = load_config(Path("params.yaml")).tool_calling


def as_jsonl():
    return SECTION.model_copy(update={"data": SECTION.data.model_copy(update={"format": "jsonl"})})


def test_published_dialogues_give_the_decisions_that_preparing_reads(tmp_path: Path) -> None:
    folder = write(tmp_path / "dev", [dialogue()])
    assert list(labelled(SECTION, tmp_path)) == [sample for _, sample in read_sgd(tmp_path)]
    assert [sample.id for sample in labelled(SECTION, folder)] == [f"test/1_00000/{turn}" for turn in (1, 3, 5, 7)]


def test_lines_of_the_agent_are_read_from_a_file_and_from_a_folder(tmp_path: Path) -> None:
    write_dialogues(3, 12, tmp_path)
    expected = [sample for _, sample in read_jsonl(tmp_path / "train.jsonl")]
    assert len(expected) > 30
    assert list(labelled(SECTION, tmp_path / "train.jsonl")) == expected
    assert list(labelled(as_jsonl(), tmp_path / "train.jsonl")) == expected


def test_what_is_no_such_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EquipoiseError, match="E_MISSING"):
        list(labelled(SECTION, tmp_path))
    folder = write(tmp_path / "dev", [dialogue()])
    with pytest.raises(EquipoiseError, match="E_MISSING"):
        list(labelled(as_jsonl(), folder))
    with pytest.raises(EquipoiseError, match=r"E_MISSING .*got none of these"):
        list(labelled(SECTION, folder / "dialogues_001.json"))  # its schema would be missing
    (folder / "dialogues_001.json").write_text("[{")
    with pytest.raises(EquipoiseError, match=r"E_JSON .*dialogues_001\.json"):
        list(labelled(SECTION, folder))
