"""`python -m components.stage {generate|prepare|teacher|train|evaluate} WORKLOAD`: one DVC stage.

This is what dvc.yaml runs. It reads the parameters, takes the workload's lock, calls the workload's function and turns
whatever goes wrong into one line on stderr and an exit code. generate and prepare never import torch.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import functools
import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from components import threads
from components.config import load_config
from components.errors import EquipoiseError, Exit, busy, one_line

INTERRUPTED = 130
FAILED = 1
PR_SET_PDEATHSIG = 1


def generate(name: str, section: Any) -> str:
    """Writes the embedded data; returns what there is to say."""
    folder = Path("data", "raw", name)
    _data_module(name).generate(section, folder)
    return f"{name}: embedded data in {folder}"


def prepare(name: str, section: Any) -> str:
    """Reads the raw data into arrays; returns what there is to say."""
    folder = Path("data", "prepared", name)
    _data_module(name).prepare(section, folder)
    return f"{name}: prepared data in {folder}"


def teacher(name: str, section: Any) -> str:
    """Trains the model that another one learns from, and keeps its answers; returns what there is to say.

    Raises:
        EquipoiseError: E_USAGE (2) for a workload in which nobody is taught.
    """
    from components.training.loop import train as train_model
    from components.workload import workload

    record = workload(name)
    if record.teach is None:
        raise EquipoiseError(
            "USAGE",
            "command line",
            "the workload must have a teacher",
            got=name,
            hint="Run train",
            exit_code=Exit.USAGE,
        )
    device = os.environ.get("EQUIPOISE_DEVICE") or None
    learn = functools.partial(train_model, device=device)
    return f"{name}: {record.teach(record, section, Path('data', 'prepared', name), learn, device)}"


def train(name: str, section: Any) -> str:
    """Trains, or goes on from the checkpoint, on EQUIPOISE_DEVICE where that is set; returns what there is to say."""
    from components.training.loop import train as train_model
    from components.training.rehearsals import train_rehearsals
    from components.workload import workload

    prepared, folder = Path("data", "prepared", name), Path("checkpoints", name)
    device = os.environ.get("EQUIPOISE_DEVICE") or None
    summary = train_model(workload(name), section, prepared, folder, device=device)
    train_rehearsals(workload(name), section, prepared, folder, device=device)
    if not summary["ran"]:
        return f"{name}: training has finished, nothing to do"
    return (
        f"{name}: {summary['steps']} steps, best epoch {summary['best_epoch']} of {summary['epochs']}, "
        f"objective {summary['objective']:.4f}, model in {folder}"
    )


def evaluate(name: str, section: Any) -> str:
    """Judges the checkpoint on the test split and draws how it was trained; returns what there is to say."""
    from components.evaluation.loss_picture import draw_losses
    from components.evaluation.training_picture import reports
    from components.workload import workload

    folder, checkpoint = Path("evaluation", name), Path("checkpoints", name)
    workload(name).evaluate(section, Path("data", "prepared", name), checkpoint, folder)
    draw_losses(reports(checkpoint / "curves.jsonl"), folder / "losses.png")
    return f"{name}: evaluation in {folder}"


STAGES: dict[str, Callable[[str, Any], str]] = {
    "generate": generate,
    "prepare": prepare,
    "teacher": teacher,
    "train": train,
    "evaluate": evaluate,
}


def _data_module(name: str) -> Any:
    return importlib.import_module(f"components.workloads.{name}.data")


def run(stage: str, name: str) -> None:
    """One stage of one workload in the current folder.

    Raises:
        EquipoiseError: E_WORKLOAD (2), E_BUSY (75) while another process works on this workload, and the stage's own.
    """
    from components.workload import known

    known(name)
    section = getattr(load_config(Path("params.yaml")), name)
    threads.as_recorded(section)
    with locked(name):
        print(STAGES[stage](name, section), flush=True)


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Holds the workload's lock, one process at a time; the kernel lets go of a dead process's lock.

    The lock file lies beside the folders that stages write, so that replacing one of those leaves it alone. Of ranks
    that torchrun started to train together the first holds it for all, since it alone writes.

    Raises:
        EquipoiseError: E_BUSY (75) with the holder's process id; E_WRITE (73) when no lock file can be made.
    """
    if os.environ.get("RANK", "0") != "0":
        yield
        return
    path = Path("checkpoints", f".{name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a+", encoding="ascii")
    except OSError as error:
        raise EquipoiseError(
            "WRITE",
            str(path),
            "must be writable",
            got=error.strerror or str(error),
            hint="Grant write permission in the project's folder",
            exit_code=Exit.CANNOT_WRITE,
        ) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            handle.seek(0)
            holder = handle.read(20).strip() or "another process"
            raise busy(
                name,
                "one stage of a workload runs at a time",
                got=f"process {holder} at work",
                hint="Wait for it, or stop it and run the same command again",
            ) from error
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield


def die_with_parent() -> None:
    """Asks the kernel (Linux) to terminate this process when its parent dies, so that a killed `dvc repro` or flow
    leaves no training behind. SIGTERM lets training save its state first."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it died before the kernel knew
            os.kill(os.getpid(), signal.SIGTERM)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code of the stage; the traceback only with EQUIPOISE_DEBUG=1."""
    parser = argparse.ArgumentParser(prog="python -m components.stage", description="Runs one stage of one workload.")
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("workload")
    parser.add_argument("--project", type=Path, default=Path(), help="the project's folder, with params.yaml")
    options = parser.parse_args(arguments)
    die_with_parent()
    try:
        _enter(options.project)
        run(options.stage, options.workload)
    except KeyboardInterrupt as stop:
        return _ended(stop, str(stop) or f"Interrupted. Run {options.stage} again to go on", INTERRUPTED)
    except EquipoiseError as error:
        return _ended(error, str(error), error.exit_code)
    except Exception as error:
        text = f"E_INTERNAL {options.stage} {options.workload}: {type(error).__name__}: {error}"
        return _ended(error, f"{text}. Run again with EQUIPOISE_DEBUG=1 for the whole story", FAILED)
    return Exit.DONE


def _enter(project: Path) -> None:
    try:
        os.chdir(project)
    except OSError as error:
        raise EquipoiseError(
            "PROJECT",
            "--project",
            "must be a folder that can be entered",
            got=str(project),
            hint="Name the folder that holds params.yaml",
            exit_code=Exit.MISSING_INPUT,
        ) from error


def _ended(error: BaseException, line: str, code: int) -> int:
    if os.environ.get("EQUIPOISE_DEBUG") == "1":
        raise error
    print(one_line(line), file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
