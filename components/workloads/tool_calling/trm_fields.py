"""The checked fields of one line of the TRM agent's JSONL: tools, history, values, spans."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from components.errors import EquipoiseError, bad_data
from components.workloads.tool_calling.dialogues import (
    ROLE_NAMES,
    TOOL_CALL,
    TOOL_RESPONSE,
    Message,
    Parameter,
    Span,
    Tool,
)

_SHARED = 4096  # distinct tool lists and mappings kept, so that samples share one object
_tools: dict[str, tuple[Tool, ...]] = {}
_mappings: dict[str, Mapping[str, str]] = {}


def refuse(place: str, rule: str, got: Any, hint: str) -> EquipoiseError:
    """E_DIALOGUE (65) for a line that is not as the TRM's specification says."""
    return bad_data(place, rule, got=got, hint=hint, code="DIALOGUE")


def check_keys(line: Mapping[str, Any], known: Iterable[str], place: str) -> None:
    """Refuses a key that is nearly a known one: a typo would silently drop a label. Other keys are the user's own."""
    names = list(known)
    for key in line:
        near = [] if key in names else difflib.get_close_matches(key, names, n=1, cutoff=0.7)
        if near and abs(len(near[0]) - len(key)) <= 1:
            raise refuse(place, "a key must not be nearly a known one", key, f"Did you mean `{near[0]}`?")


def text(value: Any, name: str, place: str, *, blank: bool = True) -> str:
    """`value`, when it is a text without NUL, and not blank unless that is allowed."""
    if not isinstance(value, str):
        raise refuse(place, f"{name} must be text", value, "Put it in quotes")
    if "\0" in value:
        raise refuse(place, f"{name} must not hold NUL characters", value, "Remove them")
    if not blank and not value.strip():
        raise refuse(place, f"{name} must not be blank", value, "Give it a name")
    return value


def texts(value: Any, name: str, place: str) -> Mapping[str, str]:
    """An object of texts, the same object for the same contents."""
    if not isinstance(value, dict):
        raise refuse(place, f"{name} must be an object of texts", value, 'Write {"name": "description"}')
    key = json.dumps(value)
    if key not in _mappings:
        for entry, description in value.items():
            text(entry, f"a name in {name}", place, blank=False)
            text(description, f"{name}.{entry}", place)
        _make_room(_mappings)
        _mappings[key] = dict(value)
    return _mappings[key]


def scalar(value: Any, name: str, place: str) -> str | None:
    """A labelled value as canonical text: numbers and booleans as JSON writes them, null as absent."""
    if value is None:
        return None
    if isinstance(value, str):
        return text(value, name, place)
    return text(json.dumps(value, ensure_ascii=False), name, place)


def read_tools(value: Any, place: str) -> tuple[Tool, ...]:
    """The offered tools, the same tuple for the same list."""
    if not isinstance(value, list):
        raise refuse(place, "tools must be a list", value, 'Write "tools": [{"name", "description", "parameters"}]')
    key = json.dumps(value)
    if key not in _tools:
        tools = tuple(_read_tool(tool, f"{place}: tools[{index}]") for index, tool in enumerate(value))
        names = [tool.name for tool in tools]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise refuse(place, "a tool must be offered once", twice, "Remove the second entry")
        _make_room(_tools)
        _tools[key] = tools
    return _tools[key]


def _make_room(shared: dict[str, Any]) -> None:
    if len(shared) >= _SHARED:
        del shared[next(iter(shared))]


def _read_tool(tool: Any, place: str) -> Tool:
    if isinstance(tool, dict) and tool.get("type") == "function" and isinstance(tool.get("function"), dict):
        tool = tool["function"]
    if not isinstance(tool, dict):
        raise refuse(place, "a tool must be an object", tool, 'Write {"name", "description", "parameters"}')
    check_keys(tool, ("name", "description", "parameters"), place)
    name = text(tool.get("name"), "a tool's name", place, blank=False)
    parameters = tool.get("parameters", {})
    if not isinstance(parameters, dict):
        raise refuse(place, "parameters must be an object", parameters, 'Write {"name": "description"}')
    return Tool(
        name,
        text(tool.get("description", ""), "a tool's description", place),
        tuple(_read_parameter(key, value, f"{place}.{key}") for key, value in _plain(parameters, place).items()),
    )


