"""`equipoise tune`: prepares the data, runs the campaign, writes what it found, and logs all of it to MLflow."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components import threads
from components.errors import EquipoiseError, Exit
from components.files import write_json
from components.registry import orphans, tracking
from components.tuning.scale_free import starting_points
from components.tuning.space import Knob, knobs, screened
from flows import provenance
from flows.stages import bring_up_to_date, needed
from flows.state import Place, exclusive, make_state
from flows.tune_helpers import champion_weights, processes

if TYPE_CHECKING:
    from components.tuning.campaign import Campaign

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,60}")
Say = Callable[[str], object]


def run(
    place: Place,
    name: str,
    total: int | None,
    campaign_name: str | None,
    say: Say,
    begin_from: Path | None = None,
) -> dict[str, Any]:
    """Brings a campaign to `total` candidates (None: as params.yaml says) and returns its document.

    Args:
        begin_from: result.json of an earlier campaign, whose front a new one begins with.

    Raises:
        EquipoiseError: E_USAGE (2) for a name no folder can have, E_BUSY (75), and what stages, campaign, storage
            and MLflow report.
        KeyboardInterrupt: on ctrl-C, with the state saved.
    """
    space = _checked(place, name, campaign_name)  # a misspelled weight is said before anything is prepared
    starts = starting_points(begin_from, space) if begin_from is not None else []
    make_state(place)
    with exclusive(place, name), contextlib.chdir(place.project):
        for stage in stages_before(place, name):
            bring_up_to_date(place, name, stage, say)
        return concluded(place, name, search(place, name, total, campaign_name, say, starts), say)


def stages_before(place: Place, name: str) -> tuple[str, ...]:
    """The stages that a campaign needs: all before train."""
    stages = needed(place, name)
    return stages[: stages.index("train")]


def help_with(place: Place, name: str, campaign_name: str | None, say: Say) -> dict[str, Any]:
    """Trains candidates of a campaign that another process leads, here or elsewhere, until nothing is left to do.

    The data must be prepared and params.yaml be the leader's: the campaign's digest of both says so.

    Returns:
        {"study", "candidates"}.

    Raises:
        EquipoiseError: E_MISSING (66) without prepared data or without a campaign; E_STUDY (78) for one of other data
            or another recipe; and what campaign and storage report.
        KeyboardInterrupt: on ctrl-C, with the state saved.
    """
    from components.tuning import campaign
    from components.workload import workload

    _checked(place, name, campaign_name)
    make_state(place)
    section = getattr(place.config(), name)
    with contextlib.chdir(place.project):
        found = campaign.run(
            workload(name), section, place.prepared(name), place.state, total=None, worker=True, say=say,
            **_where(place, campaign_name),
        )  # fmt: skip
    return {"study": found.name, "candidates": len(found.candidates)}


def _checked(place: Place, name: str, campaign_name: str | None) -> tuple[Knob, ...]:
    if campaign_name is not None and not NAME.fullmatch(campaign_name):
        raise EquipoiseError("USAGE", "--campaign", "must be lower-case letters, digits, . _ and -", got=campaign_name,
                             hint="Choose another name", exit_code=Exit.USAGE)  # fmt: skip
    section = getattr(place.config(), name)
    threads.as_recorded(section)
    screened(name, section)
    return knobs(name, section)


def _where(place: Place, campaign_name: str | None) -> dict[str, Any]:
    """What leading and helping have in common."""
    return {
        "project": place.config().project,
        "address": os.environ.get("EQUIPOISE_DATABASE_URL", "").strip() or None,
        "name": campaign_name,
        "device": os.environ.get("EQUIPOISE_DEVICE") or None,
    }


def search(
    place: Place,
    name: str,
    total: int | None,
    campaign_name: str | None,
    say: Say,
    starts: Sequence[Mapping[str, float]] = (),
) -> Campaign:
    """Screens the candidates and trains the best at full length, with as many processes as params.yaml says."""
    from components.tuning import campaign
    from components.workload import workload

    config = place.config()
    section = getattr(config, name)
    orphans.close_orphans(tracking.open_store(place.state, config.project))  # a store that does not answer says so now
    return campaign.run(
        workload(name), section, place.prepared(name), place.state, total=total or section.tuning.candidates, say=say,
        champion=champion_weights(place, name, section, knobs(name, section)), starts=starts,
        helpers=partial(processes, place, name, campaign_name), **_where(place, campaign_name),
    )  # fmt: skip


def concluded(place: Place, name: str, found: Campaign, say: Say) -> dict[str, Any]:
    """Judges the best with fresh seeds, writes what was found, and logs it."""
    from components.tuning import closing, report
    from components.workload import workload

    config, record = place.config(), workload(name)
    section, prepared, device = getattr(config, name), place.prepared(name), _where(place, None)["device"]
    judgement = closing.run(
        record, section, prepared, place.state, found, project=config.project, device=device, say=say
    )
    tuned = place.project / "tuned" / f"{name}.yaml"
    document = report.conclude(record, section, prepared, found, judgement, tuned)
    document["run_id"] = _log(place, name, section, tracking.open_store(place.state, config.project), found, document)
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
    children = {str(each.number): each for each in found.candidates}
    children |= {f"{each.number} at full length": each for each in found.full or ()}
    for title, each in children.items():
        if title not in runs:
            runs[title] = _log_candidate(name, store, title, each, tags, runs["parent"])
            write_json(path, kept)
    metrics = {"candidates": document["candidates"], "front": len(document["front"]),
               "cpu_seconds": document["cpu_seconds"], "best": document["best"]["objectives"],
               "default": document["default"]["objectives"]}  # fmt: skip
    files = [*map(Path, document["files"].values()), found.folder / "result.json"]
    tracking.finish_run(store, runs["parent"], metrics=tracking.flatten(metrics, "/"), files=files)
    return runs["parent"]


def _log_candidate(name: str, store: tracking.Store, title: str, each: Any, tags: dict[str, Any], parent: str) -> str:
    stopped = each.stopped or {}
    more = {"candidate": each.number, "failure": each.failure, "stopped_rung": stopped.get("rung"),
            "dominators": ", ".join(map(str, stopped["dominators"])) if stopped else None}  # fmt: skip
    run_id = tracking.start_run(
        store, "tune", name, f"candidate {title}", params={"loss": each.weights}, tags={**tags, **more}, parent=parent
    )
    values = {"validation": each.metrics, "train": each.terms, "cpu_seconds": each.cpu_seconds, "steps": each.steps}
    status = "FAILED" if each.failure else "FINISHED"
    tracking.finish_run(store, run_id, metrics=tracking.flatten(values, "/"), status=status)
    return run_id
