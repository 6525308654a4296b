"""P10: what tracking and orchestration cost beside a 60 s training, in CPU time; goal: at most 3%.

Tracking: a run is opened, the curves of 60 s are forwarded in polls as `forwarding` does, the run is closed. Against it
stands MLflow's plain call, one `log_metric` a value. Both must leave the same history. Orchestration: a Prefect flow of
five tasks, the shape of `retrain`, counted in this process after its first run. Imports and the first call of each are
apart, as everywhere here.

`python -m benchmarks.p10_tracking_share`
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

from benchmarks.harness import Result, alternate, report

TRAINING_SECONDS = 60.0
REPORTS = 120  # two a second; report_every: 20 gives fewer
POLLS = 20  # 60 s at one in three seconds
TERMS = ("decision", "tool", "intent", "q", "slot_span", "arg_span", "content")
STAGES = 5


def curves() -> list[dict]:
    """The lines that a training with seven terms writes in a minute."""
    return [
        {
            "step": 20 * n,
            "progress": n / REPORTS,
            "loss": 1.0 / n,
            "terms": {name: {"raw": k / n, "share": 0.5 * k / n, "n_valid": 256} for k, name in enumerate(TERMS)},
        }
        for n in range(1, REPORTS + 1)
    ]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="equipoise-p10-") as scratch:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        ours, theirs, values = tracking(Path(scratch))
        flow = orchestration(Path(scratch))
    share = (ours.median + flow.median) / TRAINING_SECONDS
    report(
        Result(
            "P10 tracking and orchestration of a 60 s training",
            theirs.median / ours.median,
            "share <= 0.03",
            share <= 0.03,
            ours.median,
            theirs.median,
            "CPU s of tracking",
            f"{values} values; theirs: one log_metric a value",
            {
                "share": share,
                "orchestration": flow.median,
                "first": ours.first,
                "first_orchestration": flow.first,
            },
        )
    )


def tracking(scratch: Path):
    """(ours, theirs, values a run)."""
    from components.registry.curves import forward_curves
    from components.registry.tracking import client, finish_run, flatten, open_store, start_run

    store, lines, runs = open_store(scratch, "bench"), curves(), {"ours": "", "theirs": ""}
    texts = [json.dumps(line) + "\n" for line in lines]

    def ours() -> None:
        run_id = runs["ours"] = start_run(store, "train", "tool_calling", "ours", params={"seed": 1}, tags={})
        path = scratch / f"{run_id}.jsonl"
        for low in range(0, REPORTS, REPORTS // POLLS):
            with path.open("a") as handle:
                handle.writelines(texts[low : low + REPORTS // POLLS])
            forward_curves(store, run_id, path, scratch / f"{run_id}.json")
        finish_run(store, run_id)

    def theirs() -> None:
        run_id = runs["theirs"] = start_run(store, "train", "tool_calling", "theirs", params={"seed": 1}, tags={})
        for line in lines:
            values = {"train": {k: v for k, v in line.items() if k not in ("step", "terms")} | line["terms"]}
            for key, value in flatten(values, "/").items():
                client(store).log_metric(run_id, key, value, timestamp=int(time.time() * 1000), step=line["step"])
        finish_run(store, run_id)

    timings = alternate(ours, theirs, rounds=5)
    keys = sorted(client(store).get_run(runs["theirs"]).data.metrics)
    for key in keys:
        one, other = (client(store).get_metric_history(runs[side], key) for side in ("ours", "theirs"))
        assert [(m.step, m.value) for m in one] == [(m.step, m.value) for m in other], key
    return timings[0], timings[1], len(keys) * REPORTS


def orchestration(scratch: Path):
    """CPU of this process for one flow run of five tasks that do nothing themselves."""
    os.environ["PREFECT_HOME"] = str(scratch / "prefect")
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    os.environ["PREFECT_LOGGING_LEVEL"] = "ERROR"
    from prefect import flow, task
    from prefect.testing.utilities import prefect_test_harness

    @task
    def stage(number: int) -> int:
        return number

    @flow
    def cycle() -> int:
        return sum(stage(number) for number in range(STAGES))

    def run() -> None:
        assert cycle() == sum(range(STAGES))

    with prefect_test_harness(server_startup_timeout=300):
        return alternate(run, rounds=5)[0]


if __name__ == "__main__":
    main()
