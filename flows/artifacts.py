"""What a person sees on a flow run's page: the stages, the metrics and the gate as Prefect artifacts, the log lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State
from prefect.exceptions import MissingContextError

from flows.stages import StageKilled
from flows.state import Place

Say = Callable[[str], object]


def logged(say: Say) -> Say:
    """`say`, and the line in the run's log as well."""
    try:
        log = get_run_logger()
    except MissingContextError:
        return say

    def both(line: str) -> None:
        say(line)
        log.info("%s", line)

    return both


def was_killed(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Only a killed stage is tried again, from its checkpoint: bad data or settings would fail the same way twice."""
    return isinstance(state.result(raise_on_failure=False), StageKilled)


def publish(place: Place, workload: str, outcome: dict[str, Any]) -> dict[str, Any]:
    """Writes the three artifacts and returns the outcome as it came."""
    key = workload.replace("_", "-")
    stages = [
        {"stage": name, **values, "alarms": "; ".join(row["message"] for row in values.get("alarms", ()))}
        for name, values in outcome["stages"].items()
    ]
    create_table_artifact(key=f"{key}-stages", table=stages, description=f"Stages of {workload}")
    create_table_artifact(key=f"{key}-metrics", table=metrics_table(place, workload), description="Test split")
    create_markdown_artifact(key=f"{key}-gate", markdown=gate_markdown(outcome), description="The gate's decision")
    return outcome


def publish_campaign(workload: str, document: dict[str, Any]) -> dict[str, Any]:
    """Writes the campaign's report as an artifact and returns its document as it came."""
    text = Path(document["files"]["report"]).read_text(encoding="utf-8")
    key = f"{workload.replace('_', '-')}-campaign"
    create_markdown_artifact(key=key, markdown=text, description="The campaign's candidates and verdict")
    return document


def metrics_table(place: Place, workload: str) -> list[dict[str, Any]]:
    """One row a metric: the model's value, and those of the baselines; none where nothing was evaluated here yet."""
    path = place.evaluation(workload) / "metrics.json"
    if not path.is_file():
        return []
    document = json.loads(path.read_text(encoding="utf-8"))
    besides = document["baselines"]
    return [
        {"metric": name, "model": value, **{other: besides[other].get(name) for other in besides}}
        for name, value in document["metrics"].items()
    ]


def gate_markdown(outcome: dict[str, Any]) -> str:
    """The decision and a table of the judged heads."""
    rows = [
        f"| {h['head']} | {h['metric']} | {h['difference']:+.4f} "
        f"| {h['low']:+.4f} to {h['high']:+.4f} | {h['verdict']} |"
        for h in outcome["heads"]
    ]
    table = (
        ["| head | metric | difference | interval | verdict |", "| --- | --- | --- | --- | --- |", *rows]
        if rows
        else []
    )
    title = f"# {outcome['decision']}: version {outcome['version']}, champion {outcome['champion']}"
    return "\n".join([title, "", outcome["reason"], "", *table])
