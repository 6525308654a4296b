"""Archives are streamed; links, climbing names, bombs and damage are refused."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from components.data.archives import Limits, file_bytes, members
from components.errors import EquipoiseError, Exit

FILES = {"train/schema.json": b"[]", "train/dialogues_001.json": b"x" * 5000, "train/empty": b""}


def tar_of(files: dict[str, bytes], path: Path, mode: str = "w:gz", *, extra: tarfile.TarInfo | None = None) -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, raw in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
        if extra is not None:
            archive.addfile(extra)
    return path


def zip_of(files: dict[str, bytes], path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in files.items():
            archive.writestr(name, raw)
    return path


def refused(path: Path, limits: Limits | None = None) -> str:
    with pytest.raises(EquipoiseError) as caught:
        list(members(path, limits=limits))
    assert caught.value.exit_code == Exit.BAD_DATA
    return str(caught.value)


@pytest.mark.parametrize("kind", ["a.tar.gz", "a.tar", "a.zip"])
def test_files_come_in_order_with_their_bytes(kind: str, tmp_path: Path) -> None:
    path = tmp_path / kind
    zip_of(FILES, path) if kind.endswith("zip") else tar_of(FILES, path, "w:gz" if kind.endswith("gz") else "w")
    assert list(members(path)) == list(FILES.items())
    assert [name for name, _ in members(path, lambda name: name.endswith(".json"))] == list(FILES)[:2]


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "a/../../out", "..\\out", "C:/x"])
@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_names_that_climb_out(pack, name: str, tmp_path: Path) -> None:
    assert "inside the archive" in refused(pack({name: b"x"}, tmp_path / "a"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices(kind: bytes, tmp_path: Path) -> None:
    member = tarfile.TarInfo("train/dialogues_001.json")
    member.type, member.linkname = kind, "/etc/passwd"
    assert "a link or device" in refused(tar_of({}, tmp_path / "a", extra=member))


def test_a_symbolic_link_in_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        member = zipfile.ZipInfo("link")
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, "/etc/passwd")
    assert "a link or device" in refused(path)


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_limits_hold_before_a_bomb_unpacks(pack, tmp_path: Path) -> None:
    path = pack({"a": b"\0" * 100_000, "b": b"\0" * 100_000}, tmp_path / "a")
    assert "at most 99999 bytes" in refused(path, Limits(member_bytes=99_999))
    assert "unpack to at most 150000" in refused(path, Limits(total_bytes=150_000))
    assert "at most 1 members" in refused(path, Limits(members=1))


def test_endless_zeros_after_the_last_member(tmp_path: Path) -> None:
    tar_of(FILES, tmp_path / "a.tar", "w")
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress((tmp_path / "a.tar").read_bytes() + b"\0" * 3_000_000))
    assert "must end after its last member" in refused(path, Limits(member_bytes=1_000_000))


@pytest.mark.parametrize("kind", ["gz", "zip"])
def test_truncation_at_any_place_is_noticed(kind: str, tmp_path: Path) -> None:
    files = {f"f{i}": os.urandom(700) for i in range(4)}
    whole = (tar_of if kind == "gz" else zip_of)(files, tmp_path / "whole").read_bytes()
    for end in range(0, len(whole), 61):
        cut = tmp_path / "cut"
        cut.write_bytes(whole[:end])
        refused(cut)


def test_a_flipped_byte_in_gzip_data_is_noticed(tmp_path: Path) -> None:
    whole = tar_of({"f": os.urandom(3000)}, tmp_path / "whole").read_bytes()
    for at in range(20, len(whole), 97):
        flipped = bytearray(whole)
        flipped[at] ^= 0x10
        (tmp_path / "flipped").write_bytes(bytes(flipped))
        refused(tmp_path / "flipped")


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"Rar!\x1a\x07", b"\x1f\x8b", b"PK\x03\x04 nonsense", b"\x1f\x8b" + b"x" * 99]
)
def test_other_files(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(raw)
    refused(path)


def test_nothing_there_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(EquipoiseError) as caught:
            list(members(path))
        assert caught.value.exit_code == Exit.MISSING_INPUT


def test_one_file_is_read_as_it_is_or_unpacked(tmp_path):
    (tmp_path / "plain.csv").write_bytes(b"a,b\n1,2\n")
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    assert file_bytes(tmp_path / "plain.csv") == file_bytes(tmp_path / "packed.csv.gz") == b"a,b\n1,2\n"


@pytest.mark.parametrize(
    ("raw", "code", "status"),
    [
        (gzip.compress(b"a" * 5000)[:-9], "E_ARCHIVE", Exit.BAD_DATA),
        (b"\x1f\x8bno gzip at all", "E_ARCHIVE", Exit.BAD_DATA),
        (gzip.compress(b"a" * 5000), "E_ARCHIVE", Exit.BAD_DATA),
        (b"a" * 1001, "E_ARCHIVE", Exit.BAD_DATA),
        (None, "E_MISSING", Exit.MISSING_INPUT),
    ],
    ids=["cut off", "no gzip", "a bomb", "too large", "absent"],
)
def test_a_bad_file_is_refused(tmp_path, raw, code, status):
    path = tmp_path / "bars.csv"
    if raw is not None:
        path.write_bytes(raw)
    with pytest.raises(EquipoiseError) as caught:
        file_bytes(path, Limits(member_bytes=1000))
    assert (caught.value.code, caught.value.exit_code) == (code, status)
