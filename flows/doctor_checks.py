"""What `doctor` looks at, one engine after the other; each check asks the product's own functions."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from components.errors import EquipoiseError, misconfigured
from components.workload import NAMES
from flows.state import Place, at_work

FIX = "Run `equipoise doctor --fix`"


@dataclass(frozen=True)
class Fault:
    """Something wrong.

    Attributes:
        mend: repairs it and says whether it is repaired; None for what needs a person.
    """

    error: EquipoiseError
    workload: str | None = None
    mend: Callable[[], bool] | None = None


@dataclass
class Case:
    """What the checks know. `standings` and `digests` stay empty where the ledger is not whole or has no events.

    Attributes:
        notes: sentences on what could not be asked.
        standings: by workload, what the ledger says of it.
        digests: by workload, version to digest of its manifest.
        ledger_whole: False where nothing may be concluded from the ledger.
    """

    place: Place
    notes: list[str] = field(default_factory=list)
    standings: dict[str, Any] = field(default_factory=dict)
    digests: dict[str, dict[int, str]] = field(default_factory=dict)
    ledger_whole: bool = False

    @cached_property
    def project(self) -> str:
        """The project's name; raises E_CONFIG (78), E_MISSING (66)."""
        return self.place.config().project

    @cached_property
    def store(self) -> Any:
        """Where MLflow keeps runs and models; None where it has kept none yet, which asking must not change."""
        from components.registry.tracking import open_store

        store = open_store(self.place.state, self.project)
        return None if store.embedded and not (store.state / "mlflow.db").is_file() else store

    @cached_property
    def idle(self) -> tuple[str, ...]:
        """The workloads that nobody is at work on: files that are being written do not fit for a moment."""
        busy = [name for name in NAMES if at_work(self.place, name)]
        self.notes += [f"{name} is at work: its files were not read" for name in busy]
        return tuple(name for name in NAMES if name not in busy)


def the_ledger(case: Case) -> list[Fault]:
    """The whole hash chain; what it says is kept for the checks that follow."""
    if not case.place.ledger_exists():
        case.ledger_whole = True
        return []
    from components.registry.ledger import open_ledger
    from components.registry.packaging import ARTEFACT_DIGEST
    from flows.standing import standing

    with open_ledger(case.place.ledger) as ledger:
        ledger.verify()
        case.ledger_whole = True
        for name in NAMES:
            case.standings[name] = standing(ledger, name)
            made = [event for event in ledger.history(name) if event.event == "register" and event.version]
            known = {event.version: event.document()["details"].get(ARTEFACT_DIGEST) for event in made}
            case.digests[name] = {version: digest for version, digest in known.items() if version and digest}
    return []


def the_params(case: Case) -> list[Fault]:
    """params.yaml, without which nobody knows the project's name."""
    case.place.config()
    return []


def aliases_in_mlflow(case: Case) -> list[Fault]:
    """The champion as MLflow shows it, against the ledger."""
    if not case.ledger_whole:
        case.notes.append("MLflow's aliases were not compared: the ledger is not whole")
        return []
    return [fault for name in NAMES for fault in _shown(case, name)]


def _shown(case: Case, name: str) -> list[Fault]:
    from components.registry import aliases

    known = case.standings.get(name) or aliases.Standing(None, None, None, 0)
    wanted = sorted(set(known.aliases().values()))
    if case.store is None:
        return [_lost(str(case.place.state / "mlflow.db"), name, version) for version in wanted]
    place = f"{case.store.place}, {case.store.model_name(name)}"
    shown = aliases.shown_generation(case.store, name)
    if shown > known.generation:
        hint = "The ledger lost events: put back its newest copy, then run `equipoise history --verify`"
        rule = f"must not know more changes of champion than the ledger, which knows {known.generation}"
        return [Fault(misconfigured(place, rule, got=shown, hint=hint, code="LEDGER_BEHIND"), name)]
    there = aliases.versions(case.store, name)
    if lost := [version for version in wanted if version not in there]:
        return [_lost(place, name, version) for version in lost]

    def mend() -> bool:
        return aliases.project(case.store, name, known) and not aliases.agree(case.store, name, known)

    said = aliases.agree(case.store, name, known)
    rule = "must show what the ledger says"
    return [Fault(misconfigured(place, rule, got=each, hint=FIX, code="PROJECTION"), name, mend) for each in said]


def _lost(place: str, name: str, version: int) -> Fault:
    hint = f"Put MLflow's database back from a backup, or roll back with `equipoise rollback {name} --to VERSION`"
    rule = "must have every version that the ledger lets serve"
    got = f"no version {version}"
    return Fault(misconfigured(place, rule, got=got, hint=hint, code="VERSION_LOST"), name)


def models(case: Case) -> list[Fault]:
    """Every registered version's files against their manifest, and that against the ledger's digest."""
    if case.store is None:
        return []
    from components.registry.aliases import damages

    if case.store.artefacts is None:
        case.notes.append("of models that MLflow's server keeps, only the copies in the state folder were read")
    return [Fault(error, name) for name in NAMES for error in damages(case.store, name, case.digests.get(name, {}))]


