"""A trained folder becomes a version: runs in MLflow, the version, its event in the ledger. Steps may be repeated."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from components import threads
from components.files import write_json
from components.registry import orphans, packaging, tracking
from components.registry.aliases import find
from components.registry.curves import forward_curves, forward_pending, forwarding
from components.registry.ledger import Ledger, open_ledger
from components.workload import Workload, workload
from flows import provenance
from flows.single import read_report
from flows.stages import StageResult, bring_up_to_date, stale
from flows.state import Place, make_state, user

BASELINE = "baseline"  # in the evaluation's folder
BASELINE_REASON = "the workload's cheap baseline"  # of its registration
EXAMPLES = 8  # golden inputs of a version
CURVES = "curves.jsonl"
EVALUATED = "evaluation"  # folder among a run's artefacts: what a later report of the version tells
TOLD = (".json", ".md", ".png")  # what of the evaluation goes there: predictions and baselines stay behind
Say = Callable[[str], object]


@dataclass(frozen=True)
class Desk:
    """What registering and deciding need: where, which workload, its configuration, the two records, who acts."""

    place: Place
    name: str
    section: Any
    store: tracking.Store
    ledger: Ledger
    actor: str
    say: Say

    @property
    def record(self) -> Workload:
        """The workload's record; torch is imported at its first use."""
        return workload(self.name)

    def artefact_digest(self, version: int) -> str | None:
        """The digest of a version's files as the ledger's chain holds it; None for a version it was not told of."""
        return self.ledger.registered(self.name, version).get(packaging.ARTEFACT_DIGEST)


@contextmanager
def desk(place: Place, name: str, actor: str | None, say: Say) -> Iterator[Desk]:
    """Opens store and ledger."""
    make_state(place)
    config = place.config()
    threads.as_recorded(getattr(config, name))
    store = tracking.open_store(place.state, config.project)
    with open_ledger(place.ledger) as ledger:
        yield Desk(place, name, getattr(config, name), store, ledger, actor or user(), say)


def tidy(at: Desk) -> None:
    """Closes runs whose process is gone and sends curves that an unreachable store did not take.

    Every retraining that has anything to do begins with it, so that what a kill left open stays open no longer.
    """
    for run_id in orphans.close_orphans(at.store):
        at.say(f"closed run {run_id}: its process was gone")
    for run_id in forward_pending(at.store):
        at.say(f"sent the curves that run {run_id} could not")


def train_recorded(at: Desk, flow_run: str | None) -> StageResult:
    """Brings train up to date; while it runs its curves go to an MLflow run, whose id is kept for the registration."""
    tidy(at)
    if not stale(at.place, at.name, ["train"]):
        return bring_up_to_date(at.place, at.name, "train", at.say)
    run_id = _start(at, "train", f"{at.name} seed {at.section.training.seed}", flow_run)
    curves, status = at.place.checkpoint(at.name) / CURVES, "KILLED"
    try:
        with forwarding(at.store, run_id, curves, warn=at.say):
            result = bring_up_to_date(at.place, at.name, "train", at.say)
        status = "FINISHED"
        write_json(_runs(at.place), {provenance.candidate_digest(at.place, at.name): run_id})
        return result
    except Exception:
        status = "FAILED"
        raise
    finally:
        tracking.finish_run(at.store, run_id, status=status)


def register_candidate(at: Desk, flow_run: str | None = None) -> int:
    """The checkpoint's version: found by the digest of its files, else made."""
    digest = provenance.candidate_digest(at.place, at.name)
    folder, run_id = at.place.checkpoint(at.name), _known_runs(at.place).get(digest)
    found = packaging.find_version(at.store, at.name, digest)
    if found is None and run_id is None:  # trained outside of the flow: `equipoise train` or `dvc repro`
        run_id = _start(at, "train", f"{at.name} seed {at.section.training.seed}", flow_run)
        forward_curves(at.store, run_id, folder / CURVES, at.place.state / "tracking" / f"{run_id}.json")
    metrics = read_report(at.place.evaluation(at.name) / "metrics.json")
    return _register(at, folder, found, run_id, metrics["metrics"], "trained by the flow", _evaluated(at))


def register_baseline(at: Desk) -> int:
    """Makes the cheap baseline, which evaluate fitted and left beside its report, a version like any other."""
    folder = at.place.evaluation(at.name) / BASELINE
    found = packaging.find_version(at.store, at.name, provenance.servable_digest(folder))
    run_id = None if found else _start(at, "train", f"{at.name} baseline", None)
    return _register(at, folder, found, run_id, {}, BASELINE_REASON)


def register_folder(at: Desk, folder: Path, name: str) -> int:
    """Any servable folder as a version, under a run of its own."""
    found = packaging.find_version(at.store, at.name, provenance.servable_digest(folder))
    run_id = None if found else _start(at, "train", name, None)
    return _register(at, folder, found, run_id, {}, name)


def _evaluated(at: Desk) -> list[Path]:
    """The files that tell how the candidate was trained and evaluated."""
    curves = at.place.checkpoint(at.name) / CURVES
    told = [path for path in sorted(at.place.evaluation(at.name).iterdir()) if path.suffix in TOLD]
    return [*told, curves] if curves.is_file() else told


def _register(
    at: Desk,
    folder: Path,
    found: int | None,
    run_id: str | None,
    metrics: dict[str, Any],
    reason: str,
    files: Sequence[Path] = (),
) -> int:
    tags = provenance.tags(at.place, at.name)
    if found is None:
        assert run_id is not None
        examples = golden_requests(at)
        tracking.keep_files(at.store, run_id, files, EVALUATED)
        made = packaging.log_model(
            at.store, run_id, folder, at.name,
            examples=examples, optional=at.record.optional, metrics=metrics, tags=tags, params=at.place.params,
        )  # fmt: skip
        tracking.finish_run(at.store, run_id, metrics=tracking.flatten(metrics, "/"))
        found = made.version
    if not at.ledger.registered(at.name, found):
        version = find(at.store, at.name, found)
        details = {
            packaging.ARTEFACT_DIGEST: version.tags.get(packaging.ARTEFACT_DIGEST),
            "data_digest": tags["data_digest"],
            "model_digest": provenance.servable_digest(folder),
            "run_id": version.run_id,
            "beside": provenance.beside_digests(at.place, at.section, at.record),
        }
        at.ledger.append_register(
            at.name, found, actor=at.actor, key=f"register/{found}", details=details, reason=reason
        )
    return found


def golden_requests(at: Desk) -> list[dict[str, Any]]:
    """The first raw requests of the test split: the input example, and what a fresh process must answer alike."""
    samples = at.record.samples(at.place.prepared(at.name), provenance.TEST)
    return [at.record.request(sample) for sample in islice(samples, EXAMPLES)]


def _start(at: Desk, kind: tracking.Kind, name: str, flow_run: str | None) -> str:
    tags = provenance.tags(at.place, at.name) | {"flow_run": flow_run}
    data = tracking.Dataset(at.name, str(tags["data_digest"]), "train", str(at.section.data.source))
    params = at.section.model_dump(mode="json")
    chosen = {key: params[key] for key in ("data", "model", "loss", "training")}
    return tracking.start_run(at.store, kind, at.name, name, params=chosen, tags=tags, datasets=[data])


def _runs(place: Place) -> Path:
    return place.state / "runs.json"


def _known_runs(place: Place) -> dict[str, str]:
    path = _runs(place)
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
