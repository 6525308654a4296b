"""One line of the TRM agent's JSONL and one sample, in both directions.

A line: `tools`, `history`, `decision`, `tool` {name, arguments}, `slots` {name: value}, `intent`, `content`; optional
`conversation`, `service`, `slot_descriptions` {name: description} and, in requests, `intents` and `given_tool`. What a
sample knows beyond the format (spans, spellings, its id) travels in the key `equipoise`, so that a stored sample is
read back identically.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from components.workloads.tool_calling.dialogues import (
    DECISIONS,
    ROLES,
    TOOL_CALL,
    USER,
    FoundSpan,
    Labels,
    Message,
    Prediction,
    Sample,
    Span,
    Tool,
)
from components.workloads.tool_calling.text_spans import find_span_in_text
from components.workloads.tool_calling.trm_fields import (
    check_keys,
    read_history,
    read_spans,
    read_tools,
    refuse,
    scalar,
    text,
    texts,
)

KEYS = (
    *("tools", "history", "decision", "slots", "tool", "content", "intent"),
    *("conversation", "service", "slot_descriptions", "intents", "given_tool", "equipoise"),
)
NO_MAP: Mapping[str, str] = {}


def parse_line(
    line: Any,
    place: str,
    labelled: bool = True,
    intents: Mapping[str, str] | None = None,
    slot_names: Mapping[str, str] = NO_MAP,
) -> Sample:
    """The sample that a line describes.

    Args:
        line: the parsed JSON value.
        place: `file:line`; its last part becomes the sample's id unless the line carries one.
        labelled: whether labels must be there (training, evaluation) or are ignored (requests).
        intents: the intent map; a labelled intent must stand in it. None: the line's own `intents`, unchecked.
        slot_names: slots known from the rest of the data beside the parameters of the offered tools.

    Raises:
        EquipoiseError: E_DIALOGUE (65) with place, rule, value and hint.
    """
    if not isinstance(line, dict):
        raise refuse(place, "a line must be an object", line, "Write one JSON object a line")
    check_keys(line, KEYS, place)
    for key in ("tools", "history"):
        if key not in line:
            raise refuse(place, f"`{key}` must be present", sorted(line)[:12], f"Add `{key}`")
    tools, history = read_tools(line["tools"], place), read_history(line["history"], place)
    kept = _kept(line, place)
    if kept is not None:
        slots, known = texts(kept["slots"], "slots", place), texts(kept["intents"], "intents", place)
    else:
        described = texts(line.get("slot_descriptions", {}), "slot_descriptions", place)
        slots = texts({**slot_names, **_parameters(tools), **described}, "slots", place)
        known = intents if intents is not None else texts(line.get("intents", {}), "intents", place)
    labels = None
    if labelled:
        labels = _read_labels(line, tools, history, known if kept or intents is not None else None, kept, place)
        unknown = {name: "" for name in labels.slots if name not in slots}
        slots = texts({**slots, **unknown}, "slots", place) if unknown else slots
    named = kept or line
    return Sample(
        id=text(kept["id"], "id", place) if kept else place.replace("\\", "/").rsplit("/", 1)[-1],
        conversation=_conversation(named, history, tools, place),
        tools=tools,
        history=history,
        slots=slots,
        intents=known,
        service=_service(named, labels, place),
        labels=labels,
    )


def read_request(line: Any, place: str) -> Sample:
    """A sample to be answered: like a line, labels ignored; `given_tool`, if named, must be offered, and the answer
    has its arguments as well.

    Raises:
        EquipoiseError: E_DIALOGUE (65).
    """
    sample = parse_line(line, place, labelled=False)
    given = line.get("given_tool")
    if given is not None and given not in [tool.name for tool in sample.tools]:
        raise refuse(place, "given_tool must be one of the offered tools", given, "Offer the tool or drop the key")
    return replace(sample, given_tool=given)


def _kept(line: Mapping[str, Any], place: str) -> dict[str, Any] | None:
    """What `sample_to_json` added, with every part there."""
    if "equipoise" not in line:
        return None
    kept = line["equipoise"]
    parts = {"id", "conversation", "service", "slots", "intents", "argument_spans", "slot_spans", "spellings"}
    if not isinstance(kept, dict) or set(kept) != parts:
        raise refuse(place, f"equipoise must hold {', '.join(sorted(parts))}", kept, "Prepare the data again")
    return kept


def _parameters(tools: tuple[Tool, ...]) -> dict[str, str]:
    """Every parameter of the offered tools; of two with one name the tool first in the alphabet describes it."""
    found: dict[str, str] = {}
    for tool in sorted(tools, key=lambda tool: tool.name):
        for parameter in tool.parameters:
            found.setdefault(parameter.name, parameter.description)
    return found


def _conversation(line: Mapping[str, Any], history: tuple[Message, ...], tools: tuple[Tool, ...], place: str) -> str:
    if "conversation" in line:
        return text(line["conversation"], "conversation", place, blank=False)
    first = next((message.content for message in history if message.role == USER), history[0].content)
    key = json.dumps([first, sorted(tool.name for tool in tools)])
    return hashlib.sha256(key.encode("utf-8")).hexdigest()[:16]


def _service(line: Mapping[str, Any], labels: Labels | None, place: str) -> str:
    if "service" in line:
        return text(line["service"], "service", place)
    name = labels.tool if labels and labels.tool else ""
    return name.rsplit(".", 1)[0] if "." in name else ""


def _read_labels(
    line: Mapping[str, Any],
    tools: tuple[Tool, ...],
    history: tuple[Message, ...],
    intents: Mapping[str, str] | None,
    kept: dict[str, Any] | None,
    place: str,
) -> Labels:
    decision = line.get("decision")
    if decision not in DECISIONS:
        raise refuse(place, f"decision must be {' or '.join(DECISIONS)}", decision, "Label the line with one of them")
    tool, arguments = _read_call(line.get("tool"), decision == "tool_call", tools, place)
    intent = line.get("intent")
    if intent is not None and intents is not None and text(intent, "intent", place) not in intents:
        raise refuse(place, "intent must stand in the intent map", intent, "Add it to intend.json or mend the label")
    text(line.get("content") or "", "content", place)
    slots = _values(line.get("slots") or {}, "slots", place)
    if kept is not None:
        return Labels(
            decision=DECISIONS.index(decision),
            tool=tool,
            intent=intent,
            arguments=arguments,
            argument_spans=read_spans(kept["argument_spans"], arguments, history, f"{place}: argument_spans"),
            slots=slots,
            slot_spans=read_spans(kept["slot_spans"], slots, history, f"{place}: slot_spans"),
            spellings=_spellings(kept["spellings"], place),
        )
    return Labels(
        decision=DECISIONS.index(decision),
        tool=tool,
        intent=None if intent is None else text(intent, "intent", place, blank=False),
        arguments=arguments,
        argument_spans=locate(arguments, history),
        slots=slots,
        slot_spans=locate(slots, history),
        spellings={name: (value,) for name, value in arguments.items()},
    )


def _read_call(call: Any, called: bool, tools: tuple[Tool, ...], place: str) -> tuple[str | None, dict[str, str]]:
    name = call.get("name") if isinstance(call, dict) else None
    if not called:
        if call is not None and (not isinstance(call, dict) or name):
            raise refuse(place, "a direct_answer must not name a tool", call, "Drop `tool` or label a tool_call")
        return None, {}
    if not isinstance(call, dict) or not name:
        raise refuse(place, "a tool_call must have tool {name, arguments}", call, "Name the tool that is called")
    tool = next((tool for tool in tools if tool.name == name), None)
    if tool is None:
        offered = ", ".join(sorted(t.name for t in tools)[:8]) or "none"
        raise refuse(place, "the called tool must be one of the offered tools", name, f"Offered: {offered}")
    arguments = _values(call.get("arguments") or {}, "arguments", place)
    known = {parameter.name for parameter in tool.parameters}
    for argument in arguments:
        if argument not in known:
            allowed = ", ".join(sorted(known)) or "none"
            raise refuse(place, f"an argument must be a parameter of {name}", argument, f"Its parameters: {allowed}")
    return name, arguments


def _values(value: Any, name: str, place: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise refuse(place, f"{name} must be an object", value, 'Write {"name": "value"}')
    found = {}
    for key, item in value.items():
        text(key, f"a name in {name}", place, blank=False)
        if (canonical := scalar(item, f"{name}.{key}", place)) is not None:
            found[key] = canonical
    return found


def _spellings(value: Any, place: str) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict) or not all(isinstance(forms, list) for forms in value.values()):
        raise refuse(place, "spellings must be lists of texts", value, "Prepare the data again")
    return {name: tuple(text(form, f"spellings.{name}", place) for form in forms) for name, forms in value.items()}


def locate(values: Mapping[str, str], history: tuple[Message, ...]) -> dict[str, Span]:
    """The first place each value was said by the user, the assistant or a tool's response."""
    found = {}
    for name, value in values.items():
        for turn, message in enumerate(history):
            if message.role != TOOL_CALL and (span := find_span_in_text(message.content, value)):
                found[name] = Span(turn, *span)
                break
    return found


