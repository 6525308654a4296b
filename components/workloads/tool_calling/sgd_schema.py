"""The schema of Schema-Guided Dialogue as tools, slots and intents, and the checks of its published form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.data import strict_json
from components.errors import EquipoiseError, bad_data
from components.workloads.tool_calling.dialogues import Parameter, Tool

NO_INTENT = "NONE"
HINT = "Fetch the file again from its source, or leave it out"


@dataclass(frozen=True)
class Service:
    """A service of a schema as the dialogues of it need it."""

    tools: Mapping[str, Tool]  # by method
    slots: Mapping[str, str]  # qualified name -> description, open values only
    intents: Mapping[str, str]  # qualified name -> description, with NONE


def read_schema(raw: bytes, place: str) -> dict[str, Service]:
    """The services of a schema file by name.

    Raises:
        EquipoiseError: E_SGD (65) for what is no schema, E_JSON (65) for what is no JSON.
    """
    schema = strict_json.loads(raw, place)
    if not isinstance(schema, list) or not schema:
        raise refuse(place, "a schema must be a list of services", schema, HINT)
    services: dict[str, Service] = {}
    for number, entry in enumerate(schema):
        where = f"{place}: service {number + 1}"
        name = text_field(entry, "service_name", where)
        if name in services:
            raise refuse(where, "a service must stand once in a schema", name, HINT)
        services[name] = _read_service(name, entry, where)
    return services


def _read_service(name: str, entry: dict[str, Any], place: str) -> Service:
    slots = {text_field(slot, "name", place): slot for slot in list_field(entry, "slots", place)}
    tools: dict[str, Tool] = {}
    intents: dict[str, str] = {}
    for intent in list_field(entry, "intents", place):
        method, description = text_field(intent, "name", place), text_field(intent, "description", place)
        required = list_field(intent, "required_slots", place)
        optional = [slot for slot in object_field(intent, "optional_slots", place) if slot not in required]
        unknown = [slot for slot in (*required, *optional) if slot not in slots]
        if unknown:
            raise refuse(f"{place}, intent {method}", "its slots must be slots of the service", unknown[0], HINT)
        parameters = [_parameter(slots[s], s, True, place) for s in required]
        parameters += [_parameter(slots[s], s, False, place) for s in optional]
        tools[method] = Tool(f"{name}.{method}", description, tuple(parameters))
        intents[f"{name}.{method}"] = description
    intents[f"{name}.{NO_INTENT}"] = "no active intent"
    open_slots = {
        f"{name}.{key}": text_field(slot, "description", place)
        for key, slot in slots.items()
        if not slot.get("is_categorical")
    }
    return Service(tools, open_slots, intents)


def _parameter(slot: dict[str, Any], name: str, required: bool, place: str) -> Parameter:
    values = list_field(slot, "possible_values", place) if slot.get("is_categorical") else []
    return Parameter(name, text_field(slot, "description", place), required, tuple(str(value) for value in values))


@dataclass(frozen=True)
class Offer:
    """What a dialogue's services put on the table, built once for each set of services."""

    tools: tuple[Tool, ...]
    slots: Mapping[str, str]
    intents: Mapping[str, str]


def offer_of(names: tuple[str, ...], services: Mapping[str, Service], place: str) -> Offer:
    """What a dialogue with these services offers: their tools, slots and intents together.

    Raises:
        EquipoiseError: E_SGD (65) for a service that the schema lacks, or for none.
    """
    unknown = [name for name in names if name not in services]
    if unknown or not names:
        raise refuse(place, "a dialogue's services must stand in the schema", unknown or "no services", HINT)
    chosen = [services[name] for name in names]
    return Offer(
        tuple(tool for service in chosen for tool in service.tools.values()),
        {name: text for service in chosen for name, text in service.slots.items()},
        {name: text for service in chosen for name, text in service.intents.items()},
    )


def check_turn(turn: Any, index: int, place: str) -> tuple[str, list[dict[str, Any]]]:
    """The utterance and the frames of a turn whose every field that is used later has the right form."""
    expected = "SYSTEM" if index % 2 else "USER"
    if text_field(turn, "speaker", place) != expected:
        raise refuse(place, f"speakers must alternate, {expected} is next", turn["speaker"], HINT)
    utterance = text_field(turn, "utterance", place)
    frames = list_field(turn, "frames", place)
    if not frames and expected == "USER":
        raise refuse(place, "a user's turn must have a frame", "none", HINT)
    for frame in frames:
        text_field(frame, "service", place)
        for slot in list_field(frame, "slots", place):
            _check_slot(slot, utterance, place)
        for action in list_field(frame, "actions", place):
            text_field(action, "act", place)
            text_field(action, "slot", place)
            said, canonical = list_field(action, "values", place), list_field(action, "canonical_values", place)
            if len(said) != len(canonical) or not all(isinstance(v, str) for v in (*said, *canonical)):
                raise refuse(place, "values and canonical_values must be texts in pairs", (said, canonical), HINT)
        if expected == "USER":
            state = object_field(frame, "state", place)
            text_field(state, "active_intent", place)
            for name, values in object_field(state, "slot_values", place).items():
                if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
                    raise refuse(place, "slot_values must be lists of text", f"{name}={values!r}", HINT)
    return utterance, frames


def _check_slot(slot: Any, utterance: str, place: str) -> None:
    text_field(slot, "slot", place)
    start, end = slot.get("start"), slot.get("exclusive_end")
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= len(utterance):
        rule = f"a span must lie inside the utterance of {len(utterance)} characters"
        raise refuse(place, rule, f"{slot['slot']} [{start}, {end})", HINT)


def text_field(owner: Any, key: str, place: str) -> str:
    """A field that must be text; E_SGD (65) names it otherwise."""
    return _field(owner, key, str, "text", place)


def list_field(owner: Any, key: str, place: str) -> list[Any]:
    """A field that must be a list; E_SGD (65) names it otherwise."""
    return _field(owner, key, list, "a list", place)


def object_field(owner: Any, key: str, place: str) -> dict[str, Any]:
    """A field that must be an object; E_SGD (65) names it otherwise."""
    return _field(owner, key, dict, "an object", place)


def _field(owner: Any, key: str, kind: type, name: str, place: str) -> Any:
    if not isinstance(owner, dict):
        raise refuse(place, f"must be an object with `{key}`", owner, HINT)
    value = owner.get(key)
    if not isinstance(value, kind):
        raise refuse(place, f"`{key}` must be {name}", value if key in owner else "nothing", HINT)
    return value


def refuse(place: str, rule: str, got: Any, hint: str) -> EquipoiseError:
    """E_SGD (65) for a published file that is not as its documentation says."""
    return bad_data(place, rule, got=got, hint=hint, code="SGD")