def _plain(parameters: dict[str, Any], place: str) -> dict[str, Any]:
    """Parameters written as JSON Schema (`{"type": "object", "properties", "required"}`) in the short form."""
    properties, required = parameters.get("properties"), parameters.get("required", [])
    if parameters.get("type") != "object" or not isinstance(properties, dict):
        return parameters
    if not isinstance(required, list) or any(name not in properties for name in required):
        raise refuse(place, "required must list properties", required, "Mend the tool's schema")
    plain = {}
    for name, schema in properties.items():
        if not isinstance(schema, dict):
            raise refuse(f"{place}.{name}", "a property must be an object", schema, "Mend the tool's schema")
        values = schema.get("enum", [])
        if isinstance(values, list):
            values = [value if isinstance(value, str) else json.dumps(value) for value in values]
        description = schema.get("description", "")
        plain[name] = {"description": description, "required": name in required, "values": values}
    return plain


def _read_parameter(name: str, value: Any, place: str) -> Parameter:
    text(name, "a parameter's name", place, blank=False)
    if not isinstance(value, dict):
        return Parameter(name, text(value, "a parameter's description", place))
    check_keys(value, ("description", "required", "values"), place)
    required, values = value.get("required", True), value.get("values", [])
    if not isinstance(required, bool):
        raise refuse(place, "required must be true or false", required, "Write true or false")
    if not isinstance(values, list):
        raise refuse(place, "values must be a list of texts", values, "Write every allowed value in a list")
    closed = tuple(text(item, "a value", place) for item in values)
    return Parameter(name, text(value.get("description", ""), "a parameter's description", place), required, closed)


def read_history(value: Any, place: str) -> tuple[Message, ...]:
    """The messages of a history, at least one.

    Raises:
        EquipoiseError: E_DIALOGUE (65) with the number of the message.
    """
    if not isinstance(value, list) or not value:
        raise refuse(
            place, "history must be a list of at least one message", value, 'Write "history": [{"role", "content"}]'
        )
    return tuple(_read_message(message, f"{place}: history[{index}]") for index, message in enumerate(value))


def _read_message(message: Any, place: str) -> Message:
    if not isinstance(message, dict):
        raise refuse(place, "a message must be an object", message, 'Write {"role", "content"}')
    name = message.get("role")
    role = ROLE_NAMES.get(name) if isinstance(name, str) else None
    if role is None:
        raise refuse(place, f"role must be one of {', '.join(ROLE_NAMES)}", name, "Name one of them")
    content = message.get("content")
    if role in (TOOL_CALL, TOOL_RESPONSE) and isinstance(content, (dict, list)):
        content = json.dumps(content, ensure_ascii=False)
    return Message(role, text(content, "content", place))


def read_spans(value: Any, names: Iterable[str], history: tuple[Message, ...], place: str) -> dict[str, Span]:
    """{name: [turn, start, end]} as spans, each inside its message."""
    if not isinstance(value, dict):
        raise refuse(place, "spans must be an object", value, 'Write {"name": [turn, start, end]}')
    spans = {}
    for name, item in value.items():
        if name not in names:
            raise refuse(place, "a span must belong to a labelled value", name, "Remove the span or label the value")
        if not isinstance(item, list) or len(item) != 3 or any(type(number) is not int for number in item):
            raise refuse(place, "a span must be [turn, start, end]", item, "Write three whole numbers")
        turn, start, end = item
        if not (0 <= turn < len(history) and 0 <= start < end <= len(history[turn].content)):
            raise refuse(place, "a span must lie inside its message", f"{name} {item}", "Count in characters from 0")
        spans[name] = Span(turn, start, end)
    return spans
