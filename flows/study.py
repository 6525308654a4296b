"""`equipoise study`: prepares the data, trains and compares the settings, and logs all of it to MLflow."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from components import threads
from components.errors import EquipoiseError, Exit
from components.files import write_json
from components.registry import orphans, tracking
from components.tuning.study_settings import as_trained, family
from flows import provenance
from flows.stages import bring_up_to_date, needed
from flows.state import Place, exclusive, make_state

SPLITS = ("validation", "test")
Say = Callable[[str], object]


def run(
    place: Place, name: str, split: str, say: Say, asked: Callable[[Any], Any] = lambda section: section
) -> dict[str, Any]:
    """Brings the study of section `study` to its end and returns its document.

    Args:
        split: the samples that judge; the test split is looked at only when it is named.
        asked: makes the workload's section one whose study is meant; it is that of params.yaml unless said otherwise.

    Raises:
        EquipoiseError: E_USAGE (2) for another split, and what settings, stages, study and MLflow report.
        KeyboardInterrupt: on ctrl-C, with the state saved.
    """
    if split not in SPLITS:
        raise EquipoiseError("USAGE", "--split", f"must be one of {', '.join(SPLITS)}", got=split,
                             hint="Leave it out to judge on validation", exit_code=Exit.USAGE)  # fmt: skip
    section = getattr(place.config(), name)
    threads.as_recorded(section)
    section = asked(section)
    family(name, section)  # a misspelled key is said before anything is prepared
    make_state(place)
    with exclusive(place, name), contextlib.chdir(place.project):
        stages = needed(place, name)
        for stage in stages[: stages.index("train")]:  # a teacher too, where there is one
            bring_up_to_date(place, name, stage, say)
        return _study(place, name, section, split, say)


def _study(place: Place, name: str, section: Any, split: str, say: Say) -> dict[str, Any]:
    from components.tuning import study, study_report
    from components.workload import workload

    config = place.config()
    store = tracking.open_store(place.state, config.project)
    orphans.close_orphans(store)  # also: a store that does not answer is noticed before hours of training
    device = os.environ.get("EQUIPOISE_DEVICE") or None
    found = study.run(workload(name), section, place.prepared(name), place.state, project=config.project, split=split,
                      device=device, say=say)  # fmt: skip
    document = study_report.conclude(found)
    document["run_id"] = _log(place, name, section, store, found, document)
    return document


def _log(place: Place, name: str, section: Any, store: tracking.Store, found: Any, document: dict[str, Any]) -> str:
    """The parent run and a child per run; what an earlier call logged is found again, not logged twice."""
    path = found.folder / "runs.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    runs: dict[str, str] = kept.setdefault(store.place, {})
    tags = {**provenance.tags(place, name), "study": found.name, "split": found.split, "seed": None}
    if "parent" not in runs:
        values = section.model_dump(mode="json")
        params = {key: values[key] for key in ("data", "model", "training", "study")}
        data = tracking.Dataset(name, str(tags["data_digest"]), found.split, str(section.data.source), found.samples)
        runs["parent"] = tracking.start_run(store, "study", name, found.name, params=params, tags=tags, datasets=[data])
        write_json(path, kept)
    for each in (run for of_setting in found.runs.values() for run in of_setting):
        if each.fingerprint not in runs:
            runs[each.fingerprint] = _log_run(name, store, found, each, tags, runs["parent"])
            write_json(path, kept)
    step = len(document["seeds"])  # of the parent's chart: what more seeds changed
    tracking.log_metrics(store, runs["parent"], _figures(document), step)
    files = [*map(Path, document["files"].values())]
    tracking.finish_run(store, runs["parent"], files=files)
    return runs["parent"]


def _log_run(name: str, store: tracking.Store, found: Any, each: Any, tags: dict[str, Any], parent: str) -> str:
    setting = next(s for s in found.family.settings if s.name == each.setting)
    recipe = as_trained(found.section, setting, each.seed).model_dump(mode="json")
    more = {"setting": each.setting, "seed": each.seed, "failure": each.failure, "fingerprint": each.fingerprint}
    run_id = tracking.start_run(
        store, "study", name, f"{each.setting} seed {each.seed}", tags={**tags, **more}, parent=parent,
        params={"changes": dict(setting.changes), "loss": recipe["loss"], "training": recipe["training"]},
    )  # fmt: skip
    values: dict[str, Any] = {"cpu_seconds": each.cpu_seconds, "activations": each.activations, "steps": each.steps}
    if each.setting in found.scores:
        by_seed = found.scores[each.setting].by_seed()[found.section.study.seeds.index(each.seed)]
        values[found.split] = dict(zip(found.section.study.metrics, by_seed.tolist(), strict=True))
    status = "FAILED" if each.failure else "FINISHED"
    tracking.finish_run(store, run_id, metrics=tracking.flatten(values, "/"), status=status)
    return run_id


def _figures(document: Mapping[str, Any]) -> dict[str, Any]:
    """What the parent run charts: values and differences by setting and metric; names as MLflow takes them."""
    found: dict[str, Any] = {"cpu_seconds": document["cpu_seconds"], "runs": len(document["runs"])}
    for each in document["settings"]:
        name = each["name"].replace("+", " and ")
        found[name] = {metric: value["mean"] for metric, value in each["metrics"].items()}
        found[f"{name} less {document['reference'].replace('+', ' and ')}"] = {
            metric: pair["value"] for metric, pair in each["against"].items()
        }
    return found
