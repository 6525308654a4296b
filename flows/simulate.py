"""`equipoise simulate`: the workload's own history through retraining policies, with real trainings.

Every decision day is prepared and trained by the functions that the stages call, as if the data ended there; a model's
scores on all that follows are kept under the fingerprint of its training, so policies and reruns share trainings.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from components import threads
from components.errors import EquipoiseError, Exit, bad_data, misconfigured
from components.evaluation import policy_replay
from components.evaluation.drift import compare
from components.evaluation.policy_picture import draw_policies
from components.evaluation.policy_replay import Answers, Day, Judged, Replay, Rule
from components.evaluation.statistics import Interval
from components.files import write_atomically, write_json
from components.workload import Workload, workload
from flows import policies, present
from flows.single import up_to
from flows.state import Place, exclusive, make_state

NEVER = "never"  # trains on the first day alone: what every policy is compared with
NAMES = (NEVER, "always", "new_data", "age", "drift")
KNOWN_SHARE = 0.4  # of the days before the hold-out: what is known on the first day
VALIDATION, TEST = "validation", "test"

Say = Callable[[str], object]


@dataclass(frozen=True)
class Settings:
    """What is asked: policies as typed, first day and the day before which it ends (None: by the data), days between
    decisions, epochs of each training at most (None: as configured), and a gate head as head/metric (None: the first
    primary one)."""

    policies: tuple[str, ...]
    first: Day | None = None
    until: Day | None = None
    every: int = 91
    epochs: int | None = None
    metric: str | None = None


def run(place: Place, name: str, settings: Settings, say: Say) -> dict[str, Any]:
    """Prepares the workload, replays its history through the policies, and keeps report and picture in the state.

    Returns:
        {"workload", "metric", "first", "until", "every", "samples", "policies": [{"policy", "score", "difference" to
        never, "trainings", "cpu_seconds", "staleness_days", "decisions"}], "files"}.

    Raises:
        EquipoiseError: E_NOT_DATED (78) where samples have no date, E_POLICY, E_METRIC (2), E_DAYS (65) where no
            decision can be made, and what preparing and training raise.
    """
    make_state(place)
    section = getattr(place.config(), name)
    threads.as_recorded(section)
    _parsed(settings.policies)
    head = _head(section, settings.metric)
    record = workload(name)
    if record.dated is None:
        hint = "Give its record `dated`, as that of trading has it"
        rule = "samples must have a date for history to be replayed"
        raise misconfigured(name, rule, got="none", hint=hint, code="NOT_DATED")
    up_to(place, name, "prepare", say)
    folder = place.state / "simulated" / name
    with exclusive(place, f"{name}-simulate"), contextlib.chdir(place.project):
        first, until = _span(record, place.prepared(name), settings, name)
        learner = History(record, _budget(section, settings.epochs), f"{head.head}/{head.metric}", until, folder, say)
        days = policy_replay.decision_days(first, until, settings.every)
        replays = []
        for policy, rule in _rules(settings.policies, section, learner).items():
            say(f"policy {policy}: {len(days)} decisions from {first}")
            replays.append(policy_replay.replay(policy, rule, days, until, learner))
        judged = policy_replay.judge(
            replays, record.dated.overlap(section), section.evaluation.resamples, section.evaluation.confidence,
            section.evaluation.seed,
        )  # fmt: skip
        picture = folder / "policies.png"
        draw_policies(replays, days, until, learner.metric, picture)
    document = {
        "workload": name,
        "metric": learner.metric,
        "direction": head.direction,
        "first": str(first),
        "until": str(until),
        "every": settings.every,
        "samples": len(replays[0].answers.days),
        "policies": [_row(each, verdict) for each, verdict in zip(replays, judged, strict=True)],
        "files": {"report": str(folder / "report.json"), "picture": str(picture)},
    }
    write_json(folder / "report.json", document)
    return document


class History:
    """A learner over a workload's dated data; see `policy_replay.Learner`."""

    def __init__(self, record: Workload, section: Any, metric: str, until: Day, folder: Path, say: Say) -> None:
        self.metric = metric
        self._record, self._section, self._until, self._folder, self._say = record, section, until, folder, say
        self._known: dict[Day, tuple[pl.DataFrame, float]] = {}

    def train(self, day: Day) -> float:
        """Processor seconds of training on what was known on `day`; they are those of the first time."""
        return self._made(day)[1]

    def answers(self, trained: Day, since: Day, until: Day) -> Answers:
        """Scores of the model of that day over `since` <= date < `until`."""
        part = self.table(trained, since, until)
        hit, of = (part[f"{self.metric}/{kind}"].cast(pl.Float64).to_numpy() for kind in ("hit", "of"))
        return Answers(part["date"].to_numpy().astype("datetime64[D]"), hit, of)

    def table(self, trained: Day, since: Day, until: Day) -> pl.DataFrame:
        """The table of scores of those samples."""
        low, high = since.astype(object), until.astype(object)
        return self._made(trained)[0].filter(pl.col("date") >= low, pl.col("date") < high)

    def reference(self, trained: Day) -> pl.DataFrame:
        """The table of scores of what the model was validated on: what its later answers are compared with."""
        return self._made(trained)[0].filter(pl.col("split") == VALIDATION)

    def _made(self, day: Day) -> tuple[pl.DataFrame, float]:
        if day not in self._known:
            self._known[day] = self._trained(day)
        return self._known[day]

    def _trained(self, day: Day) -> tuple[pl.DataFrame, float]:
        """Prepares as of that day; trains, or goes on where it stopped, and scores, unless that was done before."""
        from components.training.fingerprint import fingerprint
        from components.training.loop import train

        assert self._record.dated is not None
        section, work = self._record.dated.as_of(self._section, day), self._folder / f"work-{day}"
        prepared, checkpoint = work / "prepared", work / "checkpoint"
        shutil.rmtree(prepared, ignore_errors=True)
        self._record.prepare(section, prepared)
        digest = fingerprint(self._record.name, section, prepared, self._record.beside(section, prepared))[:32]
        kept = self._folder / f"{day}-{self._until}-{digest}.parquet"
        seconds = kept.with_suffix(".json")
        if not (kept.is_file() and seconds.is_file()):
            self._say(f"training as of {day}")
            began = time.process_time()
            train(self._record, section, prepared, checkpoint)
            spent = time.process_time() - began
            table = self._scored(prepared, checkpoint)
            write_atomically(kept, table.write_parquet)
            write_json(seconds, {"cpu_seconds": round(spent, 3)})
        shutil.rmtree(work)
        return pl.read_parquet(kept), json.loads(seconds.read_text("utf-8"))["cpu_seconds"]

    def _scored(self, prepared: Path, checkpoint: Path) -> pl.DataFrame:
        """Scores of the validation split and of all that follows before `until`, with `split` and `date`."""
        predictor, parts = self._record.load(checkpoint), []
        for split in (VALIDATION, TEST):
            samples = [s for s in self._record.samples(prepared, split) if s.date < self._until]
            if samples:
                table = self._record.score(samples, predictor.predict(samples))
                dates = pl.Series("date", [sample.date.astype(object) for sample in samples], pl.Date)
                parts.append(table.with_columns(dates, split=pl.lit(split)))
        return pl.concat(parts)


