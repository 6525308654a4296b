"""Brings one DVC stage of a workload up to date: the only code that knows DVC, but for `dvc_files`.

A stage runs as `dvc repro --single-item STAGE@W` in a process group of its own, exactly as a person would run it, so
the bytes are those of `dvc repro`. What is up to date is asked of DVC in this process, which costs a tenth of a second.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import components
from components.errors import EquipoiseError, Exit, busy
from components.files import write_error, write_text
from components.registry.curves import read_alarms
from flows import children
from flows.children import Say
from flows.dvc_files import mend
from flows.state import Place

STAGES = ("prepare", "teacher", "train", "evaluate")
EMBEDDED = "data/raw"
EXITED = re.compile(r"exited with (-?\d+)")


@dataclass(frozen=True)
class StageResult:
    """What bringing a stage up to date took. `ran` is False when DVC found nothing to do.

    `alarms`: of a training, the health alarms it raised; None for the other stages.
    """

    stage: str
    ran: bool
    seconds: float
    alarms: list[dict[str, Any]] | None = None

    def document(self) -> dict[str, Any]:
        """{ran, seconds}, of a training alarms as well."""
        return {key: value for key, value in asdict(self).items() if key != "stage" and value is not None}


class StageKilled(EquipoiseError):
    """The stage's process ended by a signal (out of memory, kill): running it again goes on from its checkpoint."""


def needed(place: Place, workload: str) -> tuple[str, ...]:
    """The stages this workload's configuration uses, in order: `generate` only for the embedded data, `teacher` only
    where one is configured."""
    section = getattr(place.config(), workload)
    embedded = os.path.normpath(section.data.source) == f"{EMBEDDED}/{workload}"
    taught = hasattr(section, "teacher")
    return (("generate",) if embedded else ()) + tuple(s for s in STAGES if taught or s != "teacher")


def stale(place: Place, workload: str, stages: Sequence[str]) -> list[str]:
    """Which of the stages DVC would run now, in order; everything after a stale stage counts as stale.

    Raises:
        EquipoiseError: E_DVC (78) when dvc.yaml or dvc.lock cannot be read, E_BUSY (75) while another DVC works here.
    """
    ensure_repository(place)
    os.environ.update(_environment(place))
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo

    try:
        with Repo(str(place.project)) as repo:
            mend(repo)
            for index, stage in enumerate(stages):
                # with its file: a bare name would be looked up in the folder this process happens to be in
                if repo.status(targets=[f"{place.project / 'dvc.yaml'}:{stage}@{workload}"]):
                    return list(stages[index:])
    except LockError as error:
        raise busy(
            str(place.project), "one DVC at a time may work here", got=_first_line(error), hint="Wait for it to end"
        ) from error
    except DvcException as error:
        raise _dvc_error(place, _first_line(error)) from error
    return []


def missing_outputs(place: Place) -> list[tuple[str, str]]:
    """(stage, path) of what dvc.lock says a stage left and is not there, sorted; nothing is written by asking.

    Raises:
        EquipoiseError: E_DVC (78) when dvc.yaml or dvc.lock cannot be read.
    """
    if not (place.project / "dvc.lock").is_file() or not (place.project / ".dvc").is_dir():
        return []
    os.environ.update(_environment(place))
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(place.project)) as repo:
            left = [(stage, out) for stage in repo.index.stages for out in stage.outs if out.hash_info]
            return sorted((stage.addressing, str(out)) for stage, out in left if not out.exists)
    except DvcException as error:
        raise _dvc_error(place, _first_line(error)) from error


def bring_up_to_date(place: Place, workload: str, stage: str, say: Say) -> StageResult:
    """Runs the stage if DVC says that something it depends on changed.

    Args:
        say: receives each line the stage prints.

    Raises:
        EquipoiseError: what the stage itself reported, with its exit code; StageKilled when a signal ended it.
        KeyboardInterrupt: after passing the interruption on, so that a training saves its state first.
    """
    began = time.monotonic()
    if not stale(place, workload, [stage]):
        return result_of(place, workload, stage, False, began)
    lines, status = _reproduce(place, f"{stage}@{workload}", say)
    if status:
        raise _failure(place, workload, stage, lines)
    restored = any("is cached - skipping run" in line for line in lines)
    return result_of(place, workload, stage, not restored, began)


