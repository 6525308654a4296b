"""What a report tells of one model, gathered from where it was recorded; nothing is computed a second time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.data import strict_json
from components.evaluation.shadow import Evidence
from components.evaluation.training_picture import reports
from components.files import sha256_file
from components.registry import packaging, tracking
from components.registry.aliases import versions
from components.registry.curves import read_alarms
from components.registry.tracking import flatten
from flows.lineage import RESULT, champion_of, changed, made_of
from flows.provenance import candidate_digest
from flows.registration import CURVES, EVALUATED, Desk
from flows.shadow import evidence
from flows.stages import stale


@dataclass(frozen=True)
class Records:
    """One model's records; what was never recorded, or is gone, is None or empty.

    Attributes:
        version: None for a model that was trained here and is not registered.
        champion: the version that serves, and since when (UTC).
        made: `flows.lineage.made_of` the version.
        gate: the gate's latest report about the version, as JSON holds it.
        judged: the event in the ledger that this report led to.
        withdrawn: the rollback that took this version back after its last judgement, as the ledger holds it.
        met: the champion that the version was judged against.
        shadow: what labelled samples have shown since it replaced another version.
        changed: parameter -> [here, there] against the version `before`, the newest older one that was trained.
        evaluation: documents of the evaluation by the name of their file: metrics, report, slices, cost; its text.
        pictures: name -> PNG of the evaluation.
        lines: the training's curves, a dict a report.
        alarms: what the training's health rules said.
        campaign: {"document", "picture", "of_this"} of the campaign that the version came from, else of the latest.
        heads: "head/metric" -> direction of what the gate judges by the present parameters.
    """

    workload: str
    version: int | None
    champion: int | None
    since: str | None
    made: Mapping[str, Any] | None
    gate: Mapping[str, Any] | None
    judged: Mapping[str, Any] | None
    withdrawn: Mapping[str, Any] | None
    met: int | None
    shadow: Evidence | None
    before: int | None
    changed: Mapping[str, list[Any]]
    evaluation: Mapping[str, Any]
    text: str
    pictures: Mapping[str, Path]
    lines: list[dict[str, Any]]
    alarms: list[dict[str, Any]]
    campaign: Mapping[str, Any] | None
    heads: Mapping[str, str]


def gather(at: Desk, version: int | None, scratch: Path) -> Records:
    """The records of a version; of None those of the model trained here, or of the champion where none was trained.

    Args:
        scratch: a folder for files that are kept elsewhere; the pictures must be read before it goes.

    Raises:
        EquipoiseError: E_NO_CHAMPION (78) where nothing was trained and nothing serves, E_JSON and E_CURVES (65) for a
            damaged record, and what `lineage` raises.
    """
    number = version if version is not None else _present(at)
    made = None if number is None else made_of(at, number)
    state, folder, curves = at.ledger.state(at.name), *_told(at, made, scratch)
    before, differing = _predecessor(at, made)
    judged = next((e for e in reversed(made["judgements"]) if e["report_sha256"]), None) if made else None
    return Records(
        workload=at.name,
        version=number,
        champion=state.champion,
        since=state.since,
        made=made,
        gate=_json(Path(judged["report"])) if judged and judged["report"] else None,
        judged=judged,
        withdrawn=_withdrawn(at, made),
        met=_met(at, number, judged),
        shadow=None if number is None else evidence(at, number),
        before=before,
        changed=differing,
        evaluation={name: _json(folder / f"{name}.json") for name in ("metrics", "report", "slices", "cost")}
        if folder
        else {},
        text=_text(folder / "report.md") if folder else "",
        pictures={path.stem: path for path in sorted(folder.glob("*.png"))} if folder else {},
        lines=reports(curves),
        alarms=read_alarms(curves),
        campaign=_campaign(at, made),
        heads={f"{head.head}/{head.metric}": head.direction for head in at.section.gate.heads},
    )


def _present(at: Desk) -> int | None:
    """The version made of the checkpoint, None while that is not registered; without a checkpoint the champion."""
    if not (at.place.checkpoint(at.name) / "model.json").is_file():
        return champion_of(at)
    return packaging.find_version(at.store, at.name, candidate_digest(at.place, at.name))


def _told(at: Desk, made: Mapping[str, Any] | None, scratch: Path) -> tuple[Path | None, Path]:
    """(the evaluation's folder or None, the curves): as the version was registered with, else those that lie here if
    they are of this very model."""
    run_id = made["artefact"]["run_id"] if made else None
    kept = tracking.kept_files(at.store, run_id, EVALUATED, scratch) if run_id else None
    if kept is not None:
        return kept, kept / CURVES
    folder, checkpoint = at.place.evaluation(at.name), at.place.checkpoint(at.name)
    if not (checkpoint / "model.json").is_file():
        return None, scratch / CURVES
    if made and made["artefact"]["model_digest"] != candidate_digest(at.place, at.name):
        return None, scratch / CURVES
    fresh = folder.is_dir() and not stale(at.place, at.name, ["evaluate"])
    return folder if fresh else None, checkpoint / CURVES


def _met(at: Desk, version: int | None, judged: Mapping[str, Any] | None) -> int | None:
    """The champion that a judgement was about, as the decision's key in the ledger names it."""
    if judged is None:
        return None
    for event in at.ledger.history(at.name):
        if event.version == version and event.time == judged["time"]:
            number = event.decision_key.split("/")[2:3]
            return int(number[0]) if number and number[0].isdigit() else None
    return None


def _withdrawn(at: Desk, made: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if made is None or not made["judgements"]:
        return None
    since = made["judgements"][-1]["time"]
    taken = [event for event in at.ledger.history(at.name) if event.event == "rollback" and event.time > since]
    return next((event.document() for event in reversed(taken) if event.replaced == made["version"]), None)


def _predecessor(at: Desk, made: Mapping[str, Any] | None) -> tuple[int | None, dict[str, list[Any]]]:
    """The newest older version that has parameters of its own, and the parameters in which this one differs from it."""
    if made is None or not made["parameters"]:
        return None, {}
    for number in sorted(versions(at.store, at.name), reverse=True):
        if number < made["version"] and (other := made_of(at, number))["parameters"]:
            return number, changed(flatten(made["parameters"]), flatten(other["parameters"]))
    return None, {}


def _campaign(at: Desk, made: Mapping[str, Any] | None) -> dict[str, Any] | None:
    own = made["campaign"] if made else None
    found = sorted(
        (at.place.state / "campaigns").glob(f"*/{at.name}/*/{RESULT}"), key=lambda path: path.stat().st_mtime
    )
    path = Path(own["result"]) if own else found[-1] if found else None
    if path is None:
        return None
    picture = path.with_name("pareto.png")
    return {"document": _json(path), "picture": picture if picture.is_file() else None, "of_this": own,
            "sha256": sha256_file(path)}  # fmt: skip


def _json(path: Path) -> Any:
    return strict_json.read(path) if path.is_file() else None


def _text(path: Path) -> str:
    return strict_json.decode(path.read_bytes(), str(path)) if path.is_file() else ""
