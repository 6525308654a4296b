"""What the ledger says of a workload, in the form MLflow's aliases and tags show it."""

from __future__ import annotations

from components.registry.aliases import Standing
from components.registry.ledger import Ledger


def standing(ledger: Ledger, workload: str) -> Standing:
    """What the ledger says of a workload, for MLflow to show; the challenger is the one held last, if it still is."""
    state, past = ledger.state(workload), ledger.history(workload)
    switch = next((e for e in reversed(past) if e.event in ("promote", "rollback")), None)
    last = next((e for e in reversed(past) if e.event in ("promote", "hold", "reject")), None)
    challenger = last.version if last is not None and last.event == "hold" and last.version != state.champion else None
    report = switch.report_sha256 if switch else None
    return Standing(state.champion, state.previous, challenger, state.generation, state.since, report)
