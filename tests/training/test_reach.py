"""What a result depends on, by hand-made projects whose answer can be read off."""

from __future__ import annotations

import shutil

import pytest

from components.training.fingerprint import code_digest
from components.training.reach import ROOT, reached, stage_sources

BEGIN = "from p.a import used\ndef start():\n    return used()\n"
CASES = {  # files beside p/begin.py -> those that p.begin.start reaches
    "a name that is used": ({"a": "def used(): ..."}, {"a"}),
    "a name that is only imported": ({"a": "from p.b import other\ndef used(): ..."}, {"a"}),
    "what only another function uses": (
        {"a": "from p.b import other\ndef used(): ...\ndef idle(): other()", "b": "def other(): ..."},
        {"a"},
    ),
    "a name handed on": ({"a": "from p.b import used", "b": "def used(): ..."}, {"a", "b"}),
    "through a constant": (
        {"a": "from p.b import other\nTABLE = {'x': other}\ndef used(): return TABLE", "b": "def other(): ..."},
        {"a", "b"},
    ),
    "through a base class": (
        {"a": "from p.b import Base\nclass Own(Base): ...\ndef used(): return Own", "b": "class Base: ..."},
        {"a", "b"},
    ),
    "through a decorator": (
        {"a": "from p.b import wrap\n@wrap\ndef used(): ...", "b": "def wrap(f): return f"},
        {"a", "b"},
    ),
    "an attribute of a module": (
        {"a": "from p import b\ndef used(): b.f()", "b": "from p import c\ndef f(): ...\ndef g(): c.h()", "c": "h = 1"},
        {"a", "b"},
    ),
    "a module as a value": (
        {"a": "from p import b\ndef used(): return b", "b": "from p import c\ndef g(): c.h()", "c": "def h(): ..."},
        {"a", "b", "c"},
    ),
    "an import by its long name": (
        {"a": "import p.b\ndef used(): return p.b.f()", "b": "def f(): ..."},
        {"a", "b"},
    ),
    "an import inside the function": (
        {"a": "def used():\n    from p.b import f\n    return f()", "b": "def f(): ..."},
        {"a", "b"},
    ),
    "an import that something decides about": (
        {"a": "try:\n    from p.b import f\nexcept ImportError:\n    f = None\ndef used(): f()", "b": "def f(): ..."},
        {"a", "b"},
    ),
    "an import for the type checker": (
        {
            "a": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.b import T\ndef used(x: T): ...",
            "b": "class T: ...",
        },
        {"a"},
    ),
    "what runs at import": ({"a": "from p.b import f\nf()\ndef used(): ...", "b": "def f(): ..."}, {"a", "b"}),
    "a constant made in two steps": (
        {"a": "from p.b import f\nX = 1\nX += f()\ndef used(): return X", "b": "def f(): ..."},
        {"a", "b"},
    ),
    "two that use each other": (
        {"a": "from p import b\ndef used(): b.f()", "b": "from p import a\ndef f(): a.used()"},
        {"a", "b"},
    ),
    "a package that does something": ({"a": "def used(): ...", "__init__": "X = 1"}, {"a", "__init__"}),
    "a package that says something": ({"a": "def used(): ...", "__init__": '"""Only words."""'}, {"a"}),
    "a library": ({"a": "import json\ndef used(): json.dumps(1)"}, {"a"}),
}


@pytest.mark.parametrize("case", CASES)
def test_files_reached(tmp_path, case):
    files, expected = CASES[case]
    (tmp_path / "p").mkdir()
    for name, text in {"__init__": "", "begin": BEGIN, **files}.items():
        (tmp_path / "p" / f"{name}.py").write_text(text)
    found = reached([("p.begin", "start")], tmp_path)
    assert {path.stem for path in found} == expected | {"begin"}


def test_a_record_made_in_another_way_counts_whole(tmp_path):
    folder = tmp_path / "components" / "workloads" / "own"
    folder.mkdir(parents=True)
    (folder / "workload.py").write_text("from components.workloads.own.made import make\nWORKLOAD = make('own')\n")
    (folder / "made.py").write_text("def make(name): ...\n")
    assert {path.name for path in stage_sources("prepare", "own", tmp_path)} == {"workload.py", "made.py"}


def test_a_name_without_a_record_has_the_shared_part():
    shared = stage_sources("train", "nobody")
    assert ROOT / "components/training/loop.py" in shared
    assert not [path for path in shared if "workloads" in path.parts]


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    root = tmp_path_factory.mktemp("code")
    shutil.copytree(ROOT / "components", root / "components", ignore=shutil.ignore_patterns("__pycache__"))
    return root


RESTARTS = {
    "workloads/tool_calling/model.py": True,
    "workloads/tool_calling/loss.py": True,
    "workloads/tool_calling/batches.py": True,
    "workloads/tool_calling/workload.py": True,
    "workloads/tool_calling/samples.py": True,
    "losses/composite.py": True,
    "modules/attention.py": True,
    "training/ema.py": True,
    "data/arrays.py": True,
    "files.py": True,
    "workloads/tool_calling/report.py": False,
    "workloads/tool_calling/generator.py": False,
    "workloads/tool_calling/baseline.py": False,
    "workloads/tool_calling/evaluate.py": False,
    "workloads/tool_calling/sgd.py": False,
    "data/sources.py": False,
    "registry/gate.py": False,
    "config.py": False,
}


@pytest.mark.parametrize("name", RESTARTS)
def test_a_changed_file_restarts_training_only_if_it_can_change_it(code, name):
    before, path = code_digest("tool_calling", code), code / "components" / name
    text = path.read_text()
    path.write_text(f"{text}\nCHANGED = True\n")
    try:
        assert (code_digest("tool_calling", code) != before) == RESTARTS[name]
    finally:
        path.write_text(text)
    assert code_digest("tool_calling", code) == before
