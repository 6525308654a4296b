"""`make ui`: MLflow's and Prefect's pages of this project on loopback, until ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from flows import terminal
from flows.scheduling import HOST, server
from flows.state import Place, make_state, place

MLFLOW_PORT, PREFECT_PORT = 5000, 4200


def main() -> int:
    """Serves both until either ends or ctrl-C."""
    where = place(None, None)
    make_state(where)
    with server(where, PREFECT_PORT) as prefect:
        child = subprocess.Popen(mlflow_command(where), cwd=where.state, start_new_session=True)
        terminal.say(
            f"MLflow http://{HOST}:{MLFLOW_PORT}   Prefect {prefect.removesuffix('/api')}   (ctrl-C stops both)"
        )
        try:
            return child.wait()
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGTERM)
                child.wait(20)


def mlflow_command(where: Place) -> list[str]:
    """MLflow's server over the embedded database and artefacts."""
    from components.registry.tracking import client, open_store

    store = open_store(where.state, where.config().project)
    client(store)  # makes the database where there is none
    arguments = ["--backend-store-uri", store.uri, "--host", HOST, "--port", str(MLFLOW_PORT), "--workers", "1"]
    if store.artefacts is not None:
        arguments += ["--default-artifact-root", str(store.artefacts)]
    return [sys.executable, "-m", "mlflow", "server", *arguments]


if __name__ == "__main__":
    sys.exit(terminal.guarded(main, sys.argv[1:]))
