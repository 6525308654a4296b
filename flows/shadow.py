"""`equipoise shadow`: the champion beside the one it replaced, on labelled samples that came in since.

Order of what is written: the evidence, the rollback in the ledger, the aliases, the webhook. A run that is killed in
between leaves the evidence, and the next run goes on from there: enough evidence demotes before anything is counted.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from components.data import strict_json
from components.errors import EquipoiseError, Exit, bad_data, misconfigured, missing
from components.evaluation.e_process import plain
from components.evaluation.shadow import Evidence, HeadEvidence, Weighed, cluster_pairs, testable, weigh
from components.files import sha256_json, write_json
from components.registry import aliases
from components.registry.ledger_schema import SWITCHES
from components.registry.packaging import MODEL
from flows import judging, notifying, present
from flows.registration import Desk, desk
from flows.state import Place, exclusive

ACTOR = "shadow"
TOGETHER = 1024  # samples scored at once: memory stays the same however many there are
NAMED = 6  # heads in a reason, those with most evidence first
STATUS = {"KEEP": Exit.DONE, "DEMOTE": Exit.REJECT}

Say = Callable[[str], object]


@dataclass(frozen=True)
class Watch:
    """A promotion that is looked after: who replaced whom in which generation, and whether that was taken back."""

    champion: int
    previous: int
    generation: int
    demoted: bool


@dataclass(frozen=True)
class Look:
    """What a look brought: clusters counted anew, and samples that did not count by why not."""

    new: int = 0
    judged: int = 0
    late: int = 0
    waiting: int = 0


def run(place: Place, workload: str, source: Path | None, growing: bool, say: Say) -> dict[str, Any]:
    """Looks at the labelled samples of `source`, if one is named, and demotes the champion when that is enough.

    Args:
        growing: more may be written to the source, so its last cluster waits for the next look.

    Returns:
        {"workload", "decision": KEEP or DEMOTE, "version" under watch, "previous", "champion" now, "reason", "alpha",
        "e", "cluster", "clusters", "new", "left_out", "heads"}.

    Raises:
        EquipoiseError: E_NO_PREVIOUS (78) when the champion did not replace another by a promotion, E_MISSING (66)
            without the source, the reader's codes (65) naming the line that is wrong, E_BUSY (75).
    """
    with exclusive(place, f"{workload}-shadow"), desk(place, workload, ACTOR, say) as at:
        watch = watched(at)
        if watch is None:
            rule = "the champion must have replaced another one by a promotion"
            hint = f"See `equipoise history {workload}`; a first champion, or one that a rollback chose, is not watched"
            got = f"champion {at.ledger.champion(workload) or 'none'}"
            raise misconfigured(workload, rule, got=got, hint=hint, code="NO_PREVIOUS")
        return look(at, watch, source, growing)


def scheduled(place: Place, workload: str, say: Say) -> None:
    """Looks at what is new in `shadow.input`, if one is configured, is there, and a promotion is under watch.

    What is there at the first run after a promotion is not new: either model may have been trained on it.
    """
    named = getattr(place.config(), workload).shadow.input
    if named is None:
        return
    source = place.project / named
    if not source.exists():
        say(f"no labelled samples yet: {named} is not there")
        return
    with exclusive(place, f"{workload}-shadow"), desk(place, workload, ACTOR, say) as at:
        watch = watched(at)
        if watch is None:
            say("labelled samples are there, but no promotion is under watch")
        elif _kept(at, watch) is None:
            before = [digest for digest, _ in _unseen(at, source, set())]
            _keep(at, watch, begin(at, watch).model_copy(update={"seen": tuple(before)}))
            say(f"version {watch.champion} is watched from now on; {len(before)} labelled samples were there before")
        else:
            say(look(at, watch, source, growing=True)["reason"])


def watched(at: Desk) -> Watch | None:
    """The promotion behind the champion, or the one that this took back; None for a first champion and after a
    person's rollback."""
    switches = [event for event in at.ledger.history(at.name) if event.event in SWITCHES]
    last = switches[-1] if switches else None
    demoted = last is not None and last.event == "rollback" and last.decision_key == _key(last.generation - 1)
    made = switches[-2] if demoted else last
    if made is None or made.event != "promote" or made.version is None or made.replaced is None:
        return None
    return Watch(made.version, made.replaced, made.generation, demoted)


def evidence(at: Desk, version: int) -> Evidence | None:
    """What was counted since the latest promotion of a version over another; None before the first look.

    Raises:
        EquipoiseError: E_SHADOW_EVIDENCE (65) when it is damaged.
    """
    for event in reversed(at.ledger.history(at.name)):
        if event.event == "promote" and event.version == version and event.replaced is not None:
            return _kept(at, Watch(version, event.replaced, event.generation, demoted=False))
    return None


