"""The second stage of a campaign: the best of the screen at full length and full size, one by one.

What came out is kept with the study, so whoever continues it knows. Processes that share the campaign's folder divide
the candidates among themselves by the kernel's locks, and the checkpoints of one that died are gone on with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from components.errors import EquipoiseError
from components.tuning.agreement import Agreement, between
from components.tuning.alone import taken, wait_for
from components.tuning.pareto import ranked
from components.tuning.space import with_weights
from components.tuning.storage import patiently
from components.tuning.trial import Candidate, Stopwatch, objectives_of, run_trial
from components.tuning.trials import CHAMPION, Work, bounded

FOLDER = "full"
KEY = "equipoise.full."  # of the study, with the candidate's number after it


def bring_up(work: Work, screened: Sequence[Candidate]) -> tuple[tuple[Candidate, ...], Agreement]:
    """Trains the best of the screen at full length; where its ranks do not hold there, as many again, once.

    Args:
        screened: candidates that the screen trained to its end, by number.

    Returns:
        those trained at full length, by number, a failed one with its failure; and how both stages rank them.

    Raises:
        TrainingInterrupted: on ctrl-C, with the state saved.
        EquipoiseError: what training of the default reports.
    """
    settings = work.section.tuning.screen
    count = settings.full
    done = _trained(work, chosen(screened, count, work.study.user_attrs.get(CHAMPION)))
    agreement = _compared(screened, done, settings.agreement)
    work.say(agreement.sentence)
    if not agreement.agrees and len(done) < len(screened):
        work.say(f"the screen's ranks do not hold: {2 * count} instead of {count} of its best train at full length")
        done = _trained(work, chosen(screened, 2 * count, work.study.user_attrs.get(CHAMPION)))
        agreement = _compared(screened, done, settings.agreement)
        work.say(agreement.sentence)
    return done, agreement


def chosen(screened: Sequence[Candidate], count: int, champion: int | None) -> list[Candidate]:
    """The default, the champion's weights, and the best `count` others, by number."""
    always = [each for each in screened if each.number in (0, champion)]
    others = ranked([each for each in screened if each not in always])
    return sorted([*always, *others[:count]], key=lambda each: each.number)


def _compared(screened: Sequence[Candidate], done: Sequence[Candidate], least: float) -> Agreement:
    cheap = {each.number: each.mean for each in screened}
    return between(cheap, {each.number: each.mean for each in done if not each.failure}, least)


def _trained(work: Work, wanted: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """These at full length: those that nobody trains are trained here, then the others' are waited for."""
    left = {each.number: each for each in wanted}
    done: dict[int, Candidate] = {}
    while left:
        busy = []
        for number, each in list(left.items()):
            lock = taken(work.folder, f"{FOLDER}-{number}")
            if lock is None:
                busy.append(number)
                continue
            with lock:
                done[number] = _known(work, each) or _train(work, each)
            del left[number]
        if busy:
            wait_for(work.folder, f"{FOLDER}-{busy[0]}")
    return tuple(bounded(work, [done[each.number] for each in wanted]))


def _known(work: Work, each: Candidate) -> Candidate | None:
    kept = patiently(lambda: work.study.user_attrs.get(f"{KEY}{each.number}"))
    return _candidate(work, each, kept) if kept is not None and "unfinished" not in kept else None


def _train(work: Work, each: Candidate) -> Candidate:
    """Trains it, or goes on; what that took is added up over calls however they end, short of a kill."""
    before = (patiently(lambda: work.study.user_attrs.get(f"{KEY}{each.number}")) or {}).get("spent", 0.0)
    watch, kept = Stopwatch(), {"unfinished": True}
    work.say(f"full length: candidate {each.number}")
    section = with_weights(work.section, each.weights)
    try:
        trained = run_trial(work.workload, section, work.prepared, work.folder / FOLDER / str(each.number), work.device)
        kept: dict[str, Any] = asdict(trained)
    except EquipoiseError as error:
        if error.code != "E_NONFINITE" or each.number == 0:
            raise
        work.say(f"full length: candidate {each.number} failed: {error}")
        kept = {"failure": str(error)}
    finally:
        kept = {**kept, "spent": round(before + watch.seconds(), 3)}
        patiently(lambda: work.study.set_user_attr(f"{KEY}{each.number}", kept))
    found = _candidate(work, each, kept)
    work.say(f"full length: candidate {each.number}: {', '.join(f'{k} {v:.4f}' for k, v in found.objectives.items())}")
    return found


def _candidate(work: Work, each: Candidate, kept: Mapping[str, Any]) -> Candidate:
    """The screen's candidate with what full length gave."""
    failure, metrics = kept.get("failure"), kept.get("metrics", {})
    found = {} if failure else objectives_of(work.workload.name, metrics, work.objectives)
    return replace(
        each, objectives=found, metrics=metrics, terms=kept.get("terms", {}), steps=kept.get("steps", 0),
        cpu_seconds=kept["spent"], failure=failure, place=f"{FOLDER}/{each.number}",
    )  # fmt: skip
