"""Two registered versions compared on the test split, both scored now; and what the ledger makes of the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from components.files import write_atomically, write_json
from components.registry import aliases, infrastructure_check
from components.registry.gate import judge
from components.registry.gate_report import GateReport, draw_forest
from components.registry.ledger_rules import PromotionBlocked, StaleChampion
from components.registry.packaging import MODEL
from flows import provenance
from flows.registration import Desk, register_baseline
from flows.standing import standing

EVENT = {"PROMOTE": "promote", "HOLD": "hold", "REJECT": "reject"}
CHAMPIONS_SEEN = 5  # how often a candidate is judged again because another promotion was faster


@dataclass(frozen=True)
class Outcome:
    """A decision about a version: which champion it met, why, and the heads that were judged."""

    decision: str
    version: int
    champion: int | None
    reason: str
    heads: list[dict[str, Any]]
    report: str | None = None


def first_champion(at: Desk) -> int:
    """The champion; where there is none yet, the cheap baseline becomes it, so that a model must beat it to serve."""
    state = at.ledger.state(at.name)
    if state.champion is not None:
        return state.champion
    at.say("no champion yet: the cheap baseline becomes the first")
    version = register_baseline(at)
    at.ledger.promote(
        at.name,
        version,
        expected_generation=state.generation,
        evaluation_digest=None,
        report_sha256=None,
        key="first champion",
        actor=at.actor,
        reason="first champion: the cheap baseline, which a model must beat to be served",
    )
    show(at)
    return version


def compare(at: Desk, version: int, champion: int) -> GateReport:
    """The gate's report on `version` against `champion`; it is kept, with a picture, under its digest in the state."""
    at.say(f"scoring versions {version} and {champion} on the test split")
    report = judge(score(at, version), score(at, champion), at.section.gate)
    path = at.place.gate_report(at.name, report.sha256())
    write_json(path, report.document())
    draw_forest(report, path.with_suffix(".png"))
    return report


def score(at: Desk, version: int) -> pl.DataFrame:
    """Per-sample scores of a registered version, from the very files that are served.

    The first ones are kept: drift is measured against what a version answered when it was judged.
    """
    folder = aliases.resolve(at.store, at.name, version, at.artefact_digest(version))
    samples = list(at.record.samples(at.place.prepared(at.name), provenance.TEST))
    table = at.record.score(samples, at.record.load(folder / MODEL).predict(samples))
    path = at.place.first_scores(at.name, version, provenance.evaluation_digest(at.place, at.name))
    if not list(path.parent.glob(f"{version}-*{path.suffix}")):
        write_atomically(path, table.write_parquet)
    return table


def decide(at: Desk, version: int, automatic: bool = True, reason: str = "") -> Outcome:
    """Checks the artefact in a fresh process, judges it against the champion, and writes the decision to the ledger.

    A promotion that comes second to another is judged again against the new champion, never promoted blindly.
    """
    for attempt in range(1, CHAMPIONS_SEEN + 1):
        try:
            return _decide_once(at, version, automatic, reason)
        except StaleChampion:
            if attempt == CHAMPIONS_SEEN:
                raise
            at.say(f"the champion changed meanwhile: judging version {version} again")
    raise AssertionError("the loop returns or raises")


def _decide_once(at: Desk, version: int, automatic: bool, reason: str) -> Outcome:
    state = at.ledger.state(at.name)
    if state.champion is None or state.champion == version:
        return Outcome("UNCHANGED", version, state.champion, f"version {version} is the champion", [])
    question = provenance.question(at.place, at.name, at.section)
    key = f"{'judge' if automatic else 'named'}/{version}/{state.champion}/{state.generation}/{question}"
    checked = infrastructure_check.check(at.store, at.name, version, at.artefact_digest(version))
    if not checked.ok:
        why = f"infrastructure check: {checked.reason}"[:1000]
        at.ledger.record(at.name, "reject", version, key=key, actor=at.actor, reason=why)
        return Outcome("REJECT", version, state.champion, why, [])
    report = compare(at, version, state.champion)
    decision, why = report.decision, f"{reason}: {report.reason}" if reason else report.reason
    held_out, digest = provenance.evaluation_digest(at.place, at.name), report.sha256()
    if decision == "PROMOTE":
        try:
            at.ledger.promote(
                at.name, version, expected_generation=state.generation, key=key, actor=at.actor, reason=why,
                automatic=automatic, evaluation_digest=held_out, report_sha256=digest,
            )  # fmt: skip
        except PromotionBlocked as blocked:
            decision, why = "HOLD", f"{why}; but {blocked.rule}"
    if decision != "PROMOTE":
        at.ledger.record(
            at.name,
            _judgement(decision),
            version,
            key=key,
            actor=at.actor,
            reason=why,
            evaluation_digest=held_out,
            report_sha256=digest,
        )
    show(at)
    heads = report.document()["heads"]
    return Outcome(decision, version, at.ledger.champion(at.name), why, heads, digest)


def _judgement(decision: str) -> Any:
    return EVENT[decision]


def show(at: Desk) -> None:
    """Projects the ledger onto MLflow's aliases and tags; the same call again changes nothing."""
    aliases.project(at.store, at.name, standing(at.ledger, at.name))
