"""The raw request behind a labelled sample: what a user would have sent, and nothing that gives the answer away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from components.workloads.tool_calling.dialogues import Sample
from components.workloads.tool_calling.trm_lines import sample_to_json

ASKED = ("tools", "history")
OPTIONAL = ("intents", "slot_descriptions", "given_tool")  # what a user may add to it


def given_tools(samples: Sequence[Sample]) -> list[str | None] | None:
    """The tool each request names, None where none of them names one."""
    named = [sample.given_tool for sample in samples]
    return named if any(name is not None for name in named) else None


def request_of(sample: Sample) -> dict[str, Any]:
    """{"tools", "history"} of a sample, as `read_request` reads them."""
    line = sample_to_json(sample)
    return {key: line[key] for key in ASKED}