def sample_to_json(sample: Sample) -> dict[str, Any]:
    """The sample as a line that `parse_line` reads back identically."""
    line: dict[str, Any] = {
        "tools": [_tool_to_json(tool) for tool in sample.tools],
        "history": [{"role": ROLES[message.role], "content": message.content} for message in sample.history],
    }
    labels = sample.labels or Labels(0)
    if sample.labels is not None:
        line["decision"] = DECISIONS[labels.decision]
        line["tool"] = {"name": labels.tool, "arguments": dict(labels.arguments)} if labels.decision else None
        line["slots"] = dict(labels.slots)
        line["intent"] = labels.intent
    line["equipoise"] = {
        "id": sample.id,
        "conversation": sample.conversation,
        "service": sample.service,
        "slots": dict(sample.slots),
        "intents": dict(sample.intents),
        "argument_spans": _spans_to_json(labels.argument_spans),
        "slot_spans": _spans_to_json(labels.slot_spans),
        "spellings": {name: list(forms) for name, forms in labels.spellings.items()},
    }
    return line


def _tool_to_json(tool: Tool) -> dict[str, Any]:
    parameters = {
        p.name: p.description
        if p.required and not p.values
        else {"description": p.description, "required": p.required, "values": list(p.values)}
        for p in tool.parameters
    }
    return {"name": tool.name, "description": tool.description, "parameters": parameters}


