"""Weights without the scale of their losses: weight x the term's reference value, its raw loss at the end of the
default candidate's training.

A weight of 1 means nothing by itself: a loss over 5,000 classes begins at 8.5, one over two at .7, and on other data or
with another size both end elsewhere. The product says how much of the loss the term is, and carries over: a new
campaign takes up the front of an old one by dividing by its own reference values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.data import strict_json
from components.errors import EquipoiseError, bad_data
from components.tuning.space import Knob, defaults, rounded

WEIGHT = ".weight"
REFERENCE = "reference"  # key of the reference values in a campaign's result.json
DIGITS = 6


def references(reports: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Term, or composite, by its dotted path -> the mean of its raw loss over the reports of the last epoch.

    Args:
        reports: lines of curves.jsonl of the default candidate; a term's raw values count by how many they are a mean
            of. Profits are losses below 0: the reference is the size of the mean.

    Returns:
        terms of which nothing was valid, or that are exactly 0, have no reference and are left out.
    """
    lines = [line for line in reports if "terms" in line]
    last = lines[-1].get("epoch") if lines else None
    sums: dict[str, list[float]] = {}
    for line in lines:
        if line.get("epoch") == last:
            for name, row in {**line["terms"], **line.get("composites", {})}.items():
                total = sums.setdefault(name.replace("/", "."), [0.0, 0.0])
                count = row.get("n_valid", 1)
                total[0] += count * row["raw"]
                total[1] += count
    return {name: abs(total / count) for name, (total, count) in sums.items() if count and total}


def weights(candidate: Mapping[str, float], reference: Mapping[str, float]) -> dict[str, float]:
    """Every weight of a candidate times its term's reference value; other numbers (gamma, tau) have no such scale.

    Args:
        candidate: knob (`term.weight`, `composite.term.weight`) -> value.
        reference: of this data set and size, from `references`.
    """
    return {
        key: float(f"{value * reference[term]:.{DIGITS}g}")
        for key, value in candidate.items()
        if (term := _term(key)) is not None and term in reference
    }


def starting_points(
    path: Path, space: Sequence[Knob], reference: Mapping[str, float] | None = None
) -> list[dict[str, float]]:
    """The front of an old campaign as candidates of a new one, to be enqueued after the defaults.

    Args:
        path: result.json of the old campaign.
        space: of the new campaign; what the old one did not vary stays at its default, values beyond an end are put on
            it, candidates that thereby become equal, or the default, are one.
        reference: reference values of the new data and size; with them, weights whose terms have a reference value in
            both campaigns keep their scale-free size. None: weights are taken as they are.

    Raises:
        EquipoiseError: E_MISSING (66), E_JSON (65) for the file; E_CAMPAIGN_RESULT (65) when it is not a campaign's, or
            that of a campaign that varied nothing of this space.
    """
    space, document = tuple(space), strict_json.read(path)
    front = _front(path, document)
    old = _numbers(path, REFERENCE, document.get(REFERENCE, {}))
    found = [defaults(space)]
    for entry in front:
        if not entry.keys() & found[0].keys():
            known = ", ".join(knob.key for knob in space)
            raise _refused(path, f"its campaign must have varied one of {known}", ", ".join(entry))
        values = found[0] | {key: value for key, value in entry.items() if key in found[0]}
        point = rounded(space, {key: value * _factor(key, entry, old, reference) for key, value in values.items()})
        if point not in found:
            found.append(point)
    return found[1:]


def _term(key: str) -> str | None:
    """The dotted path of the term whose weight the key is; None for other numbers."""
    return key.removesuffix(WEIGHT) if key.endswith(WEIGHT) else None


def _factor(key: str, entry: Mapping[str, float], old: Mapping[str, float], new: Mapping[str, float] | None) -> float:
    """What takes a weight of the old campaign to the scale of the new one."""
    term = _term(key)
    if term is None or new is None or key not in entry or term not in old or term not in new:
        return 1.0
    return old[term] / new[term]


def _front(path: Path, document: Any) -> list[dict[str, float]]:
    front = document.get("front") if isinstance(document, Mapping) else None
    if not isinstance(front, list) or not front:
        raise _refused(path, "needs the front of a campaign", type(document).__name__)
    return [_numbers(path, "front", each.get("weights") if isinstance(each, Mapping) else None) for each in front]


def _numbers(path: Path, place: str, found: Any) -> dict[str, float]:
    """A JSON object of positive numbers."""
    if not isinstance(found, Mapping):
        raise _refused(path, f"{place} must hold numbers by name", type(found).__name__)
    for key, value in found.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not (value > 0 and math.isfinite(value)):
            rule = f"{place}: {key} must be a number above 0"
            raise _refused(path, rule, value)
    return {key: float(value) for key, value in found.items()}


def _refused(path: Path, rule: str, got: Any) -> EquipoiseError:
    hint = "Name the result.json of a campaign of this workload"
    return bad_data(str(path), rule, got=got, hint=hint, code="CAMPAIGN_RESULT")