def runs(case: Case) -> list[Fault]:
    """MLflow runs that are RUNNING though their process is gone."""
    if case.store is None:
        return []
    from components.registry.orphans import close_orphan, orphans
    from components.registry.processes import PROCESS

    def mend(run_id: str) -> bool:
        close_orphan(case.store, run_id)
        return True

    rule = "a run must end with its process"
    return [
        Fault(misconfigured(f"{case.store.place}, run {run_id}", rule, got=f"RUNNING, process {tags[PROCESS]} is gone",
                            hint=FIX, code="RUN_LEFT"), tags.get("workload"), partial(mend, run_id))
        for run_id, tags in orphans(case.store).items()
    ]  # fmt: skip


def candidates(case: Case) -> list[Fault]:
    """Optuna's trials that are RUNNING though nobody works on their campaign."""
    if not (case.place.state / "campaigns").is_dir():
        return []
    from components.tuning.abandoned import abandoned, put_back

    named = os.environ.get("EQUIPOISE_DATABASE_URL", "").strip()
    address = named if "://" in named else None
    rule, got = "a candidate must be at work or in the queue", "RUNNING, nobody works on its campaign"
    hint = f"{FIX}: it goes back into the queue; or go on with `equipoise tune`, which trains it on"
    return [
        Fault(misconfigured(f"{each.storage}, {each.study} candidate {each.number}", rule, got=got, hint=hint,
                            code="TRIAL_LEFT"), each.workload, partial(put_back, case.place.state, address, each))
        for each in abandoned(case.place.state, address, case.project)
    ]  # fmt: skip


def data(case: Case) -> list[Fault]:
    """Prepared data, and a teacher's answers, against their manifests."""
    from components.data.manifest import verify

    found = []
    for name in case.idle:
        for folder in (case.place.prepared(name), case.place.project / "data" / "teacher" / name):
            if not folder.is_dir() or (folder.parent.name == "teacher" and not (folder / "manifest.json").is_file()):
                continue  # a teacher that has not finished has no manifest yet
            found += _refusals(case, name, partial(verify, folder))
    return found


def checkpoints(case: Case) -> list[Fault]:
    """Models and training states against the digests beside them, and the curves."""
    from components.registry.curves import read_alarms
    from components.training.intact import damages

    found = []
    for name in case.idle:
        folder = case.place.checkpoint(name)
        found += [Fault(error, name) for error in damages(folder) if not at_work(case.place, name)]
        found += _refusals(case, name, partial(read_alarms, folder / "curves.jsonl"))
    return found


def _refusals(case: Case, name: str, check: Callable[[], object]) -> list[Fault]:
    """What the check refuses, unless somebody began to work on the files meanwhile."""
    try:
        check()
    except EquipoiseError as error:
        return [] if at_work(case.place, name) else [Fault(error, name)]
    return []


def outputs_of_dvc(case: Case) -> list[Fault]:
    """What dvc.lock names as made and is not there."""
    from flows.stages import missing_outputs

    lock = case.place.project / "dvc.lock"
    found = []
    for stage, path in missing_outputs(case.place):
        verb, _, name = stage.partition("@")
        if name in NAMES and name not in case.idle:
            continue
        hint = f"Run `dvc checkout {stage}`, or `equipoise retrain {name}`, which makes it again"
        rule = f"the output of {verb} must be there"
        found.append(Fault(misconfigured(f"{lock}, {stage}", rule, got=f"no {path}", hint=hint, code="DVC_OUT"), name))
    return found


def flow_runs(case: Case) -> list[Fault]:
    """Prefect's flow runs that are open though their process is gone, where a server is named that can be asked."""
    address = os.environ.get("PREFECT_API_URL", "").strip()
    if not address:
        if list((case.place.state / "prefect").glob("*.db")):
            case.notes.append(
                "Prefect was not asked: its own server runs only while a flow does, and a retraining that has anything "
                "to do closes the runs whose process is gone"
            )
        return []
    from flows.orchestration import environment, probe, reached

    probe(address)
    os.environ.update(environment(case.place))
    from flows import flow_runs as prefect

    with reached(address):
        left = prefect.left()
    rule = "a flow run must end with its process"
    return [
        Fault(misconfigured(f"Prefect at {address.rpartition('@')[2]}, {run.name} ({run.id})", rule,
                            got=f"{run.state}, its process is gone", hint=FIX, code="FLOW_RUN_LEFT"),
              run.workload, partial(prefect.close, run))
        for run in left
    ]  # fmt: skip


def leftovers(case: Case) -> list[Fault]:
    """What writes left that a kill cut off."""
    from flows import leftovers as parts

    rule = "a write must be whole or gone"
    return [
        Fault(misconfigured(str(path), rule, got=_kind(path), hint=FIX, code="LEFTOVER"),
              parts.workload_of(case.place, path), partial(parts.remove, path))
        for path in parts.leftovers(case.place)
    ]  # fmt: skip


def _kind(path: Path) -> str:
    return "a folder that nobody holds" if path.is_dir() else f"{path.stat().st_size} bytes that nobody writes"


CHECKS = (
    the_ledger,
    the_params,
    aliases_in_mlflow,
    models,
    runs,
    candidates,
    data,
    checkpoints,
    outputs_of_dvc,
    flow_runs,
    leftovers,
)
