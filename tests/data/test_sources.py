"""Fetching from a real server on the loopback interface: resumed, verified, refused when changed."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from components.data.fetching import fetch, java_digest, verify
from components.data.sources import Source, SourceFile, catalogue, source
from components.errors import EquipoiseError, Exit

PRICES = Path("../shared/data/trading")
KEYBOARD = Path("../shared/data/keyboard")
JAVA = Path("../shared/data/assertions/README.md")
CONTENT = {"a.json": bytes(range(256)) * 40, "deep/b c.json": b"two\n"}


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT with ranges. `cut` bytes of a body are sent when set; `log` notes path and range."""

    content: dict[str, bytes]
    cut: int | None
    ranges: bool
    log: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        name = self.path.removeprefix("/c0ffee/").replace("%20", " ")
        wanted = self.headers.get("Range")
        self.log.append((name, wanted))
        body = self.content.get(name)
        if body is None:
            self.send_error(404)
            return
        start = int(wanted[6:-1]) if wanted and self.ranges else 0
        if start >= len(body) > 0:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        self.wfile.write(body[start : self.cut])
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Keeps the test's output clean."""


@pytest.fixture
def server() -> Iterator[type[Handler]]:
    handler = type("H", (Handler,), {"content": dict(CONTENT), "cut": None, "ranges": True, "log": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        handler.port = running.server_address[1]
        yield handler
        running.shutdown()
        thread.join()


def source_at(port: int, size_known: bool = True) -> Source:
    files = tuple(
        SourceFile(name, hashlib.sha256(raw).hexdigest(), len(raw) if size_known else 0)
        for name, raw in CONTENT.items()
    )
    url = f"http://127.0.0.1:{port}/{{commit}}/{{path}}"
    return Source("toy", "Toy", "tool_calling", "CC0-1.0", "http://x", "c0ffee", url, files)


def present(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(toy: Source, folder: Path) -> EquipoiseError:
    with pytest.raises(EquipoiseError) as caught:
        fetch(toy, folder)
    assert str(caught.value).isprintable()
    return caught.value


@pytest.mark.parametrize("size_known", [True, False])
def test_files_arrive_verified_and_are_not_asked_for_twice(server, size_known: bool, tmp_path: Path) -> None:
    toy = source_at(server.port, size_known)
    assert fetch(toy, tmp_path) == [tmp_path / name for name in CONTENT]
    assert present(tmp_path) == CONTENT
    assert verify(toy, tmp_path) == [tmp_path / name for name in CONTENT]
    fetch(toy, tmp_path)
    assert server.log == [("a.json", None), ("deep/b c.json", None)]


@pytest.mark.parametrize("size_known", [True, False])
def test_a_broken_download_goes_on_where_it_stopped(server, size_known: bool, tmp_path: Path) -> None:
    toy = source_at(server.port, size_known)
    server.cut = 3000
    assert refused(toy, tmp_path).exit_code == Exit.SERVICE_UNAVAILABLE
    assert "a.json" not in present(tmp_path)  # nothing half-written under its name
    server.cut = None
    fetch(toy, tmp_path)
    assert server.log[:2] == [("a.json", None), ("a.json", "bytes=3000-")]
    assert present(tmp_path) == CONTENT


def test_a_server_without_ranges_sends_all_again(server, tmp_path: Path) -> None:
    toy = source_at(server.port)
    server.cut = 3000
    refused(toy, tmp_path)
    server.cut, server.ranges = None, False
    fetch(toy, tmp_path)
    assert present(tmp_path) == CONTENT


def test_a_part_as_long_as_the_file_but_wrong_is_thrown_away(server, tmp_path: Path) -> None:
    toy = source_at(server.port, size_known=False)
    part = tmp_path / f".a.json.{toy.files[0].sha256[:12]}.part"
    part.write_bytes(b"x" * len(CONTENT["a.json"]))
    fetch(toy, tmp_path)  # the server refuses the range, so it begins anew
    assert present(tmp_path) == CONTENT


@pytest.mark.parametrize("other", [b"y" * 10_240, b"short", CONTENT["a.json"] + b"more"])
@pytest.mark.parametrize("size_known", [True, False])
def test_a_changed_original_is_refused_and_leaves_nothing(
    server, other: bytes, size_known: bool, tmp_path: Path
) -> None:
    server.content["a.json"] = other
    error = refused(source_at(server.port, size_known), tmp_path)
    assert error.code == "E_CHANGED" and error.exit_code == Exit.BAD_DATA
    assert "a.json" not in present(tmp_path)


def test_a_file_changed_by_hand_is_neither_accepted_nor_replaced(server, tmp_path: Path) -> None:
    toy = source_at(server.port)
    fetch(toy, tmp_path)
    (tmp_path / "a.json").write_bytes(b"mine")
    assert refused(toy, tmp_path).code == "E_CHANGED"
    with pytest.raises(EquipoiseError, match="E_CHANGED"):
        verify(toy, tmp_path)
    assert (tmp_path / "a.json").read_bytes() == b"mine"


def test_missing_on_the_server_and_on_disk(server, tmp_path: Path) -> None:
    del server.content["a.json"]
    error = refused(source_at(server.port), tmp_path)
    assert error.exit_code == Exit.SERVICE_UNAVAILABLE and "404" in str(error)
    with pytest.raises(EquipoiseError) as caught:
        verify(source_at(server.port), tmp_path)
    assert caught.value.exit_code == Exit.MISSING_INPUT


def test_nobody_listens(server, tmp_path: Path) -> None:
    toy = source_at(1)
    assert refused(toy, tmp_path).exit_code == Exit.SERVICE_UNAVAILABLE


def test_only_https_leaves_the_machine(tmp_path: Path) -> None:
    toy = source_at(1)
    for url in ("http://example.org/{path}", "file:///etc/{path}", "ftp://127.0.0.2/{path}"):
        bad = Source(toy.name, toy.title, toy.workload, toy.licence, toy.repository, toy.commit, url, toy.files)
        assert refused(bad, tmp_path).code == "E_SOURCE"


def test_the_catalogue_is_complete() -> None:
    names = [entry.name for entry in catalogue()]
    assert names[:10] == ["sgd", "clinc150", "banking77", "snips", "bfcl", "lean", "etf", "rates", "vix", "skfolio"]
    assert len(names) == len(set(names)) == 10 + 8 + 13
    for entry in catalogue():
        assert re.fullmatch(r"[0-9a-f]{40}", entry.commit) and entry.licence and entry.files
        assert entry.url.startswith("https://")
        assert entry.workload in ("tool_calling", "trading", "assertions", "keyboard")
        for file in entry.files:
            assert re.fullmatch(r"[0-9a-f]{64}", file.sha256) and file.size >= 0
            assert ".." not in file.path and not file.path.startswith("/")
            assert entry.commit in entry.url_of(file)
    assert len({f.path for f in source("sgd").files}) == 40 + 17 + 2 + 1  # dialogues, schemas, licence


def test_an_unknown_source_names_the_known_ones() -> None:
    with pytest.raises(EquipoiseError, match="clinc150") as caught:
        source("nothing")
    assert caught.value.exit_code == Exit.USAGE


@pytest.mark.real_data
@pytest.mark.skipif(not PRICES.is_dir(), reason="the public price files are not beside the project")
def test_the_price_files_are_the_catalogued_ones(tmp_path: Path) -> None:
    verify("lean", PRICES / "lean")
    verify("skfolio", PRICES / "skfolio")
    for packed in (PRICES / "etf").glob("*.gz"):
        (tmp_path / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    assert len(verify("etf", tmp_path)) == 5


@pytest.mark.real_data
@pytest.mark.skipif(not KEYBOARD.is_dir(), reason="the public keyboard files are not beside the project")
@pytest.mark.parametrize("name", ["crosswoz", "codespell", "spell_testset", "tweeteval_emoji", "cldr", "cldr-derived"])
def test_the_keyboard_files_are_the_catalogued_ones(tmp_path: Path, name: str) -> None:
    for known in source(name).files:
        path = KEYBOARD / name.removesuffix("-derived") / known.path
        raw = path.read_bytes() if path.is_file() else gzip.decompress(Path(f"{path}.gz").read_bytes())
        copy = tmp_path / known.path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(raw)
    assert verify(name, tmp_path)


def packed(path: Path, files: dict[str, bytes], level: int) -> bytes:
    with tarfile.open(path, "w:gz", compresslevel=level) as archive:
        for name, raw in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    return path.read_bytes()


def test_an_archive_packed_anew_is_the_same_and_one_with_another_class_is_not(server, tmp_path):
    one, two, three = (tmp_path / f"{name}.tar.gz" for name in ("one", "two", "three"))
    files = {"a-c0ffee/src/A.java": b"class A { }" * 50, "a-c0ffee/src/B.java": b"class B { }", "a-c0ffee/README": b"x"}
    first = packed(one, files, 1)
    second = packed(two, dict(reversed(list({**files, "a-c0ffee/README": b"y"}.items()))), 9)
    packed(three, {**files, "a-c0ffee/src/B.java": b"class C { }"}, 9)
    assert first != second
    assert java_digest(one) == java_digest(two) != java_digest(three)
    known = SourceFile("a.tar.gz", java_digest(one), 0, java=True)
    url = f"http://127.0.0.1:{server.port}/{{commit}}/{{path}}"
    toy = Source("toy", "Toy", "assertions", "MIT", "http://x", "c0ffee", url, (known,))
    server.content["a.tar.gz"] = second
    assert [path.read_bytes() for path in fetch(toy, tmp_path / "good")] == [second]
    server.content["a.tar.gz"] = three.read_bytes()
    error = refused(toy, tmp_path / "bad")
    assert (error.code, error.exit_code) == ("E_CHANGED", Exit.BAD_DATA)
    assert present(tmp_path / "bad") == {}


def test_the_java_projects_are_catalogued_by_commit():
    found = [each for each in catalogue() if each.workload == "assertions"]
    assert len(found) == 13 and len({each.commit for each in found}) == 13
    for each in found:
        assert re.fullmatch("[0-9a-f]{40}", each.commit)
        assert each.url_of(each.files[0]).endswith(f"/tar.gz/{each.commit}")
        assert each.files[0].path == f"{each.name}.tar.gz"


@pytest.mark.real_data
@pytest.mark.skipif(not JAVA.is_file(), reason="the description of the public rows is not beside the project")
def test_the_java_projects_are_those_that_the_rows_come_from() -> None:
    table = re.findall(r"^\| (\S+) \| \w+ \| [\d,]+ \| (\S+) \| (\S+) \| `(\w{40})` \|$", JAVA.read_text("utf-8"), re.M)
    known = [(one.name, one.licence, one.repository, one.commit) for one in catalogue() if one.workload == "assertions"]
    assert len(table) == 13 and sorted(known) == sorted(table)
