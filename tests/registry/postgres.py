"""A PostgreSQL server of its own for tests: import the fixture `postgres_server` or `postgres_url` where it is needed.

initdb and postgres refuse to run as root, so as root they run as `nobody`, in a folder that `nobody` owns and whose
parents it may enter (pytest's tmp_path is not such a place). The server listens on a socket in that folder only.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

PLACES = ("/usr/lib/postgresql/17/bin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/15/bin", "/usr/local/bin")
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=60", "shared_buffers=16MB")
QUIET = "log_min_messages=log"  # nobody reads its log once it is ready: errors of its clients would fill the pipe
READY_SECONDS = 30


def binaries() -> Path | None:
    """The folder that holds both initdb and postgres, or None."""
    found = [Path(place).parent for place in (shutil.which("postgres"),) if place]
    return next(
        (p for p in [*map(Path, PLACES), *found] if (p / "initdb").exists() and (p / "postgres").exists()), None
    )


@contextmanager
def server() -> Iterator[str]:
    """A running server's socket folder; everything is gone afterwards. Skips the test without PostgreSQL."""
    with cluster() as folder, running(folder):
        yield str(folder)


@contextmanager
def cluster() -> Iterator[Path]:
    """The folder of a server that is not running yet: `running` starts it, as often as a test likes."""
    bin_folder = binaries()
    root = os.geteuid() == 0
    if bin_folder is None or (root and shutil.which("runuser") is None):
        pytest.skip("PostgreSQL's initdb and postgres are not installed here (or runuser is missing)")
    folder = Path(tempfile.mkdtemp(prefix="equipoise-pg-"))
    if root:
        shutil.chown(folder, "nobody")
    try:
        command = [*_become(), str(bin_folder / "initdb"), "-D", str(folder / "data"), "-U", "test", "-A", "trust",
                   "--no-sync", "--locale=C", "-E", "UTF8"]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, cwd=folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(folder: Path, end: int = signal.SIGQUIT, port: int | None = None) -> Iterator[None]:
    """The server of a cluster while the block runs.

    `port`: where it listens on loopback beside its socket; without one it does not.
    `end`: SIGQUIT is the quickest and may lose what was committed last, which FAST does not write at once; SIGINT (a
    fast shutdown) loses nothing.
    """
    bin_folder = binaries()
    assert bin_folder is not None
    listening = ("listen_addresses=127.0.0.1", f"port={port}") if port else ("listen_addresses=",)
    settings = (f"unix_socket_directories={folder}", *listening, *FAST, QUIET)
    options = [part for setting in settings for part in ("-c", setting)]
    process = subprocess.Popen(
        [*_become(), str(bin_folder / "postgres"), "-D", str(folder / "data"), *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        _wait_until_ready(process)
        yield
    finally:
        _stop(process, folder, end)


def _become() -> list[str]:
    return ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []


def _wait_until_ready(process: subprocess.Popen[str]) -> None:
    """Reads the server's own log until it says that it takes connections."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if "ready to accept connections" in line:
            return
    raise RuntimeError("PostgreSQL ended at its start: " + "".join(seen[-5:]))


def _stop(process: subprocess.Popen[str], folder: Path, end: int) -> None:
    """The signal goes to the server itself, because runuser would not pass it on; no child is left."""
    pid_file = folder / "data" / "postmaster.pid"
    if pid_file.exists():
        os.kill(int(pid_file.read_text().splitlines()[0]), end)
    process.communicate(timeout=READY_SECONDS)


def new_schema(socket_folder: str) -> str:
    """URL whose tables live in a new empty schema: as good as a database of its own, without copying one."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(host=socket_folder, user="test", dbname="postgres", autocommit=True) as connection:
        connection.execute(SQL("CREATE SCHEMA {}").format(Identifier(name)))
    return f"postgresql://test@/postgres?host={socket_folder}&options=-csearch_path%3D{name}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Socket folder of a server that lives as long as the test session."""
    with server() as folder:
        yield folder


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """URL of an empty schema for one test."""
    return new_schema(postgres_server)