def text(document: dict[str, Any]) -> str:
    """The document for people: a row a policy."""
    head = ["policy", document["metric"], "interval", "beyond never", "interval", "trainings", "CPU s", "days old"]
    rows = []
    for each in document["policies"]:
        difference = each["difference"]
        beyond = [f"{difference['value']:+.4f}", _ends(difference, "+")] if difference else ["", ""]
        rows.append(
            [each["policy"], f"{each['score']['value']:.4f}", _ends(each["score"]), *beyond, each["trainings"],
             f"{each['cpu_seconds']:.1f}", f"{each['staleness_days']:.0f}"]
        )  # fmt: skip
    opening = (
        f"{document['workload']}: {document['samples']} samples from {document['first']} to before "
        f"{document['until']}, asked every {document['every']} days"
    )
    return "\n".join([opening, *present.table([head, *rows]), f"picture: {document['files']['picture']}"])


def _ends(interval: dict[str, Any], sign: str = "") -> str:
    if interval["low"] is None or interval["high"] is None:
        return "unknown"
    return f"{interval['low']:{sign}.4f} to {interval['high']:{sign}.4f}"


def _row(each: Replay, verdict: Judged) -> dict[str, Any]:
    return {
        "policy": each.policy,
        "score": verdict.score.document(),
        "difference": _document(verdict.difference),
        "trainings": each.trainings,
        "cpu_seconds": round(each.cpu_seconds, 3),
        "staleness_days": round(float(each.ages.mean()), 2),
        "decisions": [{"day": str(d.day), "retrained": bool(d.retrained), "why": d.why} for d in each.decisions],
    }


