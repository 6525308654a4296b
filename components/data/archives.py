"""Reading archives from strangers: members are streamed, never unpacked to disk; links, devices, climbing names, bombs
and damaged files are refused."""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from components.errors import EquipoiseError, bad_data, missing

CHUNK = 1 << 20
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    gzip.BadGzipFile,
    NotImplementedError,
    RuntimeError,
)


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold: bytes of one member, bytes of all, number of members."""

    member_bytes: int = 128 * 1024 * 1024
    total_bytes: int = 8 * 1024 * 1024 * 1024
    members: int = 100_000


def members(
    path: Path, wanted: Callable[[str], bool] = lambda name: True, limits: Limits | None = None
) -> Iterator[tuple[str, bytes]]:
    """The files in a .tar.gz, .tar or .zip, recognised by their first bytes, one at a time and in archive order.

    Every member's header is checked, also of those not wanted. A gzip stream is read to its end, so that its checksum
    has been compared when the iterator is exhausted.

    Args:
        path: the archive.
        wanted: says by name which members to read; the others are skipped.
        limits: refusal thresholds; the defaults hold every public original many times over.

    Raises:
        EquipoiseError: E_ARCHIVE (65) for a damaged or hostile archive, E_MISSING (66) when it cannot be opened.
    """
    limits = limits or Limits()
    try:
        with path.open("rb") as handle:
            magic = handle.read(263)
            handle.seek(0)
            if magic[:2] == b"\x1f\x8b":
                yield from _gzipped_tar(handle, path, wanted, limits)
            elif magic[257:262] == b"ustar":
                yield from _tar(handle, path, wanted, limits)
            elif magic[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
                yield from _zip(handle, path, wanted, limits)
            else:
                raise _refuse(str(path), "must be a .tar.gz, .tar or .zip archive", magic[:8] or "an empty file")
    except _BROKEN as error:
        raise _refuse(str(path), "must be a whole, undamaged archive", str(error) or type(error).__name__) from error
    except OSError as error:
        raise missing(
            str(path), "must be a readable archive", got=error.strerror or str(error), hint="Name an existing archive"
        ) from error


def file_bytes(path: Path, limits: Limits | None = None) -> bytes:
    """The contents of one file, unpacked where its first bytes say gzip.

    Raises:
        EquipoiseError: E_ARCHIVE (65) when it is damaged or larger than a member may be, E_MISSING (66) when it cannot
            be opened.
    """
    limit = (limits or Limits()).member_bytes
    try:
        with path.open("rb") as handle:
            packed = handle.read(2) == b"\x1f\x8b"
            handle.seek(0)
            if packed:
                with gzip.GzipFile(fileobj=handle, mode="rb") as unpacked:
                    raw = unpacked.read(limit + 1)
            else:
                raw = handle.read(limit + 1)
    except _BROKEN as error:
        raise _refuse(str(path), "must be a whole gzip file", str(error) or type(error).__name__) from error
    except OSError as error:
        raise missing(
            str(path), "must be a readable file", got=error.strerror or str(error), hint="Name an existing file"
        ) from error
    if len(raw) > limit:
        raise _refuse(str(path), f"must have at most {limit} bytes", "more")
    return raw


def is_archive(path: Path) -> bool:
    """Whether the name is one an archive has; its contents are checked when it is read."""
    return path.name.lower().endswith((".tar.gz", ".tgz", ".tar", ".zip"))


def _gzipped_tar(
    handle: IO[bytes], path: Path, wanted: Callable[[str], bool], limits: Limits
) -> Iterator[tuple[str, bytes]]:
    with gzip.GzipFile(fileobj=handle, mode="rb") as unpacked:
        yield from _tar(unpacked, path, wanted, limits)
        rest = 0
        while block := unpacked.read(CHUNK):
            rest += len(block)
            if rest > limits.member_bytes:
                raise _refuse(str(path), "must end after its last member", f"more than {limits.member_bytes} bytes")


def _tar(
    handle: IO[bytes] | gzip.GzipFile, path: Path, wanted: Callable[[str], bool], limits: Limits
) -> Iterator[tuple[str, bytes]]:
    count = _Count(str(path), limits)
    with tarfile.open(fileobj=handle, mode="r|") as archive:  # type: ignore[arg-type]
        for member in archive:
            place = f"{path}:{member.name}"
            if not (member.isreg() or member.isdir()):
                raise _refuse(place, "members must be plain files or folders", "a link or device")
            count.add(member.name, member.size)
            if member.isreg() and wanted(member.name):
                source = archive.extractfile(member)
                assert source is not None, "a regular member has contents"
                yield member.name, source.read()


def _zip(handle: IO[bytes], path: Path, wanted: Callable[[str], bool], limits: Limits) -> Iterator[tuple[str, bytes]]:
    count = _Count(str(path), limits)
    with zipfile.ZipFile(handle) as archive:
        for member in archive.infolist():
            mode = member.external_attr >> 16
            if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_IFMT(mode) == 0):
                raise _refuse(f"{path}:{member.filename}", "members must be plain files or folders", "a link or device")
            count.add(member.filename, member.file_size)
            if not member.is_dir() and wanted(member.filename):
                with archive.open(member) as source:
                    raw = source.read(limits.member_bytes + 1)
                if len(raw) != member.file_size:
                    raise _refuse(f"{path}:{member.filename}", "must have the size its header says", len(raw))
                yield member.filename, raw


class _Count:
    """Adds up what an archive says it holds and stops at the limits."""

    def __init__(self, place: str, limits: Limits) -> None:
        self.place = place
        self.limits = limits
        self.members = 0
        self.bytes = 0

    def add(self, name: str, size: int) -> None:
        self.members += 1
        self.bytes += size
        place = f"{self.place}:{name}"
        parts = PurePosixPath(name.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or "\0" in name or ":" in name.split("/")[0]:
            raise _refuse(place, "member names must stay inside the archive", name)
        if not 0 <= size <= self.limits.member_bytes:
            raise _refuse(place, f"a member must be at most {self.limits.member_bytes} bytes", size)
        if self.bytes > self.limits.total_bytes:
            raise _refuse(self.place, f"must unpack to at most {self.limits.total_bytes} bytes", self.bytes)
        if self.members > self.limits.members:
            raise _refuse(self.place, f"must have at most {self.limits.members} members", self.members)


def _refuse(place: str, rule: str, got: object) -> EquipoiseError:
    return bad_data(place, rule, got=got, hint="Fetch the archive again from its source", code="ARCHIVE")
