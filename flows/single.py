"""`equipoise prepare|train|evaluate`: the stages up to one, and what the last of them reports."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.errors import missing
from flows.stages import bring_up_to_date, needed
from flows.state import Place, exclusive

REPORTS = {"prepare": "data/prepared/{}/report.json", "train": "checkpoints/{}/resume/finished.json"}


def up_to(place: Place, workload: str, stage: str, say: Callable[[str], object]) -> dict[str, Any]:
    """Brings every stage before `stage` and `stage` itself up to date; returns its report.

    Of evaluate: {workload, split, n, metrics, baselines} and whatever else metrics.json says, such as a verdict; of the
    others: {workload, stages, report}.
    """
    names = needed(place, workload)
    with exclusive(place, workload):
        results = [bring_up_to_date(place, workload, name, say) for name in names[: names.index(stage) + 1]]
    if stage == "evaluate":
        return read_report(place.evaluation(workload) / "metrics.json")
    report = read_report(place.project / REPORTS[stage].format(workload))
    report = report.get("summary", report)  # of a training: its figures; the digests beside them are for machines
    return {"workload": workload, "stages": {r.stage: r.document() for r in results}, "report": report}


def read_report(path: Path) -> dict[str, Any]:
    """A JSON report that a stage left.

    Raises:
        EquipoiseError: E_MISSING (66) when it is not there.
    """
    if not path.is_file():
        raise missing(str(path), "the stage must have left its report", got="no file", hint="Run the stage again")
    return json.loads(path.read_text(encoding="utf-8"))
