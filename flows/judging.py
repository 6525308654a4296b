"""Two registered versions compared on the test split, both scored now; and what the ledger makes of the verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from components.evaluation.judged_series import METRICS as SERIES
from components.evaluation.judged_series import Account
from components.files import sha256_json, write_atomically, write_json
from components.registry import aliases, gate_budgets, gate_refusals, infrastructure_check
from components.registry.gate import lay_out, settle
from components.registry.gate_report import GateReport, draw_forest
from components.registry.gate_spending import alpha_left
from components.registry.ledger import State
from components.registry.ledger_rules import COMPARISON, LOOK, PromotionBlocked, StaleChampion, StaleLook
from components.registry.packaging import MODEL
from components.workload import Predictor
from flows import provenance
from flows.registration import Desk, register_baseline
from flows.standing import standing

EVENT = {"PROMOTE": "promote", "HOLD": "hold", "REJECT": "reject"}
CHAMPIONS_SEEN = 5  # how often a candidate is judged again because another promotion was faster
LOOKS_SEEN = 20  # how often a verdict is concluded again because another judgement took its look at the hold-out
TIMED = 20  # samples on which latency is measured


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


@dataclass(frozen=True)
class Answered:
    """A registered version's answers to the test split, and the artefact and the predictor that gave them."""

    artefact: Path
    predictor: Predictor
    table: pl.DataFrame

    @property
    def folder(self) -> Path:
        """The model's own files."""
        return self.artefact / MODEL


def compare(at: Desk, version: int, champion: int) -> GateReport:
    """The gate's report on `version` against `champion`, as the look at the hold-out that a decision would be now."""
    return _concluding(at, version, champion)(_look(at, version, champion))


def score(at: Desk, version: int) -> pl.DataFrame:
    """Per-sample scores of a registered version, from the very files that are served.

    The first ones are kept: drift is measured against what a version answered when it was judged.
    """
    return _answered(at, version).table


def _answered(at: Desk, version: int) -> Answered:
    artefact = aliases.resolve(at.store, at.name, version, at.artefact_digest(version))
    samples = list(at.record.samples(at.place.prepared(at.name), provenance.TEST))
    predictor = at.record.load(artefact / MODEL)
    table = at.record.score(samples, predictor.predict(samples))
    path = at.place.first_scores(at.name, version, provenance.evaluation_digest(at.place, at.name))
    if not list(path.parent.glob(f"{version}-*{path.suffix}")):
        write_atomically(path, table.write_parquet)
    return Answered(artefact, predictor, table)


def _concluding(at: Desk, version: int, champion: int) -> Callable[[int], GateReport]:
    """Scores both versions and measures their costs, once; then the report of any look at the hold-out.

    A report is kept, with a picture, under its digest in the state.

    Raises:
        Refused: what `gate_refusals` finds.
    """
    at.say(f"scoring versions {version} and {champion} on the test split")
    ours, theirs = _answered(at, version), _answered(at, champion)
    _check(at, version, ours, theirs)
    asked = lay_out(ours.table, theirs.table, at.section.gate, _accounts(at, ours, theirs))
    costs = _costs(at, ours, theirs)

    def report_of(look: int) -> GateReport:
        report = settle(asked, look, costs)
        path = at.place.gate_report(at.name, report.sha256())
        write_json(path, report.document())
        draw_forest(report, path.with_suffix(".png"))
        return report

    return report_of


def _check(at: Desk, version: int, ours: Answered, theirs: Answered) -> None:
    place = f"{at.name} version {version}"
    gate_refusals.check_fields(place, ours.artefact, theirs.artefact)
    served = (at.record.serves(each.folder, each.predictor) for each in (ours, theirs))
    gate_refusals.check_serves(place, *served)
    gate_refusals.check_alarms(place, ours.folder, at.section.gate.alarms)


