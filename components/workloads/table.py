"""The one table of workloads; importing it imports torch, so `components.workload.workload` does it last."""

from __future__ import annotations

from collections.abc import Mapping

from components.workload import Workload
from components.workloads.assertions.workload import WORKLOAD as ASSERTIONS
from components.workloads.tool_calling.workload import WORKLOAD as TOOL_CALLING
from components.workloads.trading.workload import WORKLOAD as TRADING

WORKLOADS: Mapping[str, Workload] = {
    "tool_calling": TOOL_CALLING,
    "trading": TRADING,
    "assertions": ASSERTIONS,
}
