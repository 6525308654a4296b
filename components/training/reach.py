"""Which source files a result depends on, read from the code itself by following names from where the work begins.

A file counts when something defined in it is used on the way, not when it is merely imported beside it: the module that
reads prepared samples also writes them, yet no change of the writing can change a training. dvc.yaml lists the same
files for DVC; a contract test compares the two.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WHOLE = "*"  # of a module that is passed on as a value, every definition
STAGES = {  # the functions of a Workload that a stage calls
    "generate": ("generate",),
    "prepare": ("prepare",),
    "train": (
        "batches",
        "build",
        "rollout",
        "supervision_steps",
        "terms",
        "validate",
        "health",
        "facts",
        "served",
        "rehearsals",
        "beside",
    ),
    "teacher": ("teach", "validate", "supervision_steps", "health", "facts", "served"),
    "evaluate": ("evaluate",),
}
BEGINNINGS = {
    "train": (("components.training.loop", "train"), ("components.training.rehearsals", "train_rehearsals")),
    "teacher": (("components.training.loop", "train"),),
    "evaluate": (("components.evaluation.loss_picture", "draw_losses"),),
}
# Followed but not counted: parameters count by their values, errors leave no result, the record only names functions.
NOT_COUNTED = (
    "components.config",
    "components.config_assertions",
    "components.config_distillation",
    "components.config_keyboard",
    "components.config_keyboard_evaluation",
    "components.config_keyboard_model",
    "components.config_parts",
    "components.config_trading",
    "components.errors",
    "components.workload",
)

Name = tuple[str, str]  # a module and a name in it


@dataclass(frozen=True)
class Module:
    """A source file: its statements by the name they define, and what its other names were imported from.

    Attributes:
        root: the folder that its project's modules are found in.
        always: statements that define nothing and run at import.
    """

    path: Path
    root: Path
    defined: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imported: dict[str, Name] = field(default_factory=dict)
    always: list[ast.stmt] = field(default_factory=list)


def stage_sources(stage: str, workload: str, root: Path = ROOT) -> list[Path]:
    """The files of this project whose change can change what a stage of a workload leaves, sorted.

    A name without a record among the workloads (a test's) has the files of the stage's shared part only.
    """
    return reached([*BEGINNINGS.get(stage, ()), *_functions(stage, workload, root)], root)


def reached(beginnings: Iterable[Name], root: Path = ROOT) -> list[Path]:
    """The files below `root` that define something used, directly or not, by what is named; sorted."""
    modules: dict[str, Module | None] = {}
    waiting, seen, files = list(beginnings), set[Name](), set[Path]()
    while waiting:
        module, name = waiting.pop()
        if (module, name) in seen:
            continue
        seen.add((module, name))
        if module not in modules:
            modules[module] = read_module(module, root)
        found = modules[module]
        if _file(f"{module}.{name}", root) is not None:  # a module imported by name
            waiting.append((f"{module}.{name}", WHOLE))
        elif found is not None:
            if module not in NOT_COUNTED:
                files.add(found.path)
            waiting += _used(found, name, module)
            waiting += [(above, WHOLE) for above in _packages(module, root)]
    return sorted(files)


def _packages(module: str, root: Path) -> Iterator[str]:
    """The packages above a module that do anything when they are imported."""
    parts = module.split(".")
    for length in range(1, len(parts)):
        above = read_module(".".join(parts[:length]), root)
        if above is not None and (above.defined or above.imported or above.always):
            yield ".".join(parts[:length])


def _functions(stage: str, workload: str, root: Path) -> list[Name]:
    """What the workload's record, `WORKLOAD = Workload(...)`, names for the stage."""
    place = f"components.workloads.{workload}.workload"
    module = read_module(place, root)
    if module is None:
        return []
    calls = [node.value for node in module.defined.get("WORKLOAD", []) if isinstance(node, (ast.Assign, ast.AnnAssign))]
    fields = [word for call in calls if isinstance(call, ast.Call) for word in call.keywords]
    chosen = [word.value for word in fields if word.arg in STAGES[stage]]
    if not chosen:  # a record made in another way: everything in it counts
        return [(place, WHOLE)]
    return [name for value in chosen for name in _names(value, module, place)]


def read_module(name: str, root: Path) -> Module | None:
    """The module's names; None for one that is not this project's."""
    path = _file(name, root)
    if path is None:
        return None
    return _parsed(path, root, path.read_bytes())


@lru_cache(maxsize=1024)
def _parsed(path: Path, root: Path, code: bytes) -> Module:
    """A campaign asks for every candidate, and the code seldom changes between."""
    module = Module(path, root)
    for statement in ast.parse(code, str(path)).body:
        _enter(statement, module)
    return module


def _file(name: str, root: Path) -> Path | None:
    base = root.joinpath(*name.split("."))
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)


def _enter(statement: ast.stmt, module: Module) -> None:
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        module.imported.update(_imports(statement))
    elif isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        module.defined.setdefault(statement.name, []).append(statement)
    elif isinstance(statement, ast.If) and ast.unparse(statement.test) in ("TYPE_CHECKING", "__name__ == '__main__'"):
        return
    elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return  # a docstring
    else:
        stored = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        for name in stored:
            module.defined.setdefault(name, []).append(statement)
        for node in ast.walk(statement):  # imports that something decides about
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                module.imported.update(_imports(node))
        if not stored:
            module.always.append(statement)


def _imports(node: ast.Import | ast.ImportFrom) -> dict[str, Name]:
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0 and node.module, "imports of this project name the whole module"
        return {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
    return {alias.asname or alias.name.split(".")[0]: (alias.name, WHOLE) for alias in node.names}


def _used(module: Module, name: str, place: str) -> Iterator[Name]:
    """The names that the definition of `name`, and whatever runs when its module is imported, make use of."""
    if name == WHOLE:
        yield from ((place, each) for each in (*module.defined, *module.imported))
    elif name in module.imported:
        yield module.imported[name]
    for statement in (*module.defined.get(name, ()), *module.always):
        yield from _names(statement, module, place)


def _names(node: ast.AST, module: Module, place: str) -> Iterator[Name]:
    """The project's names in a piece of code; a local variable that is called like one counts as it."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from _imports(node).values()
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in module.imported:
        origin, name = module.imported[node.value.id]
        whole = origin if name == WHOLE else f"{origin}.{name}"
        yield (whole, node.attr) if _file(whole, module.root) is not None else (origin, name)
    elif isinstance(node, ast.Name):
        if node.id in module.defined:
            yield place, node.id
        elif node.id in module.imported:
            yield module.imported[node.id]
    else:
        for child in ast.iter_child_nodes(node):
            yield from _names(child, module, place)
