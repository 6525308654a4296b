"""The tune flow: a campaign as tasks of Prefect, by itself or after a retraining. The mechanics are elsewhere."""

from __future__ import annotations

import contextlib
from typing import Any

from prefect import flow

from components import threads
from flows import artifacts, flow_runs
from flows import tune as campaigns
from flows.retrain import bring, step
from flows.state import exclusive, make_state, place_of
from flows.terminal import say


@step(task_run_name="campaign {workload}")
def search(workload: str, project: str, state: str, candidates: int | None) -> Any:
    """The screen, and the best of it at full length."""
    return campaigns.search(place_of(project, state), workload, candidates, None, artifacts.logged(say))


@step(task_run_name="verdict {workload}")
def conclude(workload: str, project: str, state: str, found: Any) -> dict[str, Any]:
    """The closing comparison and the reports."""
    return campaigns.concluded(place_of(project, state), workload, found, artifacts.logged(say))


@flow(name="tune", flow_run_name="tune {workload}", persist_result=False, validate_parameters=False)
def tune(workload: str, project: str, state: str, candidates: int | None = None) -> dict[str, Any]:
    """A workload's campaign, gone on with or begun; its document, as `equipoise tune --json` prints it."""
    place = place_of(project, state)
    make_state(place)
    threads.as_recorded(getattr(place.config(), workload))
    for name in flow_runs.begin():
        say(f"closed the flow run {name}: its process was gone")
    with exclusive(place, workload), contextlib.chdir(project):
        for stage in campaigns.stages_before(place, workload):
            bring(workload, stage, project, state)
        document = conclude(workload, project, state, search(workload, project, state, candidates))
        return artifacts.publish_campaign(workload, document)
