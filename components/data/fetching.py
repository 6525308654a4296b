"""Getting the public originals of the catalogue, and comparing the digest of every byte.

A fetch goes on where it stopped, and never replaces or accepts a changed file.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from components.data.archives import members
from components.data.sources import Source, SourceFile, source
from components.errors import EquipoiseError, Exit, bad_data, missing
from components.files import CHUNK, sha256_file, sha256_json, sync_folder

TIMEOUT_S = 60
MAX_BYTES = 1024 * 1024 * 1024  # of a file whose size the catalogue does not know


def verify(name: str | Source, folder: Path) -> list[Path]:
    """The paths of a source's files below `folder`, after the digest of every one was compared.

    Raises:
        EquipoiseError: E_MISSING (66) for an absent file, E_CHANGED (65) for one with other contents.
    """
    known = source(name) if isinstance(name, str) else name
    return [_verify_file(folder / file.path, file) for file in known.files]


def _digest(path: Path, file: SourceFile) -> str:
    return java_digest(path) if file.java else sha256_file(path)


def _verify_file(path: Path, file: SourceFile) -> Path:
    if not path.is_file():
        hint = "Fetch the data set again; what is there already is kept"
        raise missing(str(path), "must be a file of the data set", got="nothing there", hint=hint)
    digest = _digest(path, file)
    if digest != file.sha256:
        raise _changed(str(path), file, digest, "Move the file away and fetch it again")
    return path


def fetch(name: str | Source, folder: Path) -> list[Path]:
    """Downloads a source's files below `folder` and returns their verified paths.

    What is there already and has the right digest is not asked for again; a download that broke off goes on where it
    stopped. A file appears under its name only when it is whole and its digest is right.

    Raises:
        EquipoiseError: E_FETCH (69) when the server cannot be reached, refuses or breaks off (run it again to go on),
            E_CHANGED (65) when a file, fetched or already there, is not the one catalogued, E_WRITE (73).
    """
    known = source(name) if isinstance(name, str) else name
    paths = []
    for file in known.files:
        path = folder / file.path
        if not path.exists():
            _download(known.url_of(file), path, file)
        paths.append(_verify_file(path, file))
    return paths


def _download(url: str, path: Path, file: SourceFile) -> None:
    part = path.with_name(f".{path.name}.{file.sha256[:12]}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        have = part.stat().st_size if part.exists() else 0
        with part.open("ab") as out:
            if not file.size or have < file.size:
                for offset, block in _blocks(url, have, file):
                    if out.tell() != offset:
                        out.truncate(offset)
                    out.write(block)
            out.flush()
            os.fsync(out.fileno())
        digest = _digest(part, file)
        if digest != file.sha256:
            part.unlink()
            raise _changed(url, file, digest, "The original has changed; do not use it, report it instead")
        part.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        got = error.strerror or str(error)
        hint = "Grant write permission or free space here"
        raise EquipoiseError(
            "WRITE", str(path), "must be writable", got=got, hint=hint, exit_code=Exit.CANNOT_WRITE
        ) from error


def _blocks(url: str, have: int, file: SourceFile) -> Iterator[tuple[int, bytes]]:
    """(offset in the file, bytes) from the server; begins anew at 0 where it cannot go on at `have`."""
    limit = file.size or MAX_BYTES
    try:
        with _open(url, have) as response:
            offset = have if response.status == http.HTTPStatus.PARTIAL_CONTENT else 0
            if offset and not (response.headers.get("Content-Range") or "").startswith(f"bytes {have}-"):
                raise _unreachable(url, f"Content-Range {response.headers.get('Content-Range')}")
            length = response.headers.get("Content-Length")
            end = offset + int(length) if length and length.isdigit() else None
            yield offset, b""
            while block := response.read(CHUNK):
                if offset + len(block) > limit:
                    rule = f"must have at most {limit} bytes"
                    raise bad_data(
                        url, rule, got="more", hint="The original has changed; do not use it", code="CHANGED"
                    )
                yield offset, block
                offset += len(block)
            if end is not None and offset < end:
                raise _unreachable(url, f"the connection ended {end - offset} bytes early")
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            yield from _blocks(url, 0, file)
            return
        raise _unreachable(url, f"HTTP status {error.code}") from error
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise _unreachable(url, str(error)) from error


def _open(url: str, have: int) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise bad_data(url, "must be an https address", got=parts.scheme, hint="Mend the catalogue", code="SOURCE")
    headers = {"User-Agent": "equipoise", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S)


def _changed(place: str, file: SourceFile, digest: str, hint: str) -> EquipoiseError:
    return bad_data(place, f"must have SHA-256 {file.sha256}", got=digest, hint=hint, code="CHANGED")


def _unreachable(url: str, got: str) -> EquipoiseError:
    hint = "Check the network, then run the same command again: it goes on where it stopped"
    return EquipoiseError("FETCH", url, "must be downloadable", got=got, hint=hint, exit_code=Exit.SERVICE_UNAVAILABLE)


def java_digest(archive: Path) -> str:
    """SHA-256 over names (without the archive's top folder) and digests of the Java files of an archive, sorted.

    Raises:
        EquipoiseError: E_ARCHIVE (65) for a damaged or hostile archive.
    """
    found = members(archive, lambda name: name.endswith(".java"))
    return sha256_json(sorted([name.split("/", 1)[-1], hashlib.sha256(raw).hexdigest()] for name, raw in found))
