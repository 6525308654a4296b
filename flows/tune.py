"""`equipoise tune`: prepares the data, runs the campaign, writes what it found, and logs all of it to MLflow."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.errors import EquipoiseError, Exit
from components.files import write_json
from components.registry import tracking
from components.tuning.space import knobs
from flows import provenance
from flows.stages import bring_up_to_date, needed
from flows.state import Place, exclusive, make_state

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,60}")
Say = Callable[[str], object]


def run(place: Place, name: str, total: int | None, campaign_name: str | None, say: Say) -> dict[str, Any]:
    """Brings a campaign to `total` candidates (None: as params.yaml says) and returns its document.

    Raises:
        EquipoiseError: E_USAGE (2) for a name no folder can have, E_BUSY (75), and what stages, campaign, storage
            and MLflow report.
        KeyboardInterrupt: on ctrl-C, with the state saved.
    """
    if campaign_name is not None and not NAME.fullmatch(campaign_name):
        raise EquipoiseError("USAGE", "--campaign", "must be lower-case letters, digits, . _ and -", got=campaign_name,
                             hint="Choose another name", exit_code=Exit.USAGE)  # fmt: skip
    knobs(name, getattr(place.config(), name))  # a misspelled weight is said before anything is prepared
    make_state(place)
    with exclusive(place, name):
        stages = needed(place, name)
        for stage in stages[: stages.index("train")]:
            bring_up_to_date(place, name, stage, say)
        return _campaign(place, name, total, campaign_name, say)


def _campaign(place: Place, name: str, total: int | None, campaign_name: str | None, say: Say) -> dict[str, Any]:
    from components.tuning import campaign, report
    from components.workload import workload

    config = place.config()
    section, record = getattr(config, name), workload(name)
    store = tracking.open_store(place.state, config.project)
    tracking.close_orphans(store)  # also: a store that does not answer is noticed before hours of training
    prepared = place.prepared(name)
    found = campaign.run(
        record,
        section,
        prepared,
        place.state,
        project=config.project,
        total=total or section.tuning.candidates,
        address=os.environ.get("EQUIPOISE_DATABASE_URL", "").strip() or None,
        name=campaign_name,
        device=os.environ.get("EQUIPOISE_DEVICE") or None,
        say=say,
    )
    document = report.conclude(record, section, prepared, found, place.project / "tuned" / f"{name}.yaml")
    document["run_id"] = _log(place, name, section, store, found, document)
    return document


def _log(place: Place, name: str, section: Any, store: tracking.Store, found: Any, document: dict[str, Any]) -> str:
    """The parent run and a child per candidate; what an earlier call logged is found again, not logged twice."""
    path = found.folder / "runs.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    runs: dict[str, str] = kept.setdefault(store.place, {})
    tags = provenance.tags(place, name) | {"campaign": found.name}
    if "parent" not in runs:
        values = section.model_dump(mode="json")
        params = {key: values[key] for key in ("data", "model", "training", "tuning")}
        data = tracking.Dataset(name, str(tags["data_digest"]), "train", str(section.data.source))
        runs["parent"] = tracking.start_run(store, "tune", name, found.name, params=params, tags=tags, datasets=[data])
        write_json(path, kept)
    for each in found.candidates:
        if str(each.number) not in runs:
            runs[str(each.number)] = _log_candidate(name, store, each, tags, runs["parent"])
            write_json(path, kept)
    metrics = {"candidates": document["candidates"], "front": len(document["front"]),
               "cpu_seconds": document["cpu_seconds"], "best": document["best"]["objectives"],
               "default": document["default"]["objectives"]}  # fmt: skip
    files = [*map(Path, document["files"].values()), found.folder / "result.json"]
    tracking.finish_run(store, runs["parent"], metrics=tracking.flatten(metrics, "/"), files=files)
    return runs["parent"]


def _log_candidate(name: str, store: tracking.Store, each: Any, tags: dict[str, Any], parent: str) -> str:
    more = {"candidate": each.number, "failure": each.failure}
    run_id = tracking.start_run(
        store, "tune", name, f"candidate {each.number}", params={"loss": each.weights}, tags={**tags, **more},
        parent=parent,
    )  # fmt: skip
    values = {"validation": each.metrics, "train": each.terms, "cpu_seconds": each.cpu_seconds, "steps": each.steps}
    status = "FAILED" if each.failure else "FINISHED"
    tracking.finish_run(store, run_id, metrics=tracking.flatten(values, "/"), status=status)
    return run_id
