"""Which numbers of the loss a campaign varies, between which ends, and how a candidate's numbers enter the recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.errors import EquipoiseError, Exit, misconfigured
from components.tuning.nearest import nearest_hint

DIGITS = 4  # of a weight: what people review is what was trained


@dataclass(frozen=True)
class Knob:
    """A number of the loss section: key `term.weight`, the ends of its log-uniform range, its default."""

    key: str
    low: float
    high: float
    default: float


def knobs(name: str, section: Any) -> tuple[Knob, ...]:
    """The numbers in section.tuning.space, in its order.

    Raises:
        EquipoiseError: E_CONFIG_KEY (78) for a key the loss does not have, with the nearest that it has; E_CONFIG (78)
            for an empty space or a default outside of its range.
    """
    place, known = f"params.yaml: {name}.tuning.space", tunable(section.loss)
    if not section.tuning.space:
        raise misconfigured(place, "must name a weight", got="nothing", hint="Add for example decision.weight")
    found = []
    for key, (low, high) in section.tuning.space.items():
        if key not in known:
            raise _unknown(place, key, known)
        if not low <= known[key] <= high:
            rule = f"{key} must lie in its range [{low:g}, {high:g}], because candidate 0 is the default"
            hint = f"Widen the range or change {name}.loss.{key}"
            raise misconfigured(place, rule, got=known[key], hint=hint)
        found.append(Knob(key, low, high, known[key]))
    return tuple(found)


def tunable(loss: Any) -> dict[str, float]:
    """Every number of the loss section as `term.key`, or `composite.term.key`: weights first of all, also gamma,
    alpha, tau."""
    return dict(_numbers(loss.model_dump(mode="json"), ""))


def _numbers(values: Mapping[str, Any], above: str) -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{above}{name}.")
        elif above and isinstance(value, (int, float)) and not isinstance(value, bool):
            yield f"{above}{name}", float(value)


def defaults(space: tuple[Knob, ...]) -> dict[str, float]:
    """Every knob at its default: trial 0 of a campaign."""
    return {knob.key: knob.default for knob in space}


def rounded(space: tuple[Knob, ...], values: Mapping[str, float]) -> dict[str, float]:
    """Suggested numbers with four digits, inside their ranges; a default stays exactly as it is."""
    found = {}
    for knob in space:
        value = values[knob.key]
        if value != knob.default:
            value = min(max(float(f"{value:.{DIGITS}g}"), knob.low), knob.high)
        found[knob.key] = value
    return found


def with_weights(section: Any, weights: Mapping[str, float]) -> Any:
    """The section as a candidate trains it: its weights, and as many epochs as section.tuning gives a candidate."""
    values = section.model_dump(mode="json")
    for key, value in weights.items():
        *above, name = key.split(".")
        here = values["loss"]
        for part in above:
            here = here[part]
        here[name] = value
    values["training"]["epochs"] = section.tuning.epochs
    return type(section).model_validate(values)


def _unknown(place: str, key: str, known: Mapping[str, float]) -> EquipoiseError:
    return EquipoiseError("CONFIG_KEY", place, "no such number in the loss", got=key, hint=nearest_hint(key, known),
                          exit_code=Exit.CONFIGURATION)  # fmt: skip
