"""The stack of infra/compose.yaml as processes of this machine: its commands, settings and health checks as they stand.

Only what names a place is exchanged: hosts and ports for free ports of loopback, folders of the image for folders of
the test. The object store is a local S3 server that refuses who has no key; PostgreSQL is the one installed here, made
ready by infra/postgres/roles.sh and asking for passwords.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import boto3
from botocore.config import Config

from flows.scheduling import free_port
from tests.flows.processes import descendants
from tests.flows.projects import ROOT, real_project
from tests.infra.files import INFRA, compose, secret_names
from tests.registry.postgres import cluster, running

SERVERS = ("postgres", "objects", "mlflow", "prefect")
UP_SECONDS = 600.0  # a busy machine imports for a minute
STOP_SECONDS = 30
USER_POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
UNSIGNED = 3  # requests that the S3 server takes from anybody: those that make its user
HBA = "local all test trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
PLACES = re.compile("/srv/equipoise/infra/mlflow|/srv/equipoise|/srv/project|/srv/state|/tmp")
QUICK = {"PREFECT_WORKER_QUERY_SECONDS": "2", "PREFECT_SERVER_CONCURRENCY_INITIAL_DEPLOYMENT_LEASE_DURATION": "30"}


class Stack:
    """What runs where.

    Attributes:
        folder: everything of this stack lies below it.
        ports: by service, the port of loopback it listens on.
        secrets: the values of what env.example names.
        postgres: closes PostgreSQL.
        sockets: the folder of PostgreSQL's socket, where its superuser `test` needs no password.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in SERVERS}
        self.postgres, self.sockets = ExitStack(), ""
        self.secrets = {name: f"{name.lower()}-'%40 x"[:40] for name in secret_names()}
        self.project, self.state, self.image = folder / "project", folder / "state", folder / "image"
        self.places = {"/srv/equipoise/infra/mlflow": folder / "mlflow", "/srv/equipoise": ROOT, "/tmp": folder / "tmp"}
        self.places |= {"/srv/project": self.project, "/srv/state": self.state}

    def text(self, value: str) -> str:
        """A setting or a part of a command as it reads here."""
        value = re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: self.secrets[found[1]], str(value))
        value = re.sub(r"\$\{\w+:-\}", "", value).replace("0.0.0.0", "127.0.0.1")
        for name, port in self.ports.items():
            value = re.sub(rf"\b{name}:\d+", f"127.0.0.1:{port}", value)
        return PLACES.sub(lambda found: str(self.places[found[0]]), value)

    def environment(self, service: str) -> dict[str, str]:
        """The settings that the compose file gives a service, and nothing of this process but where programs lie."""
        own = {name: self.text(value) for name, value in compose()["services"][service]["environment"].items()}
        path = f"{Path(sys.executable).parent}:{os.defpath}:/usr/local/bin"
        base = {"PATH": path, "HOME": str(self.folder / "home"), "OMP_NUM_THREADS": "1", "GIT_PYTHON_REFRESH": "quiet"}
        return {**base, "EQUIPOISE_IMAGE": str(self.image), **QUICK, **own}

    def command(self, service: str) -> list[str]:
        """Its entry point and command; a port that it listens on is the one given to it."""
        described = compose()["services"][service]
        words = [self.text(word) for word in [*described.get("entrypoint", []), *described["command"]]]
        return [str(self.ports[service]) if before == "--port" else word for before, word in zip(["", *words], words)]  # noqa: B905

    @contextmanager
    def started(self, service: str, name: str = "", **more: str) -> Iterator[subprocess.Popen[bytes]]:
        """A service while the block runs, once its health check says yes; what it prints lies in NAME.log."""
        name = name or service
        folder = self.folder / "at" / name
        folder.mkdir(parents=True, exist_ok=True)
        where = self.text(compose()["services"][service].get("working_dir", str(folder)))
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                self.command(service), env={**self.environment(service), **more}, start_new_session=True,
                cwd=str(folder) if where.startswith(str(self.folder / "tmp")) else where,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            port = int(more.get("PREFECT_WORKER_WEBSERVER_PORT", self.ports.get(service, 0)))
            self._wait(service, port, process)
            yield process
        finally:
            end(process)

    def _wait(self, service: str, port: int, process: subprocess.Popen[bytes]) -> None:
        """Asks by the compose file's own health check."""
        check = compose()["services"][service]["healthcheck"]["test"][1:]
        asked = [re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port}", word) for word in check]
        wake, until = threading.Event(), time.monotonic() + UP_SECONDS
        while subprocess.run(asked, env=self.environment(service), capture_output=True).returncode:
            assert process.poll() is None, f"{service} ended: {self.log(service)}"
            assert time.monotonic() < until, f"{service} did not come up: {self.log(service)}"
            wake.wait(0.5)

    def once(self, service: str) -> str:
        """Runs a service that ends, and returns what it said."""
        where = self.text(compose()["services"][service]["working_dir"])
        done = subprocess.run(
            self.command(service), env=self.environment(service), cwd=where, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{service}: {done.stdout}{done.stderr}"
        return done.stdout

    def prepare(self) -> None:
        """Gives the project the image's code, as a worker's first act does."""
        subprocess.run([INFRA / "enter.sh", "true"], env=self.environment("worker"), check=True)

    def log(self, name: str) -> str:
        """The end of what a service printed."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]

    def equipoise(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """A command of the product in the project, with the worker's settings."""
        return subprocess.run(
            [sys.executable, "-m", "flows.cli", *arguments], cwd=self.project, timeout=600,
            env={**self.environment("worker"), **more}, capture_output=True, text=True,
        )  # fmt: skip


def end(process: subprocess.Popen[bytes]) -> None:
    """Stops a service as `docker stop` does: asked first, killed with whatever it left if it takes too long."""
    below = descendants(process.pid) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        kill(*below)


def kill(*pids: int) -> None:
    """Kills these processes, of which some may have ended."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


@contextmanager
def s3_server(log: Path, environment: dict[str, str], port: int | None = None) -> Iterator[str]:
    """The address of a local S3 server, which lets everybody in unless the environment says otherwise."""
    address = f"http://127.0.0.1:{(port := port or free_port())}"
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("ab") as lines:
        process = subprocess.Popen(command, env=environment, stdout=lines, stderr=lines, start_new_session=True)
    try:
        wake, until = threading.Event(), time.monotonic() + UP_SECONDS
        while "Running on" not in log.read_text():
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            wake.wait(0.1)
        yield address
    finally:
        end(process)


@contextmanager
def object_store(stack: Stack) -> Iterator[None]:
    """The stack's S3 server with one user; it refuses requests that are not signed by that user."""
    environment = {**stack.environment("buckets"), "INITIAL_NO_AUTH_ACTION_COUNT": str(UNSIGNED)}
    with s3_server(stack.folder / "objects.log", environment, stack.ports["objects"]) as address:
        nobody = {"aws_access_key_id": "none", "aws_secret_access_key": "none", "region_name": "us-east-1"}
        iam = boto3.client("iam", endpoint_url=address, config=Config(retries={"max_attempts": 0}), **nobody)
        iam.create_user(UserName="equipoise")
        iam.put_user_policy(UserName="equipoise", PolicyName="all", PolicyDocument=json.dumps(USER_POLICY))
        key = iam.create_access_key(UserName="equipoise")["AccessKey"]
        stack.secrets |= {"S3_ACCESS_KEY": key["AccessKeyId"], "S3_SECRET_KEY": key["SecretAccessKey"]}
        yield


@contextmanager
def database(stack: Stack) -> Iterator[None]:
    """PostgreSQL with the roles that roles.sh makes; `new_database` replaces it while the block runs."""
    with stack.postgres:
        new_database(stack)
        yield


def new_database(stack: Stack) -> None:
    """Starts an empty PostgreSQL with its roles; one that ran before is gone with all it held."""
    stack.postgres.close()
    folder = stack.postgres.enter_context(cluster())
    (folder / "data" / "pg_hba.conf").write_text(HBA)
    stack.postgres.enter_context(running(folder, signal.SIGINT, stack.ports["postgres"]))
    stack.sockets = str(folder)
    asked = {**stack.environment("postgres"), "POSTGRES_USER": "test", "POSTGRES_DB": "postgres"}
    asked |= {"PGHOST": stack.sockets, "PGPORT": str(stack.ports["postgres"])}
    subprocess.run([INFRA / "postgres" / "roles.sh"], env=asked, check=True, capture_output=True, text=True)


def image(stack: Stack) -> None:
    """What the image's /srv/equipoise holds, with a recipe that trains in seconds; an empty project beside it."""
    real_project(stack.image)
    (stack.image / "digest").write_text("test\n")
    shutil.copytree(INFRA, stack.image / "infra", ignore=shutil.ignore_patterns("kubernetes", "__pycache__"))
    for folder in (stack.project, stack.state, stack.folder / "home", stack.folder / "tmp", stack.folder / "mlflow"):
        folder.mkdir(parents=True)
    accounts = stack.text((INFRA / "mlflow" / "basic_auth.ini").read_text())
    (stack.folder / "mlflow" / "basic_auth.ini").write_text(accounts)


@contextmanager
def servers(stack: Stack) -> Iterator[None]:
    """All but the workers, in the order that the compose file gives."""
    with ExitStack() as opened:
        image(stack)
        opened.enter_context(database(stack))
        opened.enter_context(object_store(stack))
        stack.once("buckets")
        opened.enter_context(stack.started("prefect"))
        opened.enter_context(stack.started("mlflow"))
        stack.once("account")
        stack.once("deployments")
        yield
