"""`equipoise doctor`: what the engines, the ledger and the files say differently, and what of it is put right."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.errors import EquipoiseError, Exit, shorten
from components.workload import NAMES
from flows.doctor_checks import CHECKS, Case, Fault
from flows.ledgers import PROJECT
from flows.state import Place, make_state, user

Say = Callable[[str], object]
GOT = 1_000  # characters of a value in the document


@dataclass(frozen=True)
class Told:
    """A fault and what became of it."""

    fault: Fault
    fixed: bool = False

    def document(self) -> dict[str, Any]:
        """{code, place, rule, got, hint, fixed}."""
        error = self.fault.error
        return {
            "code": error.code,
            "place": error.place,
            "rule": error.rule,
            "got": shorten(error.got, GOT),
            "hint": error.hint,
            "fixed": self.fixed,
        }


def run(place: Place, fix: bool, say: Say) -> dict[str, Any]:
    """{findings: [{code, place, rule, got, hint, fixed}], notes: [what could not be asked, a sentence each]}.

    A look changes nothing. With `fix` it repairs what follows from something whole: aliases from the ledger, runs,
    candidates and leftovers from their process being gone; each workload's repairs are one event of the ledger.

    Raises:
        EquipoiseError: where repairs cannot be recorded (69, 73, 74, 75). Whatever else fails is a finding.
    """
    if not (place.params.exists() or place.state.exists() or (place.project / "dvc.lock").exists()):
        return {"findings": [], "notes": [f"there is nothing in {place.project} yet"]}
    case = Case(place)
    found = [fault for check in CHECKS for fault in _faults(case, check)]
    faults = list({str(fault.error): fault for fault in found}.values())  # a server that is away is away for all
    if fix and not case.ledger_whole and any(fault.mend for fault in faults):
        case.notes.append("nothing was repaired: the ledger, which is not whole, could not record it")
    told = [Told(fault, fix and case.ledger_whole and _mended(fault, say)) for fault in faults]
    _record(place, [each for each in told if each.fixed])
    return {"findings": [each.document() for each in told], "notes": case.notes}


def status(document: Mapping[str, Any]) -> int:
    """78 where something is wrong still, else 0."""
    return int(Exit.DONE if all(each["fixed"] for each in document["findings"]) else Exit.CONFIGURATION)


def _faults(case: Case, check: Callable[[Case], Sequence[Fault]]) -> Sequence[Fault]:
    """What a check finds; that it cannot look is itself something wrong."""
    try:
        return check(case)
    except EquipoiseError as error:
        return [Fault(error)]
    except OSError as error:
        hint = "Grant permission to read it"
        got, where = error.strerror or str(error), str(error.filename or case.place.project)
        return [Fault(EquipoiseError("READ", where, "must be readable", got=got, hint=hint, exit_code=Exit.IO_ERROR))]


def _mended(fault: Fault, say: Say) -> bool:
    if fault.mend is None:
        return False
    try:
        return fault.mend()
    except (EquipoiseError, OSError) as error:
        say(f"warning: not repaired: {error}")
        return False


def _record(place: Place, mended: Sequence[Told]) -> None:
    """One `repair` event a workload; what belongs to none is the project's."""
    if not mended:
        return
    from components.registry.ledger import open_ledger

    make_state(place)
    with open_ledger(place.ledger) as ledger:
        for name in sorted({_owner(each) for each in mended}):
            mine = [each.document() for each in mended if _owner(each) == name]
            repairs = [{key: found[key] for key in ("code", "place", "got")} for found in mine]
            ledger.record(
                name, "repair", None, key=f"repair/{uuid.uuid4().hex}", actor=user(),
                reason=f"doctor repaired {len(mine)}", details={"repairs": repairs},
            )  # fmt: skip


def _owner(told: Told) -> str:
    return told.fault.workload if told.fault.workload in NAMES else PROJECT
