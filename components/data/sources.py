"""Where a user gets the public originals: repository, commit, licence, and the SHA-256 of every file.

Fetching resumes where it stopped, compares every byte's digest, and never replaces or accepts a changed file.
"""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from components.data.source_digests import DIGESTS
from components.errors import EquipoiseError, Exit, bad_data, missing
from components.files import CHUNK, sha256_file, sync_folder

TIMEOUT_S = 60
MAX_BYTES = 1024 * 1024 * 1024  # of a file whose size the catalogue does not know


@dataclass(frozen=True)
class SourceFile:
    """One file: its path in the data set, its digest, its size in bytes (0 when unknown)."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Source:
    """A public data set at one commit. `url` is a template that `{commit}` and `{path}` are put into."""

    name: str
    title: str
    workload: str
    licence: str
    repository: str
    commit: str
    url: str
    files: tuple[SourceFile, ...]

    def url_of(self, file: SourceFile) -> str:
        """Where a file of the original is fetched from, at the commit that is named."""
        return self.url.format(commit=self.commit, path=quote(file.path))


def _github(
    name: str, title: str, licence: str, repository: str, commit: str, folder: str = "", workload: str = "tool_calling"
) -> Source:
    rows = (row.split(" ", 2) for row in DIGESTS[name].strip().splitlines())
    return Source(
        name=name,
        title=title,
        workload=workload,
        licence=licence,
        repository=f"https://github.com/{repository}",
        commit=commit,
        url=f"https://raw.githubusercontent.com/{repository}/{{commit}}/{folder}{{path}}",
        files=tuple(SourceFile(path, digest, int(size)) for digest, size, path in rows),
    )


_CATALOGUE = (
    _github(
        "sgd",
        "Schema-Guided Dialogue (Rastogi et al. 2020): 40 training files, 17 development files, schemas",
        "CC-BY-SA-4.0",
        "google-research-datasets/dstc8-schema-guided-dialogue",
        "e852981ae34990f4358979625854259302feaa78",
    ),
    _github(
        "clinc150",
        "CLINC150 (Larson et al. 2019): 150 intents and out of scope",
        "CC-BY-3.0",
        "clinc/oos-eval",
        "828f8093932c8fe6ca7936c3d2e52903b1c523de",
    ),
    _github(
        "banking77",
        "BANKING77 (Casanueva et al. 2020): 77 fine-grained intents",
        "CC-BY-4.0",
        "PolyAI-LDN/task-specific-datasets",
        "57ec275d8078af65b7731c2a98be812d844a6d6b",
    ),
    _github(
        "snips",
        "SNIPS custom intents (Coucke et al. 2018): 7 intents with slots",
        "CC0-1.0",
        "sonos/nlu-benchmark",
        "b86ac7f1577868c42158d0dec77db50956046696",
        "2017-06-custom-intent-engines/",
    ),
    _github(
        "bfcl",
        "Berkeley Function-Calling Leaderboard v4: questions and function definitions, for evaluation only",
        "Apache-2.0",
        "ShishirPatil/gorilla",
        "6ea57973c7a6097fd7c5915698c54c17c5b1b6c8",
        "berkeley-function-call-leaderboard/bfcl_eval/data/",
    ),
    _github(
        "lean",
        "LEAN sample data: US equities and ETFs 1998-2021 as zipped raw bars, factor and map files",
        "Apache-2.0 (repository; prices are their vendors')",
        "QuantConnect/Lean",
        "24863901deffa9ec7985e21ef8fbdb0258efb9e4",
        "Data/",
        "trading",
    ),
    _github(
        "etf",
        "SPY, TLT, BIL, IEF, AGG as total-return indices 1970-2022 (folder etf/ of the trading data)",
        "AGPL-3.0 (repository; prices are their vendors')",
        "fbertram/TuringTrader",
        "0a7dc60ed9df6f94920b13b6233cd0d0926f2528",
        "Data/backfills/",
        "trading",
    ),
    _github(
        "rates",
        "US Treasury yields of 3 months, 10, 20 and 30 years, FRED (folder rates/ of the trading data)",
        "public domain (Federal Reserve H.15; the repository states none)",
        "toanpro24/project_yield",
        "11e48df15ff2d27bb88a2286defc2f6afdcfce5e",
        "data/",
        "trading",
    ),
    _github(
        "vix",
        "CBOE VIX, daily from 1990 on (folder vix/ of the trading data)",
        "ODC-PDDL-1.0",
        "datasets/finance-vix",
        "6f56e2760520824b787cf6b85945c62186d38bc6",
        "data/",
        "trading",
    ),
    _github(
        "skfolio",
        "20 US stocks and the S&P 500 1990-2022, five factor funds 2014-2022, one column a symbol",
        "BSD-3-Clause (repository; prices are their vendors')",
        "skfolio/skfolio",
        "c06db8406385cf4bce83577d0f0710ee5a27e67e",
        "src/skfolio/datasets/data/",
        "trading",
    ),
)


def catalogue() -> tuple[Source, ...]:
    """Every known source, in the order in which they are listed to users."""
    return _CATALOGUE


def source(name: str) -> Source:
    """The source of that name.

    Raises:
        EquipoiseError: E_SOURCE (2) for another name.
    """
    for entry in _CATALOGUE:
        if entry.name == name:
            return entry
    names = ", ".join(entry.name for entry in _CATALOGUE)
    raise EquipoiseError(
        "SOURCE", "sources", f"must be one of {names}", got=name, hint="Name one of them", exit_code=Exit.USAGE
    )


def verify(name: str | Source, folder: Path) -> list[Path]:
    """The paths of a source's files below `folder`, after the digest of every one was compared.

    Raises:
        EquipoiseError: E_MISSING (66) for an absent file, E_CHANGED (65) for one with other contents.
    """
    known = source(name) if isinstance(name, str) else name
    return [_verify_file(folder / file.path, file) for file in known.files]


def _verify_file(path: Path, file: SourceFile) -> Path:
    if not path.is_file():
        hint = "Fetch the data set again; what is there already is kept"
        raise missing(str(path), "must be a file of the data set", got="nothing there", hint=hint)
    digest = sha256_file(path)
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
        digest = sha256_file(part)
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
