"""The plain project that most tests of the flows start from."""

import contextlib
import os

import pytest

from components import stage
from components.workloads.tool_calling.baseline import fit_baseline
from flows.registration import BASELINE
from flows.state import Place
from tests.flows.projects import COPY, PLAIN, ROOT, real_project


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


@pytest.fixture(scope="session")
def fitted(tmp_path_factory):
    """A project whose embedded data is prepared, with the baseline that evaluate would fit; nothing is registered."""
    project = real_project(tmp_path_factory.mktemp("fitted") / "project")
    place = Place(project, project / ".equipoise")
    section = place.config().tool_calling
    with contextlib.chdir(project):
        stage.generate("tool_calling", section)
        stage.prepare("tool_calling", section)
    fit_baseline(section, place.prepared("tool_calling"), place.evaluation("tool_calling") / BASELINE)
    return place