def begin(at: Desk, watch: Watch) -> Evidence:
    """Evidence before any cluster was counted; its rules are those of the configuration now, and stay."""
    gate = at.section.gate
    return Evidence(
        generation=watch.generation, champion=watch.champion, previous=watch.previous,
        alpha=at.section.shadow.alpha, cluster=gate.cluster, heads=gate.heads, counted={}, seen=(),
    )  # fmt: skip


def look(at: Desk, watch: Watch, source: Path | None, growing: bool) -> dict[str, Any]:
    """The outcome, after what `source` brings was counted and, where it is enough, the champion was demoted."""
    kept, found = _kept(at, watch) or begin(at, watch), Look()
    if source is not None and not watch.demoted and not weigh(kept).enough:
        if not source.exists():
            hint = "Name a file of labelled samples"
            raise missing(str(source), "--input must be there", got="nothing there", hint=hint)
        kept, found = count(at, watch, kept, source, growing)
        _keep(at, watch, kept)
    return conclude(at, watch, kept, found)


def count(at: Desk, watch: Watch, kept: Evidence, source: Path, growing: bool) -> tuple[Evidence, Look]:
    """The evidence with the clusters of the samples that were not seen yet; both versions are scored on those now."""
    fresh = list(_unseen(at, source, set(kept.seen)))
    if not fresh:
        return kept, Look()
    at.say(f"scoring versions {watch.champion} and {watch.previous} on {len(fresh)} new labelled samples")
    digests, samples = zip(*fresh, strict=True)
    ours, theirs = (_scores(at, version, samples) for version in (watch.champion, watch.previous))
    heads = kept.heads if kept.counted else testable(kept.heads, ours.columns)
    pairs = cluster_pairs(ours, theirs, heads, kept.cluster)
    names = ours[kept.cluster].cast(pl.String).to_list()
    known, judged = kept.counted.keys(), _judged(at, watch, kept.cluster)
    waits = {names[-1]} - known - judged if growing else set()
    new = {name: each for name, each in pairs.items() if name not in known | judged | waits}
    found = Look(
        new=len(new),
        judged=sum(name in judged for name in names),
        late=sum(name in known for name in names),
        waiting=sum(name in waits for name in names),
    )
    seen = [digest for digest, name in zip(digests, names, strict=True) if name not in waits]
    changes = {"heads": heads, "counted": {**kept.counted, **new}, "seen": (*kept.seen, *seen)}
    return kept.model_copy(update=changes), found


def conclude(at: Desk, watch: Watch, kept: Evidence, found: Look) -> dict[str, Any]:
    """The outcome of the evidence: demotes when it is enough and that was not done yet.

    Raises:
        StaleChampion: E_STALE_CHAMPION (75) when the champion changed meanwhile, which is then left alone.
    """
    weighed = weigh(kept)
    reason = _reason(watch, kept, weighed)
    if weighed.enough:
        if not watch.demoted:
            at.ledger.rollback(
                at.name, to=watch.previous, actor=ACTOR, reason=reason, key=_key(watch.generation),
                expected_generation=watch.generation,
            )  # fmt: skip
        judging.show(at)
    outcome = {
        "workload": at.name,
        "decision": "DEMOTE" if weighed.enough or watch.demoted else "KEEP",
        "version": watch.champion,
        "previous": watch.previous,
        "champion": at.ledger.champion(at.name),
        "reason": reason,
        "alpha": kept.alpha,
        "e": weighed.e,
        "cluster": kept.cluster,
        "clusters": len(kept.counted),
        "new": found.new,
        "left_out": {"judged": found.judged, "late": found.late, "waiting": found.waiting},
        "heads": [_head(each) for each in weighed.heads] if kept.counted else [],
    }
    if weighed.enough and not watch.demoted:
        notifying.announce(outcome, at.say)
    return outcome


def text(document: dict[str, Any]) -> str:
    """The outcome for people: a line a head, what did not count, the conclusion."""
    rows = [
        [f"{h['head']} {h['metric']}", *(_number(h[key]) for key in ("champion", "previous", "harm")),
         f"{h['margin']:g}", f"{h['e']:.3g}", h["clusters"]]
        for h in document["heads"]
    ]  # fmt: skip
    head = ["head", f"version {document['version']}", f"version {document['previous']}", "harm", "margin", "e"]
    lines = present.table([[*head, f"{document['cluster']}s"], *rows]) if rows else []
    why = {
        "judged": "of {}s that the gate judged it on",
        "late": "of {}s that were counted before",
        "waiting": "of the last {}, which may still go on",
    }
    cluster = document["cluster"]
    lines += [f"left out: {n} samples {why[k].format(cluster)}" for k, n in document["left_out"].items() if n]
    return "\n".join([*lines, f"{document['decision']}: {document['reason']}."])


