"""The retrain flow as a Prefect deployment: on a cron in UTC, one run at a time, a second one is cancelled."""

from __future__ import annotations

import datetime as dt
from typing import Any

from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.types.entrypoint import EntrypointType

from flows.retrain import retrain
from flows.state import Place

LIMIT = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)


def cron(section: Any) -> CronSchedule:
    """The workload's schedule; times are UTC, also where the clocks change."""
    return CronSchedule(cron=section.schedule.cron, timezone="UTC")


def every(seconds: float) -> IntervalSchedule:
    """A schedule in seconds, for trying a deployment out."""
    return IntervalSchedule(interval=dt.timedelta(seconds=seconds))


def deployment(place: Place, workload: str, schedule: CronSchedule | IntervalSchedule) -> RunnerDeployment:
    """A tick that is missed because a run is still going is made up by the next: DVC knows what is stale."""
    config = place.config()
    actor = getattr(config, workload).schedule.actor
    folders = {"project": str(place.project), "state": str(place.state)}
    parameters = {"workload": workload, **folders, "actor": actor, "scheduled": True}
    made = retrain.to_deployment(
        name=f"{config.project}-{workload}",
        schedules=[schedule],
        concurrency_limit=LIMIT,
        parameters=parameters,
        entrypoint_type=EntrypointType.MODULE_PATH,
        tags=[config.project, workload],
        description=f"Retrains {workload}: prepare, train, evaluate, register, gate, promote.",
    )
    assert isinstance(made, RunnerDeployment)  # a coroutine only inside an event loop
    return made