def result_of(place: Place, workload: str, stage: str, ran: bool, began: float, share: int = 1) -> StageResult:
    """The result of a stage that is up to date now; `share` stages took the time since `began` (monotonic) together."""
    alarms = read_alarms(place.checkpoint(workload) / "curves.jsonl") if stage == "train" else None
    return StageResult(stage, ran, round((time.monotonic() - began) / share, 3), alarms)


def _reproduce(place: Place, target: str, say: Say) -> tuple[list[str], int]:
    """DVC's last lines and its exit status; its whole process group is gone when this returns or raises."""
    command = [sys.executable, "-m", "flows.dvc_child", "repro", "--single-item", target]
    environment = {**os.environ, **_environment(place), "EQUIPOISE_PARENT": str(os.getpid())}
    return children.run(command, place.project, environment, say)


def _failure(place: Place, workload: str, stage: str, lines: list[str]) -> EquipoiseError:
    """The stage's own error line with its exit status, or what DVC said."""
    text = "\n".join(lines)
    statuses = EXITED.findall(text)
    status = int(statuses[-1]) if statuses else None
    if error := children.reported(lines, status):
        return error
    if status is not None and (status < 0 or status > 128):
        number = -status if status < 0 else status - 128
        return StageKilled(
            "STAGE_KILLED", f"{stage}@{workload}", "must run to its end", got=f"signal {number}",
            hint="Run it again: it goes on from the checkpoint; if memory ran out, lower training.batch_tokens",
            exit_code=Exit.BUSY,
        )  # fmt: skip
    if "is busy" in text or "Unable to acquire lock" in text:
        return busy(
            f"{stage}@{workload}",
            "one DVC at a time may run it",
            got="another DVC at work",
            hint="Wait for it to end, then run this command again",
        )
    last = next(
        (line for line in reversed(lines) if line.strip().startswith("ERROR")), lines[-1] if lines else "no output"
    )
    return _dvc_error(place, last.strip().removeprefix("ERROR: "), stage=f"{stage}@{workload}")


def _dvc_error(place: Place, got: str, stage: str = "") -> EquipoiseError:
    where = stage or str(place.project / "dvc.yaml")
    hint = f"See what `dvc status{' ' + stage if stage else ''}` says in the project's folder"
    return EquipoiseError(
        "DVC", where, "DVC must bring the stage up to date", got=got, hint=hint, exit_code=Exit.CONFIGURATION
    )


def ensure_repository(place: Place) -> None:
    """Makes the project a DVC repository: its settings where there are none, `no_scm` where there is no git, and a link
    to the product's code where it has none of its own.

    Raises:
        EquipoiseError: E_MISSING (66) without dvc.yaml, E_WRITE (73) where the project cannot be written.
    """
    if not (place.project / "dvc.yaml").is_file():
        hint = "Run the command in a project's folder or name it with --project"
        raise EquipoiseError(
            "MISSING",
            str(place.project),
            "must hold dvc.yaml",
            got="no such file",
            hint=hint,
            exit_code=Exit.MISSING_INPUT,
        )
    _link_code(place)
    settings = place.project / ".dvc" / "config"
    if not settings.is_file():
        write_text(settings, "[core]\n    analytics = false\n    autostage = false\n    check_update = false\n")
        write_text(settings.with_name(".gitignore"), "/config.local\n/tmp\n/cache\n")
    local = place.project / ".dvc" / "config.local"
    if not (place.project / ".git").exists() and "no_scm" not in settings.read_text() and not local.is_file():
        write_text(local, "[core]\n    no_scm = true\n")


def _link_code(place: Place) -> None:
    """Links the product's code, which the stages name as what they depend on, into a project that has none of its own.

    A link whose product is gone is made anew: the project came from another machine or environment.
    """
    code = place.project / "components"
    if code.exists() or "- components/" not in (place.project / "dvc.yaml").read_text(encoding="utf-8"):
        return
    try:
        code.unlink(missing_ok=True)
        code.symlink_to(Path(components.__file__).parent, target_is_directory=True)
    except OSError as error:
        raise write_error(code, error) from error


def _environment(place: Place) -> dict[str, str]:
    """DVC's settings that must not depend on the machine: nothing shared with other users, nothing sent."""
    return {
        "DVC_SITE_CACHE_DIR": str(place.project / ".dvc" / "tmp" / "site"),
        "DVC_NO_ANALYTICS": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
    }


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
