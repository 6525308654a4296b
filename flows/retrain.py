"""The retrain flow: prepare, train, evaluate through DVC, then register, gate, promote. The mechanics are elsewhere."""

from __future__ import annotations

from functools import partial
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from flows import artifacts, cycle, flow_runs, judging, notifying, policies, registration, shadow, stages
from flows.state import Place, exclusive, place_of
from flows.terminal import say

step = partial(task, cache_policy=NO_CACHE, persist_result=False)


@step(task_run_name="{stage}@{workload}")
def bring(workload: str, stage: str, project: str, state: str) -> stages.StageResult:
    """One stage of DVC as a task."""
    return stages.bring_up_to_date(place_of(project, state), workload, stage, artifacts.logged(say))


@step(task_run_name="train@{workload}", retries=1, retry_condition_fn=artifacts.was_killed)
def train(workload: str, project: str, state: str) -> stages.StageResult:
    """The train stage as a task, its curves in an MLflow run; tried once more where a signal ended it."""
    with registration.desk(place_of(project, state), workload, None, artifacts.logged(say)) as desk:
        return registration.train_recorded(desk, flow_run.get_id())


@step(task_run_name="register {workload}")
def register(workload: str, project: str, state: str, actor: str | None) -> int:
    """The checkpoint's version, made or found; before it, a first champion where there is none."""
    with registration.desk(place_of(project, state), workload, actor, artifacts.logged(say)) as desk:
        judging.first_champion(desk)
        return registration.register_candidate(desk, flow_run.get_id())


@step(task_run_name="gate {workload} version {version}")
def decide(workload: str, version: int, project: str, state: str, actor: str | None) -> judging.Outcome:
    """The gate's judgement about a version, written to the ledger."""
    with registration.desk(place_of(project, state), workload, actor, artifacts.logged(say)) as desk:
        return judging.decide(desk, version)


@step(task_run_name="shadow {workload}")
def watch(workload: str, project: str, state: str) -> None:
    """The champion beside the one before it, on labelled samples that came in since."""
    shadow.scheduled(place_of(project, state), workload, artifacts.logged(say))


@flow(name="retrain", flow_run_name="retrain {workload}", persist_result=False)
def retrain(
    workload: str, project: str, state: str, actor: str | None = None, scheduled: bool = False
) -> dict[str, Any]:
    """Brings a workload's champion up to date; {decision, version, champion, reason, heads, stages}.

    A scheduled run does so only when the workload's policy asks for it, and tells the webhook how it ended. Before
    that it looks at labelled samples that came in, and takes a promotion back that did harm.
    """
    place = place_of(project, state)
    with notifying.told(workload, scheduled, artifacts.logged(say)) as tell:
        for name in flow_runs.begin():
            say(f"closed the flow run {name}: its process was gone")
        with exclusive(place, workload):
            return tell(artifacts.publish(place, workload, _brought_up(place, workload, actor, scheduled)))


def _brought_up(place: Place, workload: str, actor: str | None, scheduled: bool) -> dict[str, Any]:
    folders = str(place.project), str(place.state)
    if scheduled:
        watch(workload, *folders)
    outcome = cycle.unchanged(place, workload) or (policies.wait(place, workload, say) if scheduled else None)
    return outcome or _train_and_judge(workload, *folders, actor)


def _train_and_judge(workload: str, project: str, state: str, actor: str | None) -> dict[str, Any]:
    done = [
        train(workload, project, state) if stage == "train" else bring(workload, stage, project, state)
        for stage in stages.needed(place_of(project, state), workload)
    ]
    verdict = decide(workload, register(workload, project, state, actor), project, state, actor)
    return cycle.outcome_of(verdict, done)
