"""A study: every setting is trained with every seed, at equal budget, and judged on the same samples.

A run lies in a folder that its fingerprint names (data, recipe, code, seed), so what has been computed is found again
whatever the setting is called and whenever it was asked for: a killed study goes on with what is missing, resuming the
training that the kill cut off, and a call with more seeds or settings only adds runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from components.data import strict_json
from components.data.manifest import verify_once
from components.errors import EquipoiseError, bad_data, misconfigured, missing
from components.evaluation.predictions import check_rows, judged, read_predictions, write_predictions
from components.files import sha256_file, sha256_json, write_json
from components.training.fingerprint import fingerprint
from components.training.fit import activation_bytes
from components.training.interrupt import TrainingInterrupted
from components.training.loop import train
from components.training.progress import as_clock
from components.training.progress import say as warn
from components.training.reach import ROOT, stage_sources
from components.tuning.alone import alone
from components.tuning.nearest import nearest_hint
from components.tuning.study_compare import Scores
from components.tuning.study_settings import Family, Setting, as_trained, family
from components.tuning.trial import Stopwatch
from components.workload import Workload

SPLITS = ("validation", "test")
NAMED = 16  # hex digits of a fingerprint that name its folder
MODEL, RECORD = "model", "run.json"

Say = Callable[[str], object]


@dataclass(frozen=True)
class Run:
    """One setting with one seed.

    Attributes:
        folder: holds `model`, the per-sample tables and run.json.
        steps: optimizer steps taken.
        cpu_seconds, seconds: of processor and clock, of the attempts that came to an end.
        activations: bytes that a micro-batch keeps for its backward pass.
        failure: why training failed, or None.
    """

    setting: str
    seed: int
    section: Any
    fingerprint: str
    folder: Path
    steps: int = 0
    cpu_seconds: float = 0.0
    seconds: float = 0.0
    activations: int = 0
    failure: str | None = None

    def table(self, split: str) -> Path:
        """Where the per-sample scores of a split lie."""
        return self.folder / f"{split}.parquet"


@dataclass(frozen=True)
class Study:
    """Everything that was trained and scored.

    Attributes:
        name: `<project>/<workload>/<digest of settings, data and recipe>`; seeds are no part of it.
        folder: for what the study leaves; the runs lie beside it.
        runs: by setting, in the order of the seeds.
        scores: by setting; settings with a failed run have none.
        samples: how many were judged.
    """

    name: str
    folder: Path
    workload: Workload
    section: Any
    split: str
    family: Family
    runs: Mapping[str, tuple[Run, ...]]
    scores: Mapping[str, Scores]
    samples: int


@dataclass(frozen=True)
class _Work:
    """What every run is brought up with; `scoring` is the digest of the code that scores."""

    workload: Workload
    prepared: Path
    split: str
    metrics: Sequence[str]
    device: str | None
    scoring: str
    say: Say


def run(
    workload: Workload,
    section: Any,
    prepared: Path,
    state: Path,
    *,
    project: str,
    split: str = SPLITS[0],
    device: str | None = None,
    say: Say,
) -> Study:
    """Trains and scores what is missing of section.study and returns all of it.

    Args:
        state: runs and results are kept below its folder studies/.

    Raises:
        TrainingInterrupted: on ctrl-C, with the state saved.
        EquipoiseError: what `family` refuses; E_MISSING (66), E_MANIFEST (65) for the data; E_CONFIG_KEY (78) for a
            metric without scores; E_STUDY_SCORES (65) for runs that were scored on different samples; E_BUSY (75)
            while another process works on a study of this workload; what training of the reference reports.
    """
    asked = family(workload.name, section)
    if not (prepared / "manifest.json").is_file():
        raise missing(str(prepared), "the data must be prepared", got="no manifest", hint="Run prepare")
    verify_once(prepared)
    place = state / "studies" / project / workload.name
    name = f"{project}/{workload.name}/{identity(section, asked, prepared, split)[:12]}"
    with alone(place, name, "the studies of a workload", "Wait for it to end, then run this command again"):
        planned = _planned(workload, section, asked, prepared, place / "runs")
        work = _Work(workload, prepared, split, section.study.metrics, device, scoring_digest(workload.name), say)
        done: list[Run] = []
        try:
            for number, each in enumerate(planned):
                say(_line(planned, number, done))
                done.append(_brought_up(work, each))
        except KeyboardInterrupt as stop:
            raise TrainingInterrupted(
                f"Study {name} stopped in run {len(done) + 1} of {len(planned)}; what is done is kept, a training "
                "under way has saved its state"
            ) from stop
        runs = {s.name: tuple(r for r in done if r.setting == s.name) for s in asked.settings}
        scores, samples = _scores(runs, split, section)
    return Study(name, place / name.rpartition("/")[2], workload, section, split, asked, runs, scores, samples)


def identity(section: Any, asked: Family, prepared: Path, split: str) -> str:
    """Hex SHA-256 of what a study is known by: settings, reference, metrics, epochs, recipe, data and split."""
    values = section.model_dump(mode="json")
    study = {key: value for key, value in values["study"].items() if key != "seeds"}
    recipe = {part: values[part] for part in ("data", "model", "loss", "training") if part in values}
    names = [each.name for each in asked.settings]
    data = sha256_file(prepared / "manifest.json")
    return sha256_json({"study": study, "recipe": recipe, "settings": names, "data": data, "split": split})


def _planned(workload: Workload, section: Any, asked: Family, prepared: Path, place: Path) -> list[Run]:
    """Every run, seed by seed, so that a study that is stopped early has compared all settings on some seeds."""
    found = []
    for seed in section.study.seeds:
        for setting in asked.settings:
            recipe = as_trained(section, setting, seed)
            digest = fingerprint(workload.name, recipe, prepared, workload.beside(recipe, prepared))
            fresh = Run(setting.name, seed, recipe, digest, place / digest[:NAMED])
            found.append(_remembered(fresh))
    return found


def _remembered(run: Run) -> Run:
    """The run with what its folder says of earlier attempts; without the reference nothing can be compared, so that
    its failure is not taken for granted but met again."""
    path = run.folder / RECORD
    if not path.is_file():
        return run
    try:
        kept = strict_json.read(path)
        spent = {key: float(kept[key]) for key in ("cpu_seconds", "seconds")}
        if kept["fingerprint"] == run.fingerprint:
            failure = None if run.setting == run.section.study.reference else kept["failure"]
            counted = {key: int(kept[key]) for key in ("steps", "activations")}
            return replace(run, failure=failure, **counted, **spent)
    except (EquipoiseError, KeyError, TypeError, ValueError):
        warn(f"warning: {path} is damaged: what the run took is lost, what it trained is not")
    return run


def _remember(run: Run) -> None:
    kept = ("setting", "seed", "fingerprint", "steps", "cpu_seconds", "seconds", "activations", "failure")
    write_json(run.folder / RECORD, {key: getattr(run, key) for key in kept})


def _line(planned: Sequence[Run], number: int, done: Sequence[Run]) -> str:
    """What comes now, with the time left by what runs took so far."""
    each = planned[number]
    took = [run.seconds for run in done if run.seconds and not run.failure]
    left = [run for run in planned[number:] if not run.seconds]
    clock = as_clock(len(left) * sum(took) / len(took)) if took else as_clock(None)
    return f"run {number + 1} of {len(planned)}: {each.setting}, seed {each.seed}, left {clock}"


def _brought_up(work: _Work, run: Run) -> Run:
    """The run trained to its end and scored; both are taken up where they were left."""
    if run.failure is None:
        run = _trained(work, run)
    if run.failure is None:
        _check_metrics(work, _table(work, run))
    return run


def _trained(work: _Work, run: Run) -> Run:
    """Trains; what that took is added to the run's record however it ends, short of a kill.

    A run that diverges failed, once and for all: the same recipe would diverge again.
    """
    watch, began = Stopwatch(), time.monotonic()
    ended, ran = run, True
    try:
        summary = train(work.workload, run.section, work.prepared, run.folder / MODEL, device=work.device)
        bytes_kept = run.activations or activation_bytes(work.workload, run.section, work.prepared, work.device)
        ended = replace(run, steps=summary["steps"], activations=bytes_kept)
        ran = summary["ran"] or not run.steps
    except EquipoiseError as error:
        if error.code != "E_NONFINITE" or run.setting == run.section.study.reference:
            raise
        work.say(f"{run.setting}, seed {run.seed} failed: {error}")
        ended = replace(run, failure=str(error))
    finally:
        if ran:
            seconds = round(run.seconds + time.monotonic() - began, 3)
            ended = replace(ended, cpu_seconds=round(run.cpu_seconds + watch.seconds(), 3), seconds=seconds)
            _remember(ended)
    return ended


def _table(work: _Work, run: Run) -> pl.DataFrame:
    """Per-sample scores of the run's model as it would be served; computed once for a model and the code that scores.

    Raises:
        EquipoiseError: E_STUDY_SCORES (65) when the split has no samples.
    """
    path, mark = run.table(work.split), run.folder / f"{work.split}.json"
    key = sha256_json({"run": run.fingerprint, "code": work.scoring})
    if mark.is_file() and path.is_file() and _unchanged(mark, {"key": key, "sha256": sha256_file(path)}):
        return read_predictions(path)
    samples = list(work.workload.samples(work.prepared, work.split))
    if not samples:
        rule, hint = f"the {work.split} split needs samples", "Hold out more in the data section"
        raise bad_data(str(work.prepared), rule, got="none", hint=hint, code="STUDY_SCORES")
    frame = work.workload.score(samples, work.workload.load(run.folder / MODEL).predict(samples))
    check_rows(frame, f"scores of {run.setting}, seed {run.seed}")
    write_predictions(path, frame)
    write_json(mark, {"key": key, "sha256": sha256_file(path)})
    return frame


def _unchanged(mark: Path, expected: Mapping[str, str]) -> bool:
    try:
        return strict_json.read(mark) == expected
    except EquipoiseError:  # damaged: scored again
        return False


def scoring_digest(name: str) -> str:
    """Hex SHA-256 over the source files that can change what evaluation says of a model."""
    files = stage_sources("evaluate", name)
    return sha256_json([[path.relative_to(ROOT).as_posix(), sha256_file(path)] for path in files])


def _check_metrics(work: _Work, frame: pl.DataFrame) -> None:
    """After the first run, not after hours of them."""
    known = judged(frame)
    for wanted in work.metrics:
        if wanted not in known:
            place = f"params.yaml: {work.workload.name}.study.metrics"
            raise misconfigured(place, "no such scored metric", got=wanted, hint=nearest_hint(wanted, known),
                                code="CONFIG_KEY")  # fmt: skip


def _scores(runs: Mapping[str, tuple[Run, ...]], split: str, section: Any) -> tuple[dict[str, Scores], int]:
    """The scores of every setting whose runs all ended well, and how many samples they are of."""
    found, first, cluster, metrics = {}, None, section.gate.cluster, section.study.metrics
    for name, of_setting in runs.items():
        if any(each.failure for each in of_setting):
            continue
        hits, of = [], []
        for each in of_setting:
            frame = read_predictions(each.table(split))
            if cluster not in frame.columns:
                raise _other_samples(each, f"column {cluster} of gate.cluster must be there", ", ".join(frame.columns))
            keys = frame.select("id", cluster)
            first = keys if first is None else first
            if not keys.equals(first):
                raise _other_samples(each, "every run must be scored on the same samples", "others")
            for kind, kept in (("hit", hits), ("of", of)):
                kept.append(frame.select(pl.col(f"{m}/{kind}").cast(pl.Float64) for m in metrics).to_numpy())
        assert first is not None
        found[name] = Scores(first[cluster].to_numpy(), np.stack(hits), np.stack(of))
    return found, 0 if first is None else first.height


def _other_samples(run: Run, rule: str, got: str) -> EquipoiseError:
    hint = f"Remove {run.folder} and run the study again"
    return bad_data(f"study, {run.setting}, seed {run.seed}", rule, got=got, hint=hint, code="STUDY_SCORES")


def described(setting: Setting) -> str:
    """What a setting changes, on one line."""
    return ", ".join(f"{key} {value}" for key, value in setting.changes.items()) or "params.yaml as it stands"