def _accounts(at: Desk, ours: Answered, theirs: Answered) -> tuple[Account, Account] | None:
    """The daily accounts of both, where a head is made of them."""
    if at.record.account is None or not any(head.metric in SERIES for head in at.section.gate.heads):
        return None
    prepared = at.place.prepared(at.name)
    return at.record.account(at.section, prepared, ours.table), at.record.account(at.section, prepared, theirs.table)


def _costs(at: Desk, ours: Answered, theirs: Answered) -> list[gate_budgets.Cost]:
    """What is held against the budgets that are set."""
    budgets, found = at.section.gate.budgets, []
    if budgets.latency is not None:
        samples = list(islice(at.record.samples(at.place.prepared(at.name), provenance.TEST), TIMED))
        answer = [lambda one, of=each.predictor: of.predict([one]) for each in (ours, theirs)]
        taken = gate_budgets.latencies(answer, samples)
        found.append(gate_budgets.Cost("latency", "ms", budgets.latency, *taken))
    if budgets.size is not None:
        sizes = (gate_budgets.megabytes(each.folder) for each in (ours, theirs))
        found.append(gate_budgets.Cost("size", "MB", budgets.size, *sizes))
    return found


def _comparison(at: Desk, version: int, champion: int) -> str:
    """What makes two judgements the same look at the hold-out: these two versions under these rules."""
    return sha256_json([version, champion, provenance.question(at.place, at.name, at.section)])


def _look(at: Desk, version: int, champion: int) -> int:
    held_out = provenance.evaluation_digest(at.place, at.name)
    return at.ledger.look(at.name, held_out, _comparison(at, version, champion))


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
    try:
        report_of = _concluding(at, version, state.champion)
    except gate_refusals.Refused as refused:
        why = str(refused)[:1000]
        at.ledger.record(at.name, _judgement(refused.decision), version, key=key, actor=at.actor, reason=why)
        return Outcome(refused.decision, version, state.champion, why, [])
    for attempt in range(1, LOOKS_SEEN + 1):
        report = report_of(_look(at, version, state.champion))
        try:
            return _recorded(at, version, state, report, key, automatic, reason)
        except StaleLook:
            if attempt == LOOKS_SEEN:
                raise
            at.say(f"the hold-out was looked at meanwhile: concluding on version {version} again")
    raise AssertionError("the loop returns or raises")


def _recorded(
    at: Desk, version: int, state: State, report: GateReport, key: str, automatic: bool, reason: str
) -> Outcome:
    """Writes a verdict to the ledger, with the look at the hold-out that it was."""
    gate, digest = at.section.gate, report.sha256()
    decision, why = report.decision, f"{reason}: {report.reason}" if reason else report.reason
    assert state.champion is not None
    noted: dict[str, Any] = {
        "evaluation_digest": provenance.evaluation_digest(at.place, at.name),
        "report_sha256": digest,
        "details": {
            COMPARISON: _comparison(at, version, state.champion),
            LOOK: report.look,
            "alpha": report.alpha,
            "alpha_left": alpha_left(report.look, gate.alpha, gate.spending),
        },
    }
    if decision == "PROMOTE":
        try:
            at.ledger.promote(
                at.name, version, expected_generation=state.generation, key=key, actor=at.actor, reason=why,
                automatic=automatic, **noted,
            )  # fmt: skip
        except PromotionBlocked as blocked:
            decision, why = "HOLD", f"{why}; but {blocked.rule}"
    if decision != "PROMOTE":
        at.ledger.record(at.name, _judgement(decision), version, key=key, actor=at.actor, reason=why, **noted)
    show(at)
    heads = report.document()["heads"]
    return Outcome(decision, version, at.ledger.champion(at.name), why, heads, digest)


def _judgement(decision: str) -> Any:
    return EVENT[decision]


def show(at: Desk) -> None:
    """Projects the ledger onto MLflow's aliases and tags; the same call again changes nothing."""
    aliases.project(at.store, at.name, standing(at.ledger, at.name))