def _document(interval: Interval | None) -> dict[str, Any] | None:
    return None if interval is None else interval.document()


def _rules(named: Sequence[str], section: Any, learner: History) -> dict[str, Rule]:
    """The policies of `flows/policies.py` as questions about a day in the past, the control first."""
    schedule, cluster = section.schedule, section.gate.cluster

    def new_data(today: Day, newest: Day) -> tuple[bool, str]:
        count = learner.table(newest, newest, today).height
        return count > 0, f"{count} samples came since"

    def drift(today: Day, newest: Day) -> tuple[bool, str]:
        since = learner.table(newest, newest, today).drop("date", "split")
        if since.is_empty():
            return False, "no samples came since"
        found = compare(learner.reference(newest), since, cluster, schedule.drift.alpha, schedule.drift.effect)
        return bool(found.drifted), found.sentence

    def age(limit: float) -> Rule:
        return lambda today, newest: policies.aged(float((today - newest) / np.timedelta64(1, "D")), limit)

    simple: dict[str, Rule] = {
        NEVER: lambda today, newest: (False, "the first training serves on"),
        "always": lambda today, newest: (True, "as on every day of the schedule"),
        "new_data": new_data,
        "drift": drift,
    }
    asked = {NEVER: None, **_parsed(named)}
    return {
        text: simple[text] if text in simple else age(schedule.age_days if limit is None else limit)
        for text, limit in asked.items()
    }


def _parsed(named: Sequence[str]) -> dict[str, float | None]:
    """Each policy as typed, and the days of `age:DAYS`."""
    found: dict[str, float | None] = {}
    for typed in named:
        name, colon, days = typed.partition(":")
        limit = None
        if colon and name == "age" and days.isascii() and days.isdigit():
            limit = float(days)
        if name not in NAMES or (colon and not limit):
            rule = f"a policy must be one of {', '.join(NAMES)}, or age:DAYS"
            hint = "For example --policies always,age:365,drift"
            raise EquipoiseError("POLICY", "--policies", rule, got=typed, hint=hint, exit_code=Exit.USAGE)
        found[typed] = limit
    return found


def _head(section: Any, metric: str | None) -> Any:
    heads = section.gate.heads
    found = [h for h in heads if (h.role == "primary" if metric is None else f"{h.head}/{h.metric}" == metric)]
    if not found:
        rule, hint = f"must be one of {', '.join(f'{h.head}/{h.metric}' for h in heads)}", "Name a head of the gate"
        raise EquipoiseError("METRIC", "--metric", rule, got=metric, hint=hint, exit_code=Exit.USAGE)
    return found[0]


def _budget(section: Any, epochs: int | None) -> Any:
    if epochs is None:
        return section
    training = section.training.model_copy(update={"epochs": min(epochs, section.training.epochs)})
    return section.model_copy(update={"training": training})


def _span(record: Workload, prepared: Path, settings: Settings, name: str) -> tuple[Day, Day]:
    """First decision day and the day before which all ends; by default the hold-out is not looked at."""
    days = np.array([s.date for split in ("train", VALIDATION) for s in record.samples(prepared, split)])
    days = np.unique(days.astype("datetime64[D]"))
    first = days[int(len(days) * KNOWN_SHARE)] if settings.first is None else settings.first
    until = days[-1] + np.timedelta64(1, "D") if settings.until is None else settings.until
    if not days[0] < first < until:
        rule = f"the first decision must come after {days[0]} and before the end"
        raise bad_data(name, rule, got=f"{first} and {until}", hint="Change --from or --until", code="DAYS")
    return first, until