def _reason(watch: Watch, kept: Evidence, weighed: Weighed) -> str:
    """What the evidence says in numbers; of a demotion the ledger keeps it."""
    if not kept.counted:
        return f"no labelled samples of version {watch.champion} were counted yet"
    heads = "; ".join(
        f"{each.head.head} {each.head.metric} {_number(each.champion)} against {_number(each.previous)}, "
        f"margin {each.head.margin:g}, e {plain(each.log_e):.3g}"
        for each in sorted(weighed.heads, key=lambda each: -each.log_e)[:NAMED]
    )
    shown = "is worse" if weighed.enough else "is not shown to be worse"
    return (
        f"version {watch.champion} {shown} than version {watch.previous} by more than its margins: e {weighed.e:.3g} "
        f"of the {1 / kept.alpha:g} that demote, after {len(kept.counted)} labelled {kept.cluster}s ({heads})"
    )


def _head(each: HeadEvidence) -> dict[str, Any]:
    head = each.head.model_dump(mode="json")
    values = {"champion": each.champion, "previous": each.previous, "harm": each.harm}
    return head | values | {"clusters": each.clusters, "e": plain(each.log_e)}


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _unseen(at: Desk, source: Path, seen: set[str]) -> Iterator[tuple[str, Any]]:
    """(digest, sample) of each labelled sample whose digest is new, once."""
    read = at.record.labelled
    if read is None:
        hint = "Give its record `labelled`, as docs/new_workload.md says"
        raise misconfigured(at.name, "the workload must read labelled samples", got="none", hint=hint)
    for sample in read(at.section, source):
        digest = sha256_json([sample.id, at.record.request(sample)])[:16]
        if digest not in seen:
            seen.add(digest)
            yield digest, sample


def _scores(at: Desk, version: int, samples: Iterable[Any]) -> pl.DataFrame:
    """Per-sample scores of a registered version, from the very files that are served."""
    folder = aliases.resolve(at.store, at.name, version, at.artefact_digest(version))
    predictor, rest = at.record.load(folder / MODEL), iter(samples)
    parts = []
    while chunk := list(itertools.islice(rest, TOGETHER)):
        parts.append(at.record.score(chunk, predictor.predict(chunk)))
    return pl.concat(parts)


def _judged(at: Desk, watch: Watch, cluster: str) -> frozenset[str]:
    """The clusters on which the gate let the champion in: they chose it."""
    folder = at.place.first_scores(at.name, watch.champion, "any").parent
    found: set[str] = set()
    for path in sorted(folder.glob(f"{watch.champion}-*.parquet")):
        table = pl.read_parquet(path)
        found |= set(table[cluster].cast(pl.String)) if cluster in table.columns else set()
    return frozenset(found)


def _kept(at: Desk, watch: Watch) -> Evidence | None:
    """The evidence of earlier looks.

    Raises:
        EquipoiseError: E_SHADOW_EVIDENCE (65) when the file is damaged or of other versions.
    """
    path = _path(at, watch)
    if not path.is_file():
        return None
    try:
        kept = Evidence.model_validate(strict_json.read(path))
    except (ValidationError, EquipoiseError) as error:
        raise _no_evidence(path, str(error).partition("\n")[0]) from error
    if (kept.champion, kept.previous, kept.generation) != (watch.champion, watch.previous, watch.generation):
        raise _no_evidence(path, f"evidence of versions {kept.champion} and {kept.previous}")
    return kept


def _no_evidence(path: Path, got: str) -> EquipoiseError:
    hint = "Restore it from a backup, or remove it and look at the labelled samples anew"
    return bad_data(str(path), "must be the evidence of this promotion", got=got, hint=hint, code="SHADOW_EVIDENCE")


def _keep(at: Desk, watch: Watch, kept: Evidence) -> None:
    write_json(_path(at, watch), kept.model_dump(mode="json"))


def _key(generation: int) -> str:
    """The decision key of the demotion of a generation's champion: there is one at most."""
    return f"shadow/{generation}"


def _path(at: Desk, watch: Watch) -> Path:
    return at.place.state / "shadow" / at.name / f"{watch.generation}.json"
