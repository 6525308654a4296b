"""A Prefect server that is healthy and still refuses, or fails: doctor tells it in a line."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.doctor import run
from flows.state import make_state


@contextmanager
def answering(status: int) -> Iterator[str]:
    """The address of a server that calls itself healthy and answers everything else with one status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            healthy = self.path.endswith("/health")
            self.send_response(200 if healthy else status)
            self.end_headers()
            self.wfile.write(b"true" if healthy else b"{}")

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Prints nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/api"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("status", "hint"), [(401, "PREFECT_API_AUTH_STRING"), (500, "database")])
def test_a_server_that_refuses_or_fails_is_a_finding(plain, monkeypatch, status, hint):
    make_state(plain)
    with answering(status) as address, temporary_settings({PREFECT_API_URL: address}):  # read at import, once
        monkeypatch.setenv("PREFECT_API_URL", address)
        (found,) = run(plain, True, lambda line: None)["findings"]
    assert (found["code"], found["place"], found["fixed"]) == ("E_PREFECT", address, False)
    assert f"status {status}" in found["got"] and hint in found["hint"]
