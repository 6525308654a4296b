"""`python -m flows.prefect_child FD`: Prefect's API on a socket that already listens, for one process and its life.

Prefect starts such a server by itself where no address is named, but as a plain child: it would outlive a flow that is
killed. Nothing is lost by waiting on the socket: a question asked early is answered when the API is up.
"""

from __future__ import annotations

import socket
import sys

import uvicorn
from prefect.server.api.server import create_app


def main(descriptor: int) -> None:
    """Serves until SIGTERM, without pages and without the services of a server that stays."""
    listening = socket.socket(fileno=descriptor)
    app = create_app(ephemeral=True, final=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on")).run(sockets=[listening])


if __name__ == "__main__":
    main(int(sys.argv[1]))
