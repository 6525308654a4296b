"""The plain project that most tests of the flows start from."""

import os

import pytest

from flows.state import Place
from tests.flows.projects import COPY, PLAIN, ROOT


@pytest.fixture(autouse=True)
def same_environment():
    """Commands set what Prefect and MLflow read at import; the next test starts without it."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def plain(tmp_path):
    """A project whose stages are small scripts: DVC, its lock file and the process group are the real ones."""
    (tmp_path / "dvc.yaml").write_text(PLAIN)
    (tmp_path / "raw.txt").write_text("hello")
    (tmp_path / "prepare.py").write_text(COPY)
    (tmp_path / "train.py").write_text("raise SystemExit(0)")
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    return Place(tmp_path, tmp_path / ".equipoise")
