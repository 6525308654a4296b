"""Prefect's surroundings: a server of our own in the state folder unless PREFECT_API_URL names one."""

from __future__ import annotations

import atexit
import fcntl
import importlib.metadata
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from components.errors import EquipoiseError, Exit
from components.registry.database import cache_folder
from components.stage import die_with_parent
from flows.state import Place

HOST = "127.0.0.1"
PROBE_SECONDS = 5.0
MIGRATION_SECONDS = 300
STOP_SECONDS = 5
UNAUTHORIZED, FAILED = 401, 500  # status of an HTTP answer; this and above: the server itself failed
DATABASE = "prefect.db"
LOG = "server.log"
NAMED = "Start the server (its address ends in /api) or unset PREFECT_API_URL"

SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",  # ours is the only one: Prefect's own would outlive a killed flow
    "PREFECT_API_REQUEST_TIMEOUT": "120",  # the first answer comes once our server has started
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # people read our own lines; Prefect's page has its log
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_CLI_PROMPT": "false",
    "DO_NOT_TRACK": "1",
}


def environment(place: Place) -> dict[str, str]:
    """What Prefect reads at import, for this process and its children; a person's own settings win."""
    (place.state / "prefect").mkdir(parents=True, exist_ok=True)  # Prefect warns where it is missing
    wanted = {
        **SETTINGS,
        "PREFECT_HOME": str(place.state / "prefect"),
        "PREFECT_PROFILES_PATH": str(place.state / "prefect" / "profiles.toml"),
    }
    return {name: os.environ.get(name, value) for name, value in wanted.items()}


@contextmanager
def embedded(place: Place, say: Callable[[str], object]) -> Iterator[None]:
    """Prepares the process for a flow run; best called before Prefect is imported, which reads our settings then.

    Without PREFECT_API_URL a server of our own is started, once a process, and not waited for: it listens at once.
    Prefect is told its address also where it was imported before, and looks for it in the environment no more.

    Raises:
        EquipoiseError: E_PREFECT (69) when the named server does not answer or our own does not start.
    """
    os.environ.update(environment(place))
    address = os.environ.get("PREFECT_API_URL", "").strip()
    if address:
        probe(address)
        with reached(address):
            yield
        return
    ensure_database(place, say)
    os.environ["PREFECT_API_URL"] = _own.address(place)
    from prefect.settings import PREFECT_API_URL, temporary_settings

    try:
        with temporary_settings({PREFECT_API_URL: os.environ["PREFECT_API_URL"]}), reached("embedded Prefect"):
            yield
    finally:
        del os.environ["PREFECT_API_URL"]


@contextmanager
def reached(server: str) -> Iterator[None]:
    """What goes wrong between us and a Prefect server while the block runs, in one line.

    Raises:
        EquipoiseError: E_PREFECT (69) where it is gone, lets us not in or fails itself; everything else as it came.
    """
    try:
        yield
    except EquipoiseError:
        raise
    except Exception as error:
        status = getattr(getattr(error, "response", None), "status_code", 0)
        if status == UNAUTHORIZED:
            hint = "Set PREFECT_API_AUTH_STRING to USER:PASSWORD as the server has it"
            raise unavailable(server, "status 401: user and password refused", hint) from error
        if type(error).__name__ == "PrefectHTTPStatusError" and status >= FAILED:
            raise unavailable(server, f"status {status}", "Read the server's log: its database may be away") from error
        lost = "Failed to reach API" in str(error) or type(error).__module__.startswith("httpx")
        if ended := _own.ended(STOP_SECONDS if lost else 0):  # it hangs up a moment before it is gone
            hint = f"Read why in prefect/{LOG} of the state folder, then run the command again"
            raise unavailable("embedded Prefect", ended, hint) from error
        if lost:
            raise unavailable(server, next(iter(str(error).splitlines()), type(error).__name__)) from error
        raise


