"""The Workload record: a workload is a record of functions, and WORKLOADS is the one table of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from components.losses.contract import Batch, Outputs, Term


@dataclass(frozen=True)
class Workload:
    """All that the trunk knows of a workload.

    Attributes:
        name: the key in params.yaml, DVC stages, MLflow and the ledger.
        generate: (section, folder): writes the embedded data in the real file format.
        prepare: (section, folder) -> report: raw data to prepared arrays with manifest and report.
        batches: (section, prepared, split, epoch) -> iterator of Batch; order is a pure function of (seed, epoch),
            the list of optimizer steps' micro-batches, every tensor on the CPU.
        build: (section, prepared) -> module with freshly initialised float32 parameters (the caller seeds).
        rollout: (model, batch, section) -> iterator of one Outputs per supervision step that gives a loss; the last
            one alone carries the outputs of terms with every_step=False.
        supervision_steps: section -> how many Outputs the rollout yields.
        terms: name -> Term, in the order of the loss section.
        validate: (model, section, prepared, device) -> metrics that do not depend on loss weights; `objective` is the
            one that early stopping maximises.
        evaluate: (section, prepared, checkpoint folder, out folder) -> metrics document: predictions.parquet, metrics.json.
    """

    name: str
    generate: Callable[[Any, Path], None]
    prepare: Callable[[Any, Path], Mapping[str, Any]]
    batches: Callable[[Any, Path, str, int], Iterator[Batch]]
    build: Callable[[Any, Path], nn.Module]
    rollout: Callable[[nn.Module, Batch, Any], Iterator[Outputs]]
    supervision_steps: Callable[[Any], int]
    terms: Mapping[str, Term]
    validate: Callable[[nn.Module, Any, Path, Any], Mapping[str, float]]
    evaluate: Callable[[Any, Path, Path, Path], Mapping[str, Any]]


NAMES = ("tool_calling",)


def workload(name: str) -> Workload:
    """The record of that name; torch is imported here, not before."""
    from components.errors import EquipoiseError, Exit

    if name not in NAMES:
        raise EquipoiseError("WORKLOAD", "command line", f"the workload must be one of {', '.join(NAMES)}", got=name, hint="Name one of them", exit_code=Exit.USAGE)
    from components.workloads import WORKLOADS

    return WORKLOADS[name]
