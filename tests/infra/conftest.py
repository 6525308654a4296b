"""The servers of the compose file, started once for every test that asks for them: coming up costs minutes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.infra.stack import Stack, servers

TOOL = {"name": "clock.set", "description": "Sets an alarm", "parameters": {"time": "when it rings"}}
ASKED = {"tools": [TOOL], "history": [{"role": "user", "content": "wake me at 7:30 please"}]}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All servers with their accounts, buckets and deployments, and a project with a request in asked.jsonl."""
    made = Stack(tmp_path_factory.mktemp("stack"))
    with servers(made):
        made.prepare()
        (made.project / "asked.jsonl").write_text(json.dumps(ASKED) + "\n")
        yield made
