"""dvc.yaml names what each stage depends on: exactly the files that the code of the stage reaches."""

from __future__ import annotations

import ast
import shutil
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from components import stage as stages
from components.config import load_config
from components.training.reach import NOT_COUNTED, ROOT, STAGES, stage_sources
from components.workload import NAMES, Workload, workload
from flows.stages import ensure_repository
from flows.state import Place
from tests.flows.projects import real_project

FUNCTION = 0x1  # CO_OPTIMIZED: a function's code, unlike that of a module or of a class
ASIDE = {ROOT / "components" / "stage.py", *(ROOT / f"{name.replace('.', '/')}.py" for name in NOT_COUNTED)}


RUN = [(stage, name) for stage in STAGES for name in NAMES if stage != "teacher" or workload(name).teach is not None]


@pytest.fixture(scope="module")
def listed(tmp_path_factory) -> dict[str, list[str]]:
    """The dependencies in components/ of every stage of dvc.yaml, as DVC itself expands the file."""
    from dvc.repo import Repo

    folder = tmp_path_factory.mktemp("pipeline")
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copyfile(ROOT / name, folder / name)
    ensure_repository(Place(folder, folder / ".equipoise"))
    with Repo(str(folder)) as repo:
        dependencies = {stage.name: [dep.def_path for dep in stage.deps] for stage in repo.index.stages}
    return {name: [path for path in paths if path.startswith("components/")] for name, paths in dependencies.items()}


@pytest.mark.parametrize(("stage", "name"), RUN)
def test_dvc_knows_every_file_that_can_change_a_stage(listed, stage, name):
    files = [path.relative_to(ROOT) for path in stage_sources(stage, name)]
    paths = [Path(path) for path in listed[f"{stage}@{name}"]]
    lacking = [str(file) for file in files if not any(file == path or path in file.parents for path in paths)]
    assert not lacking, f"add to the deps of {stage}@{name} in dvc.yaml: {lacking}"


@pytest.mark.parametrize(("stage", "name"), RUN)
def test_dvc_runs_no_stage_for_a_file_that_cannot_change_it(listed, stage, name):
    files = [path.relative_to(ROOT) for path in stage_sources(stage, name)]
    paths = [Path(path) for path in listed[f"{stage}@{name}"]]
    idle = [str(path) for path in paths if not any(file == path or path in file.parents for file in files)]
    assert not idle, f"remove from the deps of {stage}@{name} in dvc.yaml: {idle}"


def test_training_calls_no_other_function_of_a_record():
    named = {each.name for each in fields(Workload)} - {"name"}
    called = set()
    for path in sorted((ROOT / "components" / "training").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value).split(".")[-1] == "workload":
                called |= {node.attr} & named
    assert called <= set(STAGES["train"])
    assert named >= {function for functions in STAGES.values() for function in functions}


def test_what_really_runs_was_reached(tmp_path, monkeypatch):
    """Every function that the stages of a tiny project call is in a file that was said to be reached."""
    project = real_project(tmp_path / "project")
    monkeypatch.chdir(project)
    section = load_config(project / "params.yaml").tool_calling
    workload("tool_calling")  # imports before the watch begins
    for stage, run in ((s, run) for s, run in stages.STAGES.items() if (s, "tool_calling") in RUN):
        called: set[str] = set()

        def watch(frame, event, _argument, called=called):
            if event == "call" and frame.f_code.co_flags & FUNCTION:
                called.add(frame.f_code.co_filename)

        sys.setprofile(watch)
        try:
            run("tool_calling", section)
        finally:
            sys.setprofile(None)
        ran = {Path(name) for name in called if name.startswith(str(ROOT / "components"))} - ASIDE
        assert ran and ran <= set(stage_sources(stage, "tool_calling")), stage