class _OwnServer:
    """The one server that this process starts for its flows. It ends with the process, however that ends."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._address = ""

    def address(self, place: Place) -> str:
        """Where it listens; started when first asked for, with the settings of the environment."""
        if self._child is None:
            self._start(place)
        return self._address

    def ended(self, seconds: float) -> str | None:
        """How it ended by itself, if it does so within that time, for a person; None too where there is none."""
        if self._child is None:
            return None
        try:
            return f"its end with status {self._child.wait(seconds)}"
        except subprocess.TimeoutExpired:
            return None

    def _start(self, place: Place) -> None:
        with socket.create_server((HOST, 0)) as listening, (place.state / "prefect" / LOG).open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "flows.prefect_child", str(listening.fileno())],
                pass_fds=[listening.fileno()], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=die_with_parent,
            )  # fmt: skip
            self._address = f"http://{HOST}:{listening.getsockname()[1]}/api"
        atexit.register(self._stop)  # before Prefect registers its own, which still need the server

    def _stop(self) -> None:
        assert self._child is not None
        self._child.terminate()
        try:
            self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()


_own = _OwnServer()


def probe(address: str) -> None:
    """Asks a Prefect server for its health, with a short limit.

    Raises:
        EquipoiseError: E_PREFECT (69).
    """
    try:
        with urllib.request.urlopen(f"{address.rstrip('/')}/health", timeout=PROBE_SECONDS) as answer:
            body = answer.read(64).decode("ascii", "replace").strip()
    except (OSError, ValueError) as error:
        raise unavailable(address, str(getattr(error, "reason", None) or error)) from error
    if body != "true":
        raise unavailable(address, body)


def unavailable(address: str, got: str, hint: str = NAMED) -> EquipoiseError:
    """The error of a Prefect server that is not there; user and password are left out of the address."""
    shown = address.rpartition("@")[2]
    return EquipoiseError(
        "PREFECT", shown, "the Prefect server must answer", got=got, hint=hint, exit_code=Exit.SERVICE_UNAVAILABLE
    )


def ensure_database(place: Place, say: Callable[[str], object]) -> None:
    """Puts a migrated, empty database where the embedded server looks: migrating a fresh one takes half a minute."""
    home = Path(os.environ["PREFECT_HOME"])
    target = home / DATABASE
    if target.is_file() or os.environ.get("PREFECT_API_DATABASE_CONNECTION_URL"):
        return
    home.mkdir(parents=True, exist_ok=True)
    template = _template(place, say)
    if template is not None:
        unfinished = target.with_suffix(f".{os.getpid()}.part")
        shutil.copyfile(template, unfinished)
        unfinished.replace(target)


def _template(place: Place, say: Callable[[str], object]) -> Path | None:
    """The migrated database of this Prefect version in the user's cache; None where the cache cannot be written."""
    cache = cache_folder(place.state)
    template = cache / f"prefect-{importlib.metadata.version('prefect')}.db"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        handle = (cache / "prefect-template.lock").open("w")
    except OSError as error:
        say(f"no cache for Prefect's database ({error.strerror}): its first start takes half a minute")
        return None
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not template.is_file():
            say("making Prefect's database, once for this user")
            _migrate(cache, template)
    return template


def _migrate(cache: Path, template: Path) -> None:
    unfinished = cache / f"{template.name}.{os.getpid()}.part"
    settings = {
        **os.environ,
        "PREFECT_HOME": str(cache / "prefect-home"),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{unfinished}",
    }
    command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
    try:
        done = subprocess.run(
            command, env=settings, capture_output=True, text=True, timeout=MIGRATION_SECONDS, check=False
        )
        if done.returncode:
            raise unavailable("embedded Prefect", (done.stderr.strip().splitlines() or ["no message"])[-1])
        unfinished.replace(template)
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            unfinished.with_name(unfinished.name + suffix).unlink(missing_ok=True)
        shutil.rmtree(cache / "prefect-home", ignore_errors=True)
