"""What a schedule's hour does under each policy, with real ledger, registry and data; and whom it tells."""

import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import get_args

import polars as pl
import pytest

from components.config_edit import edit
from components.config_parts import ScheduleConfig
from components.errors import EquipoiseError, misconfigured
from flows import judging, notifying, policies, provenance, registration
from flows.state import Place
from tests.flows.projects import real_project

W = "tool_calling"


def quiet(_line):
    pass


@pytest.fixture
def own(fitted, tmp_path):
    """The fitted project's files under parameters and a state folder of this test alone."""
    project = real_project(tmp_path / "project")
    for name in ("data", "evaluation"):
        (project / name).symlink_to(fitted.project / name)
    return Place(project, tmp_path / "state")


@pytest.fixture
def served(own):
    """The project with its baseline as champion."""
    with registration.desk(own, W, "tester", quiet) as at:
        judging.first_champion(at)
    return own


def policy(place, name, *more):
    edit(place.params, W, [f"schedule.policy={name}", *more])


def answer(place, rule):
    with registration.desk(place, W, "tester", quiet) as at:
        return rule(at, at.ledger.champion(W))


def test_without_a_champion_every_policy_retrains(own):
    policy(own, "age")
    assert policies.wait(own, W, quiet) is None


def test_every_policy_of_the_configuration_has_a_rule():
    assert set(policies.POLICIES) == set(get_args(ScheduleConfig.model_fields["policy"].annotation))


def test_a_baseline_has_no_age_a_trained_version_has(served, monkeypatch):
    assert answer(served, policies.age) == (True, "nothing has been trained yet")
    with registration.desk(served, W, "tester", quiet) as at:
        details = {"data_digest": "d", "artefact_digest": "a", "model_digest": "m"}
        at.ledger.append_register(W, 2, actor="t", key="register/2", details=details, reason="trained by the flow")
    policy(served, "age", "schedule.age_days=30")
    waits = policies.wait(served, W, quiet)
    assert waits is not None and waits["decision"] == "UNCHANGED"
    assert waits["reason"] == "nothing to do: the newest trained version is 0.0 days old, the limit is 30"

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(days=31)

    monkeypatch.setattr(policies, "datetime", Later)
    assert policies.wait(served, W, quiet) is None
    assert datetime.now(UTC).year >= 2026


def test_drift_is_measured_against_what_was_answered_when_judged(served, monkeypatch):
    monkeypatch.setattr(policies, "bring_up_to_date", lambda *_: None)  # the data lie there prepared
    due, why = answer(served, policies.drift)
    assert due and why == "no answers of version 1 are kept to compare with"
    with registration.desk(served, W, "tester", quiet) as at:
        table = judging.score(at, 1)
    digest = provenance.evaluation_digest(served, W)
    kept = served.first_scores(W, 1, digest)
    assert pl.read_parquet(kept).equals(table)
    due, why = answer(served, policies.drift)
    assert not due and why == "the test split is the one that version 1 was judged on"

    other = kept.with_name(f"1-{'0' * 64}.parquet")
    kept.rename(other)
    assert answer(served, policies.drift)[0] is False and not kept.exists()  # equal answers, on another split
    table.with_columns(messages=pl.col("messages") + 9).write_parquet(other)
    edit(served.params, W, ["schedule.drift.alpha=0.2"])
    due, why = answer(served, policies.drift)
    assert due and why.startswith("drift in ") and "messages" in why


@contextmanager
def listening(status=200):
    """A webhook on loopback and what it was told."""
    heard = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, format, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/secret-path", heard
        finally:
            server.shutdown()
            thread.join()


OUTCOME = {"decision": "HOLD", "version": 3, "champion": 2, "reason": "undecided", "heads": [], "stages": {}}


def test_the_webhook_hears_how_a_scheduled_run_ended(monkeypatch):
    with listening() as (address, heard):
        monkeypatch.setenv(notifying.VARIABLE, address)
        with notifying.told(W, True, quiet) as tell:
            assert tell(OUTCOME) is OUTCOME
        with notifying.told(W, False, quiet) as tell:  # a person is looking
            tell(OUTCOME)
        with pytest.raises(EquipoiseError), notifying.told(W, True, quiet):
            raise misconfigured("params.yaml", "must be so", got="not", hint="Mend it")
        with pytest.raises(ZeroDivisionError), notifying.told(W, True, quiet):
            raise ZeroDivisionError("over\nnothing")
        with pytest.raises(ZeroDivisionError), notifying.told(W, False, quiet):
            raise ZeroDivisionError
    assert heard[0] == {"workload": W, "decision": "HOLD", "version": 3, "champion": 2, "reason": "undecided"}
    assert [each["decision"] for each in heard] == ["HOLD", "ERROR", "ERROR"] and heard[1]["code"] == "E_CONFIG"
    assert heard[2]["code"] == "E_INTERNAL" and heard[2]["reason"] == "ZeroDivisionError: over\\nnothing"


def test_a_webhook_that_fails_is_said_without_its_path(monkeypatch):
    lines = []
    with listening(status=500) as (address, _):
        monkeypatch.setenv(notifying.VARIABLE, address)
        with notifying.told(W, True, lines.append) as tell:
            tell(OUTCOME)
    with notifying.told(W, True, lines.append) as tell:  # nobody listens there any more
        tell(OUTCOME)
    assert len(lines) == 2 and all(line.startswith("the webhook at 127.0.0.1 was not told") for line in lines)
    assert "secret-path" not in " ".join(lines)


def test_an_address_that_is_none_is_refused_before_any_work(monkeypatch):
    monkeypatch.setenv(notifying.VARIABLE, "file:///etc/passwd")
    with (
        pytest.raises(EquipoiseError, match="E_CONFIG EQUIPOISE_WEBHOOK: must be an http") as refused,
        notifying.told(W, True, quiet),
    ):
        pytest.fail("the block must not run")
    assert refused.value.exit_code == 78 and "passwd" not in str(refused.value)
