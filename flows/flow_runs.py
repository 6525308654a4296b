"""Prefect's flow runs: whose process each is, and closing those whose process is gone.

Prefect notices by itself only what a worker started and watched. A flow that is killed with its machine stays RUNNING.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect import tags
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.runtime import flow_run
from prefect.states import Crashed

from components.registry.processes import gone, identity

FLOWS = ["retrain", "tune"]
OPEN = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
PAGE = 200  # runs the server gives at once


@dataclass(frozen=True)
class Left:
    """A flow run that is open although its process is gone."""

    id: UUID
    name: str
    state: str
    workload: str | None


def named() -> AbstractContextManager[set[str]]:
    """While open, the flow runs that this process creates bear its identity from the first moment on."""
    return tags(" ".join(f"{key}={value}" for key, value in identity().items()))


def begin() -> list[str]:
    """To be called by a flow as it begins: notes its process with its run, and closes those of processes that are gone.

    A run that a worker or a runner started has no other mark.

    Returns:
        The names of the runs closed.
    """
    with get_client(sync_client=True) as client:
        client.update_flow_run_labels(UUID(flow_run.get_id()), dict(identity()))
        found = _left(client)
        for each in found:
            _close(client, each.id)
    return [each.name for each in found]


def left() -> list[Left]:
    """The open runs of retraining and tuning whose process ended on this machine; others cannot be told from here.

    The server is that of the environment (PREFECT_API_URL).
    """
    with get_client(sync_client=True) as client:
        return _left(client)


def close(run: Left) -> bool:
    """Closes it and its tasks as crashed, with the reason."""
    with get_client(sync_client=True) as client:
        _close(client, run.id)
        state = client.read_flow_run(run.id).state
    return state is not None and state.is_final()


def _left(client: SyncPrefectClient) -> list[Left]:
    wanted = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=OPEN)))
    named, found, page = FlowFilter(name=FlowFilterName(any_=FLOWS)), [], None
    while page is None or len(page) == PAGE:
        page = client.read_flow_runs(flow_filter=named, flow_run_filter=wanted, limit=PAGE, offset=len(found))
        found += page
    return [_described(run) for run in found if gone(_process(run))]


def _process(run: Any) -> dict[str, str]:
    """Its process by the tag of `named`; else, once it runs, by the labels of `begin`, which a pending run may have
    from the process before."""
    tagged = dict(part.partition("=")[::2] for tag in run.tags for part in tag.split())
    pending = run.state is not None and run.state.is_pending()
    return tagged if pending else tagged | {key: str(value) for key, value in run.labels.items()}


def _described(run: Any) -> Left:
    return Left(run.id, run.name, run.state.type.value if run.state else "unknown", run.parameters.get("workload"))


def _close(client: SyncPrefectClient, run_id: UUID) -> None:
    """Forced, because the server's rules would wait for the process that is gone."""
    state = Crashed(message="Its process was gone.")
    wanted = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=OPEN)))
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
    for task in client.read_task_runs(flow_run_filter=of_run, task_run_filter=wanted, limit=PAGE):
        client.set_task_run_state(task.id, state, force=True)
    client.set_flow_run_state(run_id, state, force=True)