def _spans_to_json(spans: Mapping[str, Span]) -> dict[str, list[int]]:
    return {name: [span.turn, span.start, span.end] for name, span in spans.items()}


def render(prediction: Prediction) -> dict[str, Any]:
    """The answer as a user sees it: no tool and no arguments when the decision is to answer directly.

    Offsets count characters of the message `turn` of the history; `confidence` is the probability of the decision made.
    A request that named a tool also gets `given_tool`: {"name", "arguments"}, whatever was decided.
    """
    called = prediction.decision_probability >= 0.5 and prediction.tool is not None
    probability = prediction.decision_probability
    answer = {
        "decision": DECISIONS[called],
        "confidence": round(probability if called else 1.0 - probability, 6),
        "tool": prediction.tool if called else None,
        "tool_confidence": round(prediction.tool_confidence, 6),
        "arguments": _found_to_json(prediction.arguments) if called else {},
        "slots": _found_to_json(prediction.slots),
        "intent": prediction.intent,
        "steps": prediction.steps,
    }
    if prediction.given_tool is None:
        return answer
    named = {"name": prediction.given_tool, "arguments": _found_to_json(prediction.given_arguments)}
    return answer | {"given_tool": named}


def _found_to_json(found: Mapping[str, FoundSpan]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "text": span.text,
            "turn": span.turn,
            "start": span.start,
            "end": span.end,
            "confidence": round(span.confidence, 6),
        }
        for name, span in found.items()
    }
