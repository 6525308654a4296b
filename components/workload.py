"""The Workload record: a workload is a record of functions, and NAMES is the one table of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from components.errors import EquipoiseError, Exit

if TYPE_CHECKING:
    import polars as pl
    from torch import nn

    from components.evaluation.judged_series import Account
    from components.losses.contract import Batch, Outputs, Term
    from components.losses.health import Rule


@dataclass(frozen=True)
class Dated:
    """How a workload whose samples have a `date` (datetime64[D]) goes back in time.

    Attributes:
        as_of: (section, day) -> section of which the prepared data know, in training and validation, nothing of that
            day or later; their test split is all that follows.
        overlap: section -> days over which the labels of neighbouring samples overlap, at least 1.
    """

    as_of: Callable[[Any, Any], Any]
    overlap: Callable[[Any], int]


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
        terms: name -> Term, or name -> the terms of a nested composite, in the order of the loss section.
        validate: (model, section, prepared, device) -> metrics that do not depend on loss weights; `objective` is the
            one that early stopping maximises.
        evaluate: (section, prepared, checkpoint folder, out folder) -> metrics; predictions.parquet, metrics.json, and
            baseline/, the cheap baseline as a servable folder: the first champion.
        load: folder (of a checkpoint or a baseline; it says which) -> Predictor.
        samples: (prepared, split) -> iterator of labelled samples, in file order.
        score: (samples, predictions) -> polars frame, one row per sample: id, conversation, slices, prediction,
            confidence, and per judged head a numerator and a denominator column `<head>/<metric>/hit` and `.../of`.
        labelled: (section, file or folder) -> iterator of labelled samples in the format of the raw data, in file
            order, without anything prepared; None where nobody watches its champions (`equipoise shadow`).
        read_request: (JSON object, place) -> sample without labels; raises E_DATA (65).
        request: labelled sample -> the raw request, as `read_request` reads it, that asks for its prediction.
        optional: the fields that `read_request` takes beyond those that `request` gives.
        served: names of the files of the prepared folder that a model's folder needs beside its weights.
        render: prediction -> JSON object as `predict` and the served model answer it.
        health: rules that judge the curves of a training and raise alarms.
        rehearsals: (section, prepared) -> name -> (section, prepared folder) of trainings on earlier pasts, whose
            models evaluation finds in the checkpoint's folder `rehearsals/` by these names.
        trial_ratio: (section, prepared, table of `score` of the validation split) -> the Sharpe ratio that evaluation
            deflates by those of all trials of a campaign; None where nothing is deflated.
        account: (section, prepared, table of `score` of the test split) -> the daily account of its decisions, which
            the gate's heads `sharpe` and `drawdown` are made of; None where decisions earn nothing.
        serves: (model folder, its predictor) -> kind (tool, emoji, strategy, ...) -> the names of it that the model can
            answer with; the gate refuses a candidate that drops one. A kind that is left out is not limited.
        facts: section -> what model.json says beyond the recipe; raises what would keep the model from being used.
        dated: how to go back in time; None where samples have no date.
        beside: (section, prepared) -> files beside the prepared data that a training reads, such as the manifest of a
            teacher's answers: their bytes are part of what the training is known by.
        teach: (record, section, prepared, learn, device) -> what there is to say; the stage that trains a teacher, by
            `learn(record, section, prepared, folder)`, before the student. None where nobody is taught.
    """

    name: str
    generate: Callable[[Any, Path], None]
    prepare: Callable[[Any, Path], Mapping[str, Any]]
    batches: Callable[[Any, Path, str, int], Iterator[Batch]]
    build: Callable[[Any, Path], nn.Module]
    rollout: Callable[[nn.Module, Batch, Any], Iterator[Outputs]]
    supervision_steps: Callable[[Any], int]
    terms: Mapping[str, Term | Mapping[str, Term]]
    validate: Callable[[nn.Module, Any, Path, Any], Mapping[str, float]]
    evaluate: Callable[[Any, Path, Path, Path], Mapping[str, Any]]
    load: Callable[[Path], Predictor]
    samples: Callable[[Path, str], Iterator[Any]]
    score: Callable[[Sequence[Any], Sequence[Any]], pl.DataFrame]
    read_request: Callable[[Mapping[str, Any], str], Any]
    request: Callable[[Any], dict[str, Any]]
    render: Callable[[Any], dict[str, Any]]
    labelled: Callable[[Any, Path], Iterator[Any]] | None = None
    health: Sequence[Rule] = ()
    optional: Sequence[str] = ()
    served: Sequence[str] = ()
    rehearsals: Callable[[Any, Path], Mapping[str, tuple[Any, Path]]] = lambda section, prepared: {}
    trial_ratio: Callable[[Any, Path, pl.DataFrame], float] | None = None
    account: Callable[[Any, Path, pl.DataFrame], Account] | None = None
    serves: Callable[[Path, Predictor], Mapping[str, Collection[str]]] = lambda folder, predictor: {}
    facts: Callable[[Any], Mapping[str, Any]] = lambda section: {}
    dated: Dated | None = None
    beside: Callable[[Any, Path], Sequence[Path]] = lambda section, prepared: ()
    teach: Callable[[Workload, Any, Path, Callable[..., Any], str | None], str] | None = None


class Predictor(Protocol):
    """A loaded model: neural or baseline, the gate and the server cannot tell them apart."""

    def predict(self, samples: Sequence[Any], given: Sequence[Any] | None = None) -> list[Any]:
        """One prediction per sample, in order. `given` is what evaluation may tell the model (tool_calling: the
        labelled tool, or None), so that arguments can be judged apart from the choice of the tool."""
        ...


NAMES = ("tool_calling", "trading", "assertions", "keyboard")  # folders below components/workloads


def known(name: str) -> str:
    """The name of a workload, or E_WORKLOAD (2); imports no workload."""
    if name not in NAMES:
        raise EquipoiseError(
            "WORKLOAD",
            "command line",
            f"the workload must be one of {', '.join(NAMES)}",
            got=name,
            hint="Name one of them",
            exit_code=Exit.USAGE,
        )
    return name


def workload(name: str) -> Workload:
    """The record of that name, or E_WORKLOAD (2); torch is imported here, not before, and no other workload."""
    return importlib.import_module(f"components.workloads.{known(name)}.workload").WORKLOAD
