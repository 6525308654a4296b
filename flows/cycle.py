"""`equipoise retrain`: nothing to do is answered at once, everything else is the Prefect flow."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from flows import provenance
from flows.provenance import kept_heads
from flows.stages import StageResult, needed, result_of, stale
from flows.state import Place, exclusive, make_state

HEAD = ("head", "metric", "difference", "low", "high", "verdict")
Say = Callable[[str], object]


def run(place: Place, workload: str, actor: str | None, say: Say, tune: bool = False) -> dict[str, Any]:
    """The outcome of a retraining, as `--json` prints it.

    Args:
        tune: then searches the loss weights, and adds the campaign's document as `campaign`.

    Raises:
        EquipoiseError: E_BUSY (75) while the workload is being changed, and whatever a stage or the registry reports.
    """
    make_state(place)
    with exclusive(place, workload):
        outcome = unchanged(place, workload)
    if outcome is not None and not tune:
        return outcome
    from flows.orchestration import embedded

    folders = str(place.project), str(place.state)
    with embedded(place, say):
        from flows.flow_runs import named

        with named():
            if outcome is None:
                from flows.retrain import retrain

                outcome = retrain(workload, *folders, actor)
            if tune:
                from flows.tune_flow import tune as campaign

                outcome = {**outcome, "campaign": campaign(workload, *folders)}
            return outcome


def unchanged(place: Place, workload: str) -> dict[str, Any] | None:
    """The outcome when every stage is up to date and this very model was judged already, else None.

    Asks DVC and the ledger only: no torch, no MLflow, no Prefect.
    """
    began, names = time.monotonic(), needed(place, workload)
    if stale(place, workload, names):
        return None
    settled = _settled(place, workload)
    if settled is None:
        return None
    stages = [result_of(place, workload, name, False, began, share=len(names)) for name in names]
    return outcome_document("UNCHANGED", *settled, stages)


def _settled(place: Place, workload: str) -> tuple[int, int, str, list[dict[str, Any]]] | None:
    """(version, champion, why, heads) of the decision that stands about the present checkpoint."""
    from components.registry.ledger import open_ledger

    if not place.ledger_exists():
        return None
    section = getattr(place.config(), workload)
    with open_ledger(place.ledger) as ledger:
        past, champion = ledger.history(workload), ledger.champion(workload)
    digest = provenance.candidate_digest(place, workload)
    made = [e.version for e in past if e.event == "register" and e.document()["details"].get("model_digest") == digest]
    judged = [e for e in past if e.version in made and e.event in ("promote", "hold", "reject")]
    if not judged or champion is None:
        return None
    last = judged[-1]
    tail = provenance.question(place, workload, section)
    same_rules = last.decision_key.endswith(tail) or last.event == "promote"
    same_champion = last.event == "promote" or last.decision_key.split("/")[2:3] == [str(champion)]
    if not (same_rules and same_champion) or last.version is None:
        return None
    heads = kept_heads(place, workload, last.report_sha256)
    return last.version, champion, f"nothing to do: version {last.version} was judged ({last.event})", heads


def outcome_document(
    decision: str,
    version: int,
    champion: int | None,
    reason: str,
    heads: list[dict[str, Any]],
    stages: list[StageResult],
) -> dict[str, Any]:
    """{decision, version, champion, reason, heads, stages}: what retrain answers."""
    return {
        "decision": decision,
        "version": version,
        "champion": champion,
        "reason": reason,
        "heads": [{key: head[key] for key in (*HEAD, *(["slice"] if head.get("slice") else ()))} for head in heads],
        "stages": {stage.stage: stage.document() for stage in stages},
    }


def outcome_of(verdict: Any, stages: list[StageResult]) -> dict[str, Any]:
    """A decision of the gate (`judging.Outcome`) with the stages that led to it."""
    return outcome_document(verdict.decision, verdict.version, verdict.champion, verdict.reason, verdict.heads, stages)
