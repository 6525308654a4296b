"""A project of one's own: what it holds, what is refused, and that a model is trained and judged in it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import components
from components.config import load_config
from components.config_edit import edit
from components.errors import EquipoiseError
from flows import init as begin
from flows.stages import ensure_repository
from flows.state import Place
from tests.flows.projects import ROOT, TINY

W = "tool_calling"


def quiet(_line):
    pass


def started(folder: Path) -> Path:
    begin.init(W, folder, None, quiet)
    return folder


def installed(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """The installed command in a folder, as from any shell: the product's clone is not on its path."""
    keep = {
        k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_", "EQUIPOISE_", "PYTHONPATH"))
    }
    return subprocess.run(
        [str(Path(sys.executable).with_name("equipoise")), *arguments],
        cwd=folder, env={**keep, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=1200,
    )  # fmt: skip


def test_a_project_holds_what_its_stages_need(tmp_path):
    made = begin.init(W, tmp_path / "My Assistant", None, quiet)
    folder = tmp_path / "My Assistant"
    assert (made["project"], made["folder"], made["git"]) == ("my-assistant", str(folder), True)
    names = {".dvc", ".dvcignore", ".git", ".gitignore", "README.md", "components", "dvc.yaml", "params.yaml"}
    assert set(made["files"]) == names == {path.name for path in folder.iterdir()}
    assert load_config(folder / "params.yaml").project == "my-assistant"
    before, after = ((each / "params.yaml").read_text().splitlines() for each in (ROOT, folder))
    assert [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]] == [
        ("project: equipoise", "project: my-assistant")
    ]
    assert (folder / "components").resolve() == Path(components.__file__).parent
    status = subprocess.run(["git", "status", "--short"], cwd=folder, capture_output=True, text=True, check=True).stdout
    assert {line.split()[-1].strip('"') for line in status.splitlines()} == names - {".git", "components"} - {
        ".dvc"
    } | {".dvc/"}
    assert (
        f"equipoise retrain {W}" in (folder / "README.md").read_text() and made["next"][1] == f"equipoise retrain {W}"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["My Assistant"]
    assert folder.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("folder", "name"),
    [("a", "a"), ("Größe_2", "gr-e-2"), ("7days", "project-7days"), ("__", "project"), ("x" * 80, "x" * 40)],
)
def test_a_project_is_named_as_mlflow_can(folder, name):
    assert begin.project_name(folder) == name


def test_an_installed_package_begins_with_what_came_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr(components, "__file__", str(tmp_path / "site-packages" / "components" / "__init__.py"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(EquipoiseError, match="E_MISSING"):
        begin.shipped()
    shared = tmp_path / begin.SHARED
    shared.mkdir(parents=True)
    for name in begin.SHIPPED:
        shutil.copyfile(ROOT / name, shared / name)
    assert begin.shipped() == shared


@pytest.mark.parametrize("kind", ["file", "full", "link"])
def test_what_is_in_the_way_is_left_alone(tmp_path, kind):
    target = tmp_path / "taken"
    if kind == "file":
        target.write_text("mine")
    elif kind == "full":
        target.mkdir()
        (target / "mine").write_text("mine")
    else:
        target.symlink_to(tmp_path)
    with pytest.raises(EquipoiseError) as refused:
        begin.init(W, target, None, quiet)
    assert refused.value.code == "E_FOLDER" and refused.value.exit_code == 73
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
    assert kind != "full" or (target / "mine").read_text() == "mine"


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "new").mkdir()
    assert (started(tmp_path / "new") / "params.yaml").is_file()


def test_another_projects_parameters_are_begun_with_and_bad_ones_leave_nothing(tmp_path):
    first = started(tmp_path / "first")
    edit(first / "params.yaml", W, ["training.seed=99"])
    begin.init(W, tmp_path / "second", first, quiet)
    assert load_config(tmp_path / "second" / "params.yaml").tool_calling.training.seed == 99
    (first / "params.yaml").write_text("project: first\n")
    for source, code in ((first, "E_CONFIG"), (tmp_path, "E_MISSING")):
        with pytest.raises(EquipoiseError) as refused:
            begin.init(W, tmp_path / "third", source, quiet)
        assert refused.value.code == code
    assert {path.name for path in tmp_path.iterdir()} == {"first", "second"}


def test_the_link_is_made_again_and_own_code_is_kept(tmp_path):
    folder = started(tmp_path / "project")
    link, place = folder / "components", Place(folder, folder / ".equipoise")
    for broken in (False, True):
        link.unlink()
        if broken:
            link.symlink_to(tmp_path / "gone")
        ensure_repository(place)
        assert link.resolve() == Path(components.__file__).parent
    link.unlink()
    link.mkdir()
    ensure_repository(place)
    assert link.is_dir() and not link.is_symlink()


def test_without_git_the_project_is_dvcs_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    said = []
    made = begin.init(W, tmp_path / "project", None, said.append)
    assert not made["git"] and "git is not installed" in said[0]
    assert "no_scm = true" in (tmp_path / "project" / ".dvc" / "config.local").read_text()


@pytest.mark.timeout(1500)
def test_a_model_is_trained_and_judged_in_it(tmp_path):
    done = installed(tmp_path, "init", W, "assistant", "--json")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "assistant"
    assert json.loads(done.stdout)["next"] == ["cd assistant", f"equipoise retrain {W}", "equipoise status"]
    edit(folder / "params.yaml", W, TINY)
    ran = installed(folder, "retrain", W, "--json")
    assert ran.returncode in (0, 10, 11), ran.stderr[-3000:]
    assert json.loads(ran.stdout)["version"] == 2
    again = installed(folder, "retrain", W, "--json")
    assert json.loads(again.stdout)["decision"] == "UNCHANGED"
    lock = (folder / "dvc.lock").read_text()
    assert "path: components/training" in lock and str(folder) not in lock and str(ROOT) not in lock
    moved = tmp_path / "moved"
    shutil.move(folder, moved)
    assert json.loads(installed(moved, "retrain", W, "--json").stdout)["decision"] == "UNCHANGED"
