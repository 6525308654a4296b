"""Which numbers of the loss a campaign varies, between which ends, and how a candidate's numbers enter the recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from components.errors import EquipoiseError, Exit, misconfigured
from components.tuning.nearest import nearest_hint
from components.tuning.study_settings import FIXED, recipe_keys

DIGITS = 4  # of a weight: what people review is what was trained
SCREENED = ("model", "training")  # the parts of a section that a screen may change


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
    return numbers(loss.model_dump(mode="json"))


def numbers(loss: Mapping[str, Any]) -> dict[str, float]:
    """The same of a loss section as plain values."""
    return dict(_numbers(loss, ""))


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
    """The section as a candidate trains it at full length: its weights, and section.tuning.epochs."""
    values = section.model_dump(mode="json")
    for key, value in weights.items():
        _put(values["loss"], key, value)
    values["training"]["epochs"] = section.tuning.epochs
    return type(section).model_validate(values)


def screened(name: str, section: Any) -> Any:
    """The section as the screen trains it: section.tuning.screen's epochs and changes; as it is without a screen.

    Raises:
        EquipoiseError: E_CONFIG_KEY (78) for a change of what is no value of the model or the training, with the
            nearest that is; E_CONFIG (78) for a value that the section refuses.
    """
    screen = section.tuning.screen
    if screen is None:
        return section
    place, values = f"params.yaml: {name}.tuning.screen.changes", section.model_dump(mode="json")
    known = [key for key in recipe_keys(section) if key.partition(".")[0] in SCREENED and key not in FIXED]
    for key, value in screen.changes.items():
        if key not in known:
            raise EquipoiseError("CONFIG_KEY", place, "no such value of the model or the training", got=key,
                                 hint=nearest_hint(key, known), exit_code=Exit.CONFIGURATION)  # fmt: skip
        _put(values, key, value)
    values["tuning"]["epochs"] = screen.epochs
    try:
        return type(section).model_validate(values)
    except ValidationError as error:
        rule, first = str(error.errors()[0]["msg"]).removeprefix("Value error, "), error.errors()[0]
        hint = "Give a value that params.yaml would take there"
        raise misconfigured(place, rule[0].lower() + rule[1:], got=first.get("input"), hint=hint) from error


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    *above, last = key.split(".")
    for part in above:
        values = values[part]
    values[last] = value


def _unknown(place: str, key: str, known: Mapping[str, float]) -> EquipoiseError:
    return EquipoiseError("CONFIG_KEY", place, "no such number in the loss", got=key, hint=nearest_hint(key, known),
                          exit_code=Exit.CONFIGURATION)  # fmt: skip
