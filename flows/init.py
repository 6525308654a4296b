"""`equipoise init`: a project of one's own, in a folder of its own, on the product's code as it is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import components
from components.errors import EquipoiseError, Exit, missing
from components.files import write_error, write_text
from flows.stages import ensure_repository
from flows.state import Place

SHIPPED = ("params.yaml", "dvc.yaml", ".dvcignore")
SHARED = "share/equipoise"  # below the environment: where an installed package has them
IGNORED = (
    "/components",
    "/.equipoise/",
    "/.venv/",
    "/data/",
    "/checkpoints/",
    "/evaluation/",
    "/tuned/",
    "__pycache__/",
)
README = """\
# {name}

A project of Equipoise for `{workload}`. Every number that may be changed stands in `params.yaml`, in the section
`{workload}`; those of other workloads are read and otherwise left alone. `components` is a link to the installed
product, made again where it is missing.

{commands}

`equipoise data {workload}` lists public originals to begin with, `equipoise --help` everything else.
"""

FIRST = (
    ("retrain {workload} --data YOUR_DATA", "without --data on data that it makes itself"),
    ("status", "what serves, since when, why"),
    ("report {workload}", "all about the model in one HTML file"),
)

Say = Callable[[str], object]


def init(workload: str, folder: Path, source: Path | None, say: Say) -> dict[str, Any]:
    """Makes a project in `folder`, which must be new or empty: parameters, stages, a git and a DVC repository.

    It is made beside its place and moved there whole.

    Args:
        source: the project whose parameters and stages it begins with; None: those that ship.

    Returns:
        {workload, project, folder, files, git, next}: `next` are the commands to go on with.

    Raises:
        EquipoiseError: E_FOLDER (73) where something is in the way, E_MISSING (66) without parameters to begin with,
            E_WRITE (73), E_IO (74).
    """
    target = folder.expanduser().absolute()
    _refuse_taken(target)
    begin = source or shipped()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise write_error(target, error) from error
    name = project_name(target.name)
    try:
        scratch.chmod(0o755)
        git = _fill(scratch, begin, workload, name, say)
        scratch.rename(target)  # replaces an empty folder
    except OSError as error:
        raise write_error(target, error) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)  # what a failure left
    files = sorted(path.name for path in target.iterdir())
    commands = [f"cd {folder}", f"equipoise retrain {workload}", "equipoise status"]
    return {"workload": workload, "project": name, "folder": str(target), "files": files, "git": git, "next": commands}


def project_name(folder: str) -> str:
    """A folder's name as `project` in params.yaml may be called, which names experiments and models in MLflow."""
    plain = re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-")
    named = plain if plain[:1].isalpha() else f"project-{plain}".rstrip("-")
    return named[:40].rstrip("-")


def shipped() -> Path:
    """Where params.yaml and dvc.yaml lie as they ship: beside the code of a clone, else in the environment.

    Raises:
        EquipoiseError: E_MISSING (66) where they are in neither place.
    """
    code = Path(components.__file__).parents[1]
    for folder in (code, Path(sys.prefix) / SHARED):
        if all((folder / name).is_file() for name in SHIPPED):
            return folder
    hint = "Install the product again, or name a project to begin with by --project"
    raise missing("equipoise", f"must be installed with {', '.join(SHIPPED)}", got=str(code), hint=hint)


def _refuse_taken(target: Path) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        got = "a link" if target.is_symlink() else "a file"
    elif target.is_dir() and (held := sorted(path.name for path in target.iterdir())):
        got = f"a folder with {len(held)} entries, such as {held[0]}"
    else:
        return
    rule, hint = "must be a new or an empty folder", "Name another folder"
    raise EquipoiseError("FOLDER", str(target), rule, got=got, hint=hint, exit_code=Exit.CANNOT_WRITE)


def _fill(folder: Path, begin: Path, workload: str, name: str, say: Say) -> bool:
    """Writes the project; whether it is a git repository."""
    for each in SHIPPED:
        if not (begin / each).is_file():
            raise missing(str(begin / each), "must be there", got="no such file", hint="Name a project's folder")
        shutil.copyfile(begin / each, folder / each)
    text = (folder / "params.yaml").read_text(encoding="utf-8")
    write_text(folder / "params.yaml", re.sub(r"(?m)^project:.*$", f"project: {name}", text, count=1))
    write_text(folder / ".gitignore", "\n".join([*IGNORED, ""]))
    write_text(folder / "README.md", _readme(workload, name))
    place = Place(folder, folder / ".equipoise")
    place.config()  # refuses parameters that no command would take
    git = _git(folder, say)
    ensure_repository(place)
    return git


def _readme(workload: str, name: str) -> str:
    told = [(f"equipoise {command.format(workload=workload)}", why) for command, why in FIRST]
    width = max(len(command) for command, _ in told)
    lines = [f"    {command:<{width}}    # {why}" for command, why in told]
    return README.format(name=name, workload=workload, commands="\n".join(lines))


def _git(folder: Path, say: Say) -> bool:
    try:
        done = subprocess.run(["git", "init", "--quiet"], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        say("git is not installed: the project has no history of its own")
        return False
    if done.returncode:
        say(f"git init did not work: {done.stderr.strip()}")
    return done.returncode == 0
