"""What has to be true, when a schedule's hour comes, for a retraining to do anything: data, drift, age, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from components.evaluation.drift import compare
from flows import cycle, judging, provenance
from flows.registration import BASELINE_REASON, Desk, desk
from flows.stages import bring_up_to_date, needed, stale
from flows.state import Place

DATA_STAGES = ("generate", "prepare")

Say = Callable[[str], object]
Answer = tuple[bool, str]  # whether to retrain, and why or why not


def wait(place: Place, workload: str, say: Say) -> dict[str, Any] | None:
    """The outcome of a scheduled run that the workload's policy lets pass; None when it is to retrain.

    Without a champion every policy retrains.
    """
    with desk(place, workload, None, say) as at:
        champion = at.ledger.champion(workload)
        if champion is None:
            return None
        due, why = POLICIES[at.section.schedule.policy](at, champion)
        say(f"policy {at.section.schedule.policy}: {'retraining, ' if due else 'nothing to do, '}{why}")
    if due:
        return None
    return cycle.outcome_document("UNCHANGED", champion, champion, f"nothing to do: {why}", [], [])


def always(_at: Desk, _champion: int) -> Answer:
    """At every hour of the schedule; what is up to date is not done again all the same."""
    return True, "as at every hour of the schedule"


def new_data(at: Desk, _champion: int) -> Answer:
    """When DVC says that the raw data, or how they are prepared, changed."""
    names = [name for name in needed(at.place, at.name) if name in DATA_STAGES]
    changed = stale(at.place, at.name, names)
    return bool(changed), "the data changed" if changed else "the data are those of the last preparation"


def age(at: Desk, _champion: int) -> Answer:
    """When the newest trained version is older than `age_days`, promoted or not."""
    trained = _trained(at)
    if trained is None:
        return True, "nothing has been trained yet"
    return aged((datetime.now(UTC) - trained) / timedelta(days=1), at.section.schedule.age_days)


def aged(days: float, limit: float) -> Answer:
    """Whether the newest trained version is at least `limit` days old."""
    return days >= limit, f"the newest trained version is {days:.1f} days old, the limit is {limit:g}"


def drift(at: Desk, champion: int) -> Answer:
    """When what the champion reads or answers is shown to have changed since it was first judged.

    The data are prepared anew, the champion answers their test split, and its answers are compared with the kept ones.
    """
    for name in (name for name in needed(at.place, at.name) if name in DATA_STAGES):
        bring_up_to_date(at.place, at.name, name, at.say)
    now = provenance.evaluation_digest(at.place, at.name)
    kept = sorted(at.place.first_scores(at.name, champion, now).parent.glob(f"{champion}-*.parquet"))
    if not kept:
        return True, f"no answers of version {champion} are kept to compare with"
    if kept[0].stem.partition("-")[2] == now:
        return False, f"the test split is the one that version {champion} was judged on"
    settings = at.section.schedule.drift
    found = compare(pl.read_parquet(kept[0]), judging.score(at, champion), at.section.gate.cluster,
                    settings.alpha, settings.effect)  # fmt: skip
    return bool(found.drifted), found.sentence


POLICIES: dict[str, Callable[[Desk, int], Answer]] = {
    "always": always,
    "new_data": new_data,
    "age": age,
    "drift": drift,
}


def _trained(at: Desk) -> datetime | None:
    """When the newest version that a training made was registered."""
    times = [e.time for e in at.ledger.history(at.name) if e.event == "register" and e.reason != BASELINE_REASON]
    return datetime.fromisoformat(times[-1]) if times else None
