"""A local S3 server as the object store: what its first start needs, and DVC's remote in it."""

import shutil
import subprocess
import sys

import pytest

from flows.stages import bring_up_to_date
from flows.state import Place
from tests.flows.projects import COPY, PLAIN, ROOT
from tests.infra.stack import Stack, image, object_store, s3_server

OPEN = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """An object store with its buckets."""
    made = Stack(tmp_path_factory.mktemp("stack"))
    image(made)
    with object_store(made):
        assert made.once("buckets").endswith("made mlflow, dvc\n")
        yield made


def first_start(stack: Stack, **changed: str) -> subprocess.CompletedProcess[str]:
    environment = {**stack.environment("buckets"), **changed}
    return subprocess.run(
        stack.command("buckets"), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )


def test_buckets_are_made_once(stack):
    assert stack.once("buckets").endswith("all buckets are there\n")


@pytest.mark.parametrize("changed", [{"AWS_SECRET_ACCESS_KEY": "wrong"}, {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}])
def test_a_store_that_does_not_let_us_in_is_told_in_a_line(stack, changed):
    done = first_start(stack, **changed)
    assert done.returncode == 69 and done.stderr.startswith("E_OBJECT_STORE http://127.0.0.1:")
    assert len(done.stderr.splitlines()) == 1 and stack.secrets["S3_SECRET_KEY"] not in done.stderr


def test_a_store_that_lets_everybody_in_is_refused(stack, tmp_path):
    with s3_server(tmp_path / "log", stack.environment("buckets")) as address:
        done = first_start(stack, AWS_ENDPOINT_URL=address, **OPEN)
    assert done.returncode == 78 and done.stderr.startswith(f"E_OBJECT_STORE_OPEN {address}")


def test_data_come_back_from_the_remote(stack, tmp_path):
    """Everything that a stage left is pushed; cache and output are lost; a pull brings the same bytes."""
    place = Place(tmp_path, tmp_path / ".equipoise")
    (tmp_path / "dvc.yaml").write_text(PLAIN)
    (tmp_path / "raw.txt").write_text("hello")
    (tmp_path / "prepare.py").write_text(COPY)
    (tmp_path / "train.py").write_text("raise SystemExit(0)")
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    bring_up_to_date(place, "tool_calling", "prepare", print)

    def dvc(*words: str) -> None:
        command = [sys.executable, "-m", "dvc", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=stack.environment("buckets"), capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr

    dvc("remote", "add", "--default", "objects", "s3://dvc/project")
    dvc("push")
    shutil.rmtree(tmp_path / "data" / "prepared")
    shutil.rmtree(tmp_path / ".dvc" / "cache")
    dvc("pull", "prepare@tool_calling")
    assert (place.prepared("tool_calling") / "text").read_text() == "HELLO"
    assert not bring_up_to_date(place, "tool_calling", "prepare", print).ran
