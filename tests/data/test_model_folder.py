"""A model's folder is believed only after every file in it was found to be the one that was trained."""

from __future__ import annotations

import json

import pytest

from components.data.model_folder import kind_of, read_card
from components.errors import EquipoiseError
from components.files import sha256_file


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "weights").write_bytes(b"abc")
    card = {"kind": "trm", "files": {"weights": sha256_file(tmp_path / "weights")}}
    (tmp_path / "model.json").write_text(json.dumps(card))
    return tmp_path


def test_a_whole_folder_is_read(folder):
    assert kind_of(folder, ("trm", "baseline")) == "trm"
    assert read_card(folder, ["weights"])["kind"] == "trm"


def damage(folder, what):
    if what == "changed":
        (folder / "weights").write_bytes(b"abd")
    elif what == "gone":
        (folder / "weights").unlink()
    elif what == "no card":
        (folder / "model.json").unlink()
    elif what == "unlisted":
        (folder / "more").write_bytes(b"")
    else:
        (folder / "model.json").write_text(what)


@pytest.mark.parametrize(
    ("what", "code", "exit_code"),
    [
        ("changed", "E_MODEL", 65),
        ("unlisted", "E_MODEL", 65),
        ("gone", "E_MISSING", 66),
        ("no card", "E_MISSING", 66),
        ("{", "E_DATA", 65),
        ("[1]", "E_DATA", 65),
        ('{"kind": "trm"}', "E_DATA", 65),
    ],
)
def test_a_damaged_folder_is_refused(folder, what, code, exit_code):
    damage(folder, what)
    with pytest.raises(EquipoiseError) as caught:
        read_card(folder, ["weights", "more"] if what == "unlisted" else ["weights"])
    assert (caught.value.code, int(caught.value.exit_code)) == (code, exit_code)


def test_an_unknown_kind_is_refused(folder):
    with pytest.raises(EquipoiseError, match="kind must be one of baseline"):
        kind_of(folder, ["baseline"])
