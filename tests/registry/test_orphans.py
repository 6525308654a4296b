"""What a process leaves in the tracking store when it is killed while it packages a model."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from components.registry import orphans, tracking
from flows.leftovers import QUIET_SECONDS, leftovers, remove
from flows.state import Place

ROOT = Path(__file__).parents[2]
PROGRAM = """
    import json, signal, sys
    from pathlib import Path
    from components.registry import packaging, tracking
    store = tracking.open_store(Path(sys.argv[1]), "equipoise")
    run = tracking.start_run(store, "train", "tool_calling", "doomed", params={}, tags={})
    def pause(folder):
        print(run, flush=True)
        signal.pause()
    packaging.artefacts.write_manifest = pause
    packaging.log_model(store, run, Path(sys.argv[2]), "tool_calling", examples=json.loads(sys.argv[3]))
"""


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tracking.open_store(tmp_path / "state", "equipoise")


def test_a_packaging_that_was_killed_is_closed_and_its_folder_is_found(store, model_folder, requests):
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(store.state), str(model_folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([*command, json.dumps(requests[:1])], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    run = process.stdout.readline().strip()
    place, later = Place(store.state.parent, store.state), time.time() + 2 * QUIET_SECONDS
    assert leftovers(place, later) == [], "somebody is at work there"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()

    client = tracking.client(store)
    experiment = client.get_run(run).info.experiment_id
    assert [model.status for model in client.search_logged_models([experiment])] == ["PENDING"]
    assert orphans.close_orphans(store) == [run]
    assert [model.status for model in client.search_logged_models([experiment])] == ["FAILED"]

    (left,) = leftovers(place, later)
    assert left.parent == store.state and (left / "artefact").is_dir()
    assert remove(left) and leftovers(place, later) == []
