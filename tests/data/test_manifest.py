"""A published folder is whole, and no change to it goes unnoticed."""

from __future__ import annotations

import fcntl
import json
import os
import random

import pytest

from components.data.manifest import published, read_manifest, verify, verify_once, write_manifest
from components.errors import EquipoiseError, Exit


@pytest.fixture
def folder(tmp_path):
    with published(tmp_path / "data") as part:
        (part / "train").mkdir()
        (part / "train" / "a.bin").write_bytes(bytes(range(256)) * 4)
        (part / "train" / "b.bin").write_bytes(b"b" * 10)
        (part / "c.txt").write_text("c")
        write_manifest(part, {"version": 1})
    return tmp_path / "data"


def refused(folder, name: str) -> None:
    with pytest.raises(EquipoiseError) as error:
        verify(folder)
    assert error.value.exit_code == Exit.BAD_DATA
    assert error.value.code == "E_MANIFEST"
    assert name in error.value.place


def test_an_untouched_folder_is_believed(folder):
    manifest = verify(folder)
    assert manifest["version"] == 1
    assert sorted(manifest["files"]) == ["c.txt", "train/a.bin", "train/b.bin"]
    assert manifest["files"]["c.txt"]["bytes"] == 1


def test_every_flipped_bit_is_noticed(folder):
    chance = random.Random(0)
    path = folder / "train" / "a.bin"
    original = path.read_bytes()
    for _ in range(200):
        changed = bytearray(original)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        path.write_bytes(bytes(changed))
        refused(folder, "a.bin")
    path.write_bytes(original)
    verify(folder)


def test_truncation_is_noticed(folder):
    path = folder / "train" / "a.bin"
    path.write_bytes(path.read_bytes()[:-1])
    refused(folder, "a.bin")


def test_swapped_files_are_noticed(folder):
    a, b = folder / "train" / "a.bin", folder / "train" / "b.bin"
    a.rename(folder / "x")
    b.rename(a)
    (folder / "x").rename(b)
    refused(folder, "a.bin")


def test_absent_and_added_files_are_noticed(folder):
    (folder / "train" / "b.bin").unlink()
    refused(folder, "b.bin")
    (folder / "train" / "b.bin").write_bytes(b"b" * 10)
    (folder / "new").write_text("")
    refused(folder, "new")


def test_a_link_is_refused_even_with_the_right_bytes(folder, tmp_path):
    (folder / "c.txt").rename(tmp_path / "elsewhere")
    (folder / "c.txt").symlink_to(tmp_path / "elsewhere")
    refused(folder, "c.txt")


def test_a_linked_folder_is_refused(folder, tmp_path):
    (folder / "train").rename(tmp_path / "elsewhere")
    (folder / "train").symlink_to(tmp_path / "elsewhere")
    refused(folder, "train")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": []}', '{"files": {"a": 1}}', "[" * 100_000])
def test_a_broken_manifest_is_refused(folder, text):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(EquipoiseError) as error:
        read_manifest(folder)
    assert error.value.exit_code == Exit.BAD_DATA


def test_no_manifest_is_missing_input(tmp_path):
    with pytest.raises(EquipoiseError) as error:
        verify(tmp_path)
    assert error.value.exit_code == Exit.MISSING_INPUT


def test_a_change_after_the_first_check_is_noticed(folder):
    verify_once(folder)
    verify_once(folder)
    path = folder / "train" / "b.bin"
    before = path.stat()
    path.write_bytes(b"x" * 10)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(EquipoiseError):
        verify_once(folder)


def test_a_failed_block_leaves_the_old_folder(folder):
    with pytest.raises(ValueError), published(folder) as part:
        (part / "half").write_text("half")
        raise ValueError
    verify(folder)
    assert os.listdir(folder.parent) == ["data"]


def test_publishing_replaces_the_whole_folder(folder):
    with published(folder) as part:
        (part / "only").write_text("1")
        write_manifest(part, {})
    assert sorted(p.name for p in folder.iterdir()) == ["manifest.json", "only"]
    assert os.listdir(folder.parent) == ["data"]


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(tmp_path):
    dead, living = tmp_path / ".data.dead.part", tmp_path / ".data.living.part"
    dead.mkdir()
    (dead / "half").write_text("half")
    living.mkdir()
    lock = os.open(living, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with published(tmp_path / "data") as part:
            write_manifest(part, {})
    finally:
        os.close(lock)
    assert sorted(os.listdir(tmp_path)) == [".data.living.part", "data"]


def test_an_unwritable_place_is_73(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EquipoiseError) as error, published(tmp_path / "file" / "data"):
        pass
    assert error.value.exit_code == Exit.CANNOT_WRITE


def test_the_manifest_is_the_same_bytes_for_the_same_files(folder, tmp_path):
    first = (folder / "manifest.json").read_bytes()
    write_manifest(folder, {"version": 1})
    assert (folder / "manifest.json").read_bytes() == first
    assert json.loads(first)["version"] == 1
