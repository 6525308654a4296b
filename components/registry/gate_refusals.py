"""What keeps a candidate from being judged at all: it serves less than the champion, or its training raised an alarm.

No samples are looked at for it, so it spends nothing of the hold-out.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from components.errors import EquipoiseError, Exit

SHOWN = 5  # names in a reason
Serves = Mapping[str, Collection[str]]  # kind (tool, emoji, strategy, ...) -> the names of it that can be answered


class Refused(EquipoiseError):
    """A candidate that is held (exit code 10) or rejected (11) before it is judged."""

    @property
    def decision(self) -> str:
        """HOLD or REJECT."""
        return "HOLD" if self.exit_code == Exit.HOLD else "REJECT"


def check_serves(place: str, candidate: Serves, champion: Serves) -> None:
    """Whoever is served today must be served tomorrow.

    A kind that one of the two does not name is not limited by it: nothing is compared there.

    Raises:
        Refused: E_GATE_SCHEMA (11) naming what the candidate drops.
    """
    for kind in sorted(champion.keys() & candidate.keys()):
        _complain(place, kind, set(champion[kind]) - set(candidate[kind]), "no longer served")


def check_fields(place: str, candidate: Path, champion: Path) -> None:
    """Every request that the champion takes must be one that the candidate takes, and every field of an answer stay.

    Args:
        candidate, champion: folders of the artefacts; their signatures are compared.

    Raises:
        Refused: E_GATE_SCHEMA (11) naming the field.
    """
    from mlflow.models import Model

    ours, theirs = (Model.load(str(folder)).signature for folder in (candidate, champion))
    names = [(set(each.inputs.input_names()), set(each.inputs.required_input_names())) for each in (ours, theirs)]
    (taken, needed), (known, asked) = names
    _complain(place, "input field", known - taken, "no longer taken")
    _complain(place, "input field", needed - asked, "newly required")
    answered, known = (set(each.outputs.input_names()) for each in (ours, theirs))
    _complain(place, "answer field", known - answered, "no longer given")


def check_alarms(place: str, model: Path, rules: Collection[str]) -> None:
    """No model whose training raised one of these alarms.

    Args:
        model: model folder, whose model.json keeps the alarms of the training; a baseline has none.
        rules: `gate.alarms`.

    Raises:
        Refused: E_GATE_ALARM (10) with what was seen.
    """
    card = json.loads((model / "model.json").read_text(encoding="utf-8"))
    raised = [row for row in card.get("alarms", ()) if row["rule"] in rules]
    if raised:
        rule = f"its training must raise no alarm of {', '.join(sorted(rules))}"
        got = "; ".join(f"{row['rule']} {row['subject']}: {row['message']}" for row in raised[:SHOWN])
        hint = "Mend the training (`equipoise status` says how) and train again"
        raise Refused("GATE_ALARM", place, rule, got=got, hint=hint, exit_code=Exit.HOLD)


def _complain(place: str, kind: str, missing: Collection[str], how: str) -> None:
    if not missing:
        return
    names: Sequence[str] = sorted(missing)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    raise Refused(
        "GATE_SCHEMA",
        place,
        f"a new model must serve whatever the champion serves: no {kind} may be {how}",
        got=f"{', '.join(names[:SHOWN])}{more}",
        hint="Train on data that hold them, or let a person promote another version first",
        exit_code=Exit.REJECT,
    )
