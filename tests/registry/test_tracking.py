"""Runs, curves and orphans against a real MLflow store on SQLite."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.errors import EquipoiseError, Exit
from components.registry import curves as forwarder
from components.registry import database, orphans, processes, tracking
from components.registry.curves import MARK, forward_curves, forward_pending, forwarding, keep_for_later, read_alarms
from components.training.curves import Curves

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield tracking.open_store(tmp_path_factory.mktemp("state"), "equipoise")


@pytest.fixture
def run(store):
    run_id = tracking.start_run(store, "train", "tool_calling", "a run", params={}, tags={})
    yield run_id
    tracking.finish_run(store, run_id)


def lines(count, start=1):
    for n in range(start, start + count):
        yield {"step": n * 20, "progress": n / 100, "terms": {"decision": {"raw": 1 / n, "share": 0.5, "n_valid": n}}}


def write(path, reports, mode="w"):
    with path.open(mode) as handle:
        for report in reports:
            handle.write(json.dumps(report) + "\n")


def history(store, run_id, key):
    return [(m.step, m.value) for m in tracking.client(store).get_metric_history(run_id, key)]


def test_run_records_what_it_was_made_of(store):
    dataset = tracking.Dataset("tool_calling", "ab" * 32, "train", "data/prepared/tool_calling", 67)
    tags = {"git_commit": "c0ffee", "data_digest": "d1", "params_digest": "p1", "flow_run": None, "seed": 3}
    params = {"training": {"epochs": 6, "ema": 0.999}, "loss": {"decision": {"weight": 1.0}}}
    run_id = tracking.start_run(store, "train", "tool_calling", "seed 3", params=params, tags=tags, datasets=[dataset])
    tracking.finish_run(store, run_id, metrics={"test": {"decision": {"accuracy": 0.5}}, "test/tool/accuracy": 0.25})
    run = tracking.client(store).get_run(run_id)
    assert run.data.params == {"training.epochs": "6", "training.ema": "0.999", "loss.decision.weight": "1.0"}
    assert run.data.metrics == {"test/decision/accuracy": 0.5, "test/tool/accuracy": 0.25}
    assert {k: run.data.tags[k] for k in ("git_commit", "data_digest", "seed", "workload")} == {
        "git_commit": "c0ffee",
        "data_digest": "d1",
        "seed": "3",
        "workload": "tool_calling",
    }
    assert "flow_run" not in run.data.tags
    assert run.info.status == "FINISHED"
    assert run.inputs.dataset_inputs[0].dataset.digest == ("ab" * 32)[:36]
    assert tracking.client(store).get_experiment(run.info.experiment_id).name == "equipoise/train"
    assert run.info.artifact_uri.startswith(store.artefacts.as_uri())


def test_more_than_a_hundred_params_and_long_values(store):
    params = {f"p{n}": "x" * 7000 if n == 0 else n for n in range(250)}
    run_id = tracking.start_run(store, "tune", "tool_calling", "many", params=params, tags={})
    tracking.finish_run(store, run_id, status="FAILED")
    run = tracking.client(store).get_run(run_id)
    assert len(run.data.params) == 250 and len(run.data.params["p0"]) == 6000
    assert run.info.status == "FAILED"


def test_child_runs_name_their_parent(store):
    parent = tracking.start_run(store, "tune", "tool_calling", "campaign", params={}, tags={})
    child = tracking.start_run(store, "tune", "tool_calling", "trial 0", params={}, tags={}, parent=parent)
    assert tracking.client(store).get_run(child).data.tags["mlflow.parentRunId"] == parent
    for run_id in (child, parent):
        tracking.finish_run(store, run_id)


def test_files_are_kept_with_the_run(store, run, tmp_path):
    (tmp_path / "plot.json").write_text("{}")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside.txt").write_text("x")
    tracking.finish_run(store, run, files=[tmp_path / "plot.json", tmp_path / "folder"])
    names = {f.path for f in tracking.client(store).list_artifacts(run)}
    assert names == {"plot.json", "inside.txt"}


def test_only_finite_numbers_become_metrics(store, run):
    tracking.log_metrics(store, run, {"good": 1, "inf": float("inf"), "nan": float("nan"), "text": "x", "none": None})
    assert tracking.client(store).get_run(run).data.metrics == {"good": 1.0}


def test_flatten_is_the_identity_on_flat_values():
    assert tracking.flatten({"a": {"b": 1, "c": {"d": 2}}, "e": 3}) == {"a.b": 1, "a.c.d": 2, "e": 3}
    assert tracking.flatten({"a/b": 1}, "/") == {"a/b": 1}


def test_curves_arrive_with_their_steps_and_names(store, run, tmp_path):
    write(tmp_path / "curves.jsonl", lines(3))
    forward_curves(store, run, tmp_path / "curves.jsonl", tmp_path / "position.json")
    assert history(store, run, "train/decision/raw") == [(20, 1.0), (40, 0.5), (60, pytest.approx(1 / 3))]
    assert history(store, run, "train/decision/n_valid") == [(20, 1), (40, 2), (60, 3)]


def test_an_unfinished_line_waits(store, run, tmp_path):
    path, position = tmp_path / "curves.jsonl", tmp_path / "position.json"
    write(path, lines(1))
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"step": 40, "x": 1')
    assert forward_curves(store, run, path, position) == len(whole)
    path.write_bytes(whole + b'{"step": 40, "x": 1}\n')
    forward_curves(store, run, path, position)
    assert history(store, run, "train/x") == [(40, 1.0)]


def test_a_line_that_is_no_report_is_named(store, run, tmp_path):
    (tmp_path / "curves.jsonl").write_text('{"step": 1}\n[1]\n')
    with pytest.raises(EquipoiseError, match=r"E_CURVES curves.jsonl line 2") as caught:
        forward_curves(store, run, tmp_path / "curves.jsonl", tmp_path / "position.json")
    assert caught.value.exit_code == Exit.BAD_DATA


@pytest.mark.parametrize("lost", ["position", "nothing", "half_sent"])
def test_curves_are_sent_exactly_once_across_a_crash(store, run, tmp_path, monkeypatch, lost):
    path, position = tmp_path / "curves.jsonl", tmp_path / "position.json"
    write(path, lines(5))
    if lost == "half_sent":  # killed after the store took the lines and before that was written down
        monkeypatch.setattr(forwarder, "write_json", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            forward_curves(store, run, path, position)
        monkeypatch.undo()
    else:
        forward_curves(store, run, path, position)
        if lost == "position":
            position.unlink()
    write(path, lines(5, start=6), "a")
    forward_curves(store, run, path, position)
    assert [step for step, _ in history(store, run, "train/decision/raw")] == [20 * n for n in range(1, 11)]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["train", "forward", "back", "forget"]), max_size=12))
def test_curves_survive_any_order_of_kills_and_resumes(store, tmp_path_factory, events):
    """Training that falls back to a checkpoint writes the same lines again; none is lost, none arrives twice."""
    run_id = tracking.start_run(store, "train", "tool_calling", "kills", params={}, tags={})
    folder = tmp_path_factory.mktemp("kills")
    path, position = folder / "curves.jsonl", folder / "position.json"
    written, furthest = 0, 0
    for event in [*events, "train", "forward"]:
        if event == "train":
            written += 3
        elif event == "back":
            written = max(0, written - 4)
        elif event == "forget":
            position.unlink(missing_ok=True)
        write(path, lines(written))
        if event == "forward":
            forward_curves(store, run_id, path, position)
            furthest = max(furthest, written)
    assert [s for s, _ in history(store, run_id, "train/decision/raw")] == [20 * n for n in range(1, furthest + 1)]
    assert [v for _, v in history(store, run_id, MARK)] == list(range(1, furthest + 1))
    tracking.finish_run(store, run_id)


def test_two_reports_at_one_step_both_arrive(store, run, tmp_path):
    write(tmp_path / "curves.jsonl", [{"step": 20, "a": 1}, {"step": 20, "validation": {"objective": 0.5}}])
    forward_curves(store, run, tmp_path / "curves.jsonl", tmp_path / "position.json")
    assert history(store, run, "validation/objective") == [(20, 0.5)]
    assert history(store, run, "train/a") == [(20, 1.0)]


def test_long_curves_need_several_batches(store, run, tmp_path):
    reports = [{"step": n, **{f"m{k}": n + k for k in range(300)}} for n in range(10)]
    write(tmp_path / "curves.jsonl", reports)
    forward_curves(store, run, tmp_path / "curves.jsonl", tmp_path / "position.json")
    assert history(store, run, "train/m299") == [(n, n + 299) for n in range(10)]


def test_forwarding_sends_the_rest_at_its_end(store, run, tmp_path):
    path = tmp_path / "curves.jsonl"
    with forwarding(store, run, path, warn=pytest.fail, seconds=0.05):
        write(path, lines(4))
    assert len(history(store, run, "train/decision/raw")) == 4


def test_an_earlier_trainings_curves_are_not_taken_for_this_ones(store, run, tmp_path):
    """The old file is there until training empties it; its lines must not count as sent."""
    path = tmp_path / "curves.jsonl"
    write(path, [{"step": n, "old": n} for n in range(50)])
    with forwarding(store, run, path, warn=pytest.fail, seconds=0.02):
        time.sleep(0.2)
        assert tracking.client(store).get_run(run).data.metrics == {}
        write(path, [])
        write(path, lines(3), "a")
    assert history(store, run, "train/old") == []
    assert len(history(store, run, "train/decision/raw")) == 3


def test_curves_of_a_training_that_had_nothing_to_do_are_sent(store, run, tmp_path):
    write(tmp_path / "curves.jsonl", lines(3))
    with forwarding(store, run, tmp_path / "curves.jsonl", warn=pytest.fail, seconds=0.02):
        pass
    assert len(history(store, run, "train/decision/raw")) == 3


def test_the_lines_that_training_writes_arrive(store, run, tmp_path):
    """The writer itself, a resume that cuts the file back included."""
    written = Curves(tmp_path / "curves.jsonl", writes=True)
    written.start()
    reports = list(lines(4))
    written.append(reports[0] | {"loss": 0.5, "gradient_norm": 2.0, "epoch": 1})
    mark = written.mark()
    written.append(reports[1])
    forward_curves(store, run, written.path, tmp_path / "position.json")
    assert written.can_return_to(mark)
    written.return_to(mark)
    for report in reports[1:]:
        written.append(report)
    written.append({"step": 80, "validation": {"objective": 0.75, "decision/accuracy": 0.5}})
    forward_curves(store, run, written.path, tmp_path / "position.json")
    assert [step for step, _ in history(store, run, "train/decision/raw")] == [20, 40, 60, 80]
    assert history(store, run, "train/loss") == [(20, 0.5)]
    assert history(store, run, "validation/objective") == [(80, 0.75)]
    assert history(store, run, "validation/decision/accuracy") == [(80, 0.5)]


def test_a_lost_server_stops_nothing_and_loses_nothing(store, run, tmp_path):
    """The block goes on, one warning is given, and the kept lines reach the run once the store is back."""
    away = tracking.Store("equipoise", store.state, "http://127.0.0.1:9", None)
    path, warnings = tmp_path / "curves.jsonl", []
    write(path, lines(4))
    with forwarding(away, run, path, warn=warnings.append, seconds=0.05):
        write(path, lines(2, start=5), "a")
    assert len(warnings) == 1 and "E_TRACKING" in warnings[0]
    assert forward_pending(store) == [run]
    assert len(history(store, run, "train/decision/raw")) == 6
    assert forward_pending(store) == []


def test_pending_curves_do_not_repeat_what_arrived(store, run, tmp_path):
    path = tmp_path / "curves.jsonl"
    write(path, lines(3))
    forward_curves(store, run, path, tmp_path / "position.json")
    write(path, lines(2, start=4), "a")
    keep_for_later(store, run, path, "FAILED")
    forward_pending(store)
    assert len(history(store, run, "train/decision/raw")) == 5
    assert tracking.client(store).get_run(run).info.status == "FAILED"


def test_the_run_of_a_killed_process_is_closed(store):
    """A real process opens a run and is killed; runs of living processes and of other hosts stay open."""
    program = textwrap.dedent(
        """
        import signal, sys
        from pathlib import Path
        from components.registry import tracking
        store = tracking.open_store(Path(sys.argv[1]), "equipoise")
        print(tracking.start_run(store, "evaluate", "tool_calling", "doomed", params={}, tags={}), flush=True)
        signal.pause()
        """
    )
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"} | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program, str(store.state)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    doomed = process.stdout.readline().strip()
    ours = tracking.start_run(store, "train", "tool_calling", "ours", params={}, tags={})
    elsewhere = tracking.start_run(store, "train", "tool_calling", "elsewhere", params={}, tags={})
    tracking.client(store).set_tag(elsewhere, processes.HOST, "another-machine")
    tracking.client(store).set_tag(elsewhere, processes.PROCESS, "999999999")
    assert doomed not in orphans.close_orphans(store)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert orphans.close_orphans(store) == [doomed]
    status = {r: tracking.client(store).get_run(r).info.status for r in (doomed, ours, elsewhere)}
    assert status == {doomed: "KILLED", ours: "RUNNING", elsewhere: "RUNNING"}
    for run_id in (ours, elsewhere):
        tracking.finish_run(store, run_id)


@pytest.mark.parametrize(
    ("change", "orphan"),
    [
        ({}, False),
        ({processes.BOOT: "an earlier boot"}, True),
        ({processes.STARTED: "1"}, True),
        ({processes.PROCESS: "999999999"}, True),
        ({processes.HOST: "elsewhere", processes.PROCESS: "999999999"}, False),
    ],
    ids=["alive", "machine restarted", "number used again", "gone", "another host"],
)
def test_who_is_an_orphan(change, orphan):
    assert processes.gone(processes.identity() | change) is orphan


def test_a_run_without_our_tags_is_not_ours_to_close():
    assert processes.gone({processes.HOST: socket.gethostname()}) is False


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("file:./mlruns", "file:./mlruns"),
        ("databricks", "databricks"),
        ("ftp://user:secret@host/x", "host/x"),
    ],
)
def test_addresses_that_hold_no_runs(tmp_path, monkeypatch, uri, shown):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(EquipoiseError) as caught:
        tracking.open_store(tmp_path, "equipoise")
    assert caught.value.exit_code == Exit.CONFIGURATION
    assert shown in str(caught.value) and "secret" not in str(caught.value)


def test_a_server_that_is_not_there_is_said_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    with pytest.raises(EquipoiseError, match=r"E_TRACKING MLflow at http://127\.0\.0\.1:9") as caught:
        tracking.client(tracking.open_store(tmp_path, "equipoise"))
    assert caught.value.exit_code == Exit.SERVICE_UNAVAILABLE
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("answer", [b"<html>hello</html>", b"1.30.0", b""], ids=["html", "old", "empty"])
def test_a_server_that_is_no_mlflow(tmp_path, monkeypatch, answer):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            return None

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(EquipoiseError, match="must be MLflow 3") as caught:
            tracking.client(tracking.open_store(tmp_path, "equipoise"))
        assert caught.value.exit_code == Exit.SERVICE_UNAVAILABLE
    finally:
        server.shutdown()
        server.server_close()


def test_a_state_folder_that_cannot_be_a_database_address(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(EquipoiseError, match="E_TRACKING_URI"):
        tracking.open_store(tmp_path / "what?", "equipoise")


def test_a_database_of_another_mlflow_is_not_touched(tmp_path, monkeypatch):
    import sqlite3
    from contextlib import closing

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    store = tracking.open_store(tmp_path, "equipoise")
    database.ensure_database(tmp_path / "mlflow.db", tmp_path)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'another'")
    with pytest.raises(EquipoiseError, match="mlflow db upgrade") as caught:
        tracking.client(store)
    assert caught.value.exit_code == Exit.CONFIGURATION and "\n" not in str(caught.value)


def test_many_processes_may_make_the_database_at_once(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: database.ensure_database(tmp_path / "mlflow.db", tmp_path), range(16)))
    assert database._revision(tmp_path / "mlflow.db") is not None
    assert [p.name for p in tmp_path.iterdir() if ".part" in p.name] == []


def test_a_damaged_template_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))
    template = database.ensure_template(tmp_path / "cache")
    template.write_bytes(template.read_bytes()[:10_000])
    database.ensure_database(tmp_path / "state" / "mlflow.db", tmp_path / "state")
    assert database._revision(tmp_path / "state" / "mlflow.db") is not None
    assert sorted(p.suffix for p in (tmp_path / "cache").iterdir()) == [".db", ".lock"]


def test_the_cache_without_a_home_is_in_the_state(tmp_path, monkeypatch):
    for name in ("EQUIPOISE_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    assert database.cache_folder(tmp_path) == tmp_path / "cache"


def test_experiments_made_at_the_same_time_are_one(store):
    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(lambda _: tracking.experiment_id(store, "evaluate"), range(8)))
    assert len(ids) == 1


def test_importing_tracking_is_light():
    program = "import sys, components.registry.tracking, components.registry.curves; print('mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_nothing_is_reported_home(store):
    tracking.client(store)
    from mlflow.telemetry.client import get_telemetry_client
    from mlflow.telemetry.utils import is_telemetry_disabled

    assert is_telemetry_disabled() and get_telemetry_client() is None
    assert os.environ["MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"] == "false"


def alarm(rule, subject, step=40):
    text = {"message": f"{subject} is {rule}", "causes": ["a cause"], "remedies": ["a remedy"]}
    return {"rule": rule, "subject": subject, "step": step, "value": 0.5, **text}


def alarms_of(store, run_id):
    tags = tracking.client(store).get_run(run_id).data.tags
    return {key: value for key, value in tags.items() if key.startswith("alarm.")}


def test_alarms_stay_with_the_run(store, run, tmp_path):
    path, position = tmp_path / "curves.jsonl", tmp_path / "position.json"
    first, second = list(lines(2))
    write(path, [first | {"alarms": [alarm("dead", "q")]}])
    forward_curves(store, run, path, position)
    assert alarms_of(store, run) == {"alarm.dead.q": "q is dead"}
    write(path, [second | {"alarms": [alarm("stuck", "encoder/x"), alarm("growing", "loss")]}, *lines(1, start=3)], "a")
    forward_curves(store, run, path, position)
    expected = {"alarm.dead.q", "alarm.stuck.encoder/x", "alarm.growing.loss"}
    assert set(alarms_of(store, run)) == expected
    kept = tracking.client(store).download_artifacts(run, "alarms.json", str(tmp_path))
    assert json.loads(Path(kept).read_text())["alarms"] == read_alarms(path)
    assert [row["rule"] for row in read_alarms(path)] == ["dead", "stuck", "growing"]
    assert history(store, run, "train/decision/raw") == [(20, 1.0), (40, 0.5), (60, pytest.approx(1 / 3))]


def test_alarms_survive_a_crash_before_their_line_counts_as_sent(store, run, tmp_path, monkeypatch):
    path, position = tmp_path / "curves.jsonl", tmp_path / "position.json"
    write(path, [line | {"alarms": [alarm("dead", "q")]} for line in lines(1)])
    monkeypatch.setattr(forwarder, "send_metrics", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        forward_curves(store, run, path, position)
    monkeypatch.undo()
    forward_curves(store, run, path, position)
    assert alarms_of(store, run) == {"alarm.dead.q": "q is dead"}
    assert history(store, run, "train/decision/raw") == [(20, 1.0)]


def test_weights_and_gradients_are_charted(store, run, tmp_path):
    terms = {"decision": {"raw": 0.5, "weight": 0.25, "share": 0.125, "n_valid": 3}}
    panel = {"decision": {"norm": 2.0, "share": 1.0}}
    conflict = {"cosines": {"decision": {"tool": -0.5}}, "effective_terms": 1.5}
    write(tmp_path / "curves.jsonl", [{"step": 20, "terms": terms, "gradients": panel, **conflict}])
    forward_curves(store, run, tmp_path / "curves.jsonl", tmp_path / "position.json")
    assert history(store, run, "train/cosines/decision/tool") == [(20, -0.5)]
    assert history(store, run, "train/effective_terms") == [(20, 1.5)]
    assert history(store, run, "train/decision/weight") == [(20, 0.25)]
    assert history(store, run, "train/gradients/decision/norm") == [(20, 2.0)]


def test_no_curves_no_alarms_and_an_unfinished_line_waits(tmp_path):
    path = tmp_path / "curves.jsonl"
    assert read_alarms(path) == []
    whole = json.dumps({"step": 1, "alarms": [alarm("dead", "q")]})
    path.write_text(whole)
    assert read_alarms(path) == []
    path.write_text(whole + "\n" + whole[:40])
    assert read_alarms(path) == [alarm("dead", "q")]


@pytest.mark.parametrize(
    "line",
    ['{"step": 1, "alarms": [', '{"alarms": [1]}', '{"alarms": 1}', '{"alarms": [{"rule": "dead"}]}', '["alarms"]'],
)
def test_a_damaged_alarm_is_named(tmp_path, line):
    (tmp_path / "curves.jsonl").write_text('{"step": 1}\n' + line + "\n")
    with pytest.raises(EquipoiseError, match=r"E_CURVES curves.jsonl line 2") as caught:
        read_alarms(tmp_path / "curves.jsonl")
    assert caught.value.exit_code == Exit.BAD_DATA
