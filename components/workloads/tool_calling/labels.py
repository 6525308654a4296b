"""What a sample is offered, as element ids, and its labels as indices into that offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from components.errors import bad_data
from components.workloads.tool_calling.dialogues import Labels, Sample, Span
from components.workloads.tool_calling.elements import ElementTable
from components.workloads.tool_calling.rows import Column


@dataclass(frozen=True)
class Offer:
    """The elements of a row and where names stand among them.

    Attributes:
        tools, slots, intents: element ids; tools and intents by name, slots by name, description and values.
        tool_index, intent_index: name -> index in those lists.
        asked: slot names of the sample -> index in slots.
        params: tool name -> [(parameter name, index in slots)], by name.
    """

    tools: tuple[int, ...]
    slots: tuple[int, ...]
    intents: tuple[int, ...]
    tool_index: Mapping[str, int]
    intent_index: Mapping[str, int]
    asked: Mapping[str, int]
    params: Mapping[str, tuple[tuple[str, int], ...]]


@dataclass
class LabelColumns:
    """Columns of Rows that hold labels, and the character spans still to be turned into tokens.

    `spans["slot"]` and `spans["arg"]` have lists query, sample, turn, start, end (one entry a span) and unknown
    (queries whose value stands nowhere).
    """

    columns: dict[str, Column] = field(default_factory=dict)
    spans: dict[str, dict[str, list[int]]] = field(default_factory=dict)


def offer_of(sample: Sample, table: ElementTable) -> Offer:
    """Adds what the sample is offered to the table.

    Raises:
        EquipoiseError: E_DATA (65) when two tools, or two parameters of a tool, have one name.
    """
    tools = sorted(sample.tools, key=lambda tool: tool.name)
    _unique(sample, "tools", [tool.name for tool in tools])
    by_text: dict[tuple[str, str], int] = {}
    elements: dict[int, tuple] = {}
    for tool in tools:
        _unique(sample, f"tool {tool.name}", [p.name for p in tool.parameters])
        for p in sorted(tool.parameters, key=lambda p: (p.name, p.description, p.values)):
            element = table.parameter(p)
            elements[element] = (p.name, p.description, p.values)
            by_text.setdefault((p.name, p.description), element)
    asked: dict[str, int] = {}
    for name, text in sorted(sample.slots.items()):
        element = by_text.get((name, text))
        if element is None:
            element = table.slot(name, text)
            elements[element] = (name, text, ())
        asked[name] = element
    slots = sorted(elements, key=lambda e: elements[e])
    place = {element: i for i, element in enumerate(slots)}
    intents = sorted(sample.intents.items())
    return Offer(
        tools=tuple(table.tool(tool) for tool in tools),
        slots=tuple(slots),
        intents=tuple(table.intent(name, text) for name, text in intents),
        tool_index={tool.name: i for i, tool in enumerate(tools)},
        intent_index={name: i for i, (name, _) in enumerate(intents)},
        asked={name: place[element] for name, element in asked.items()},
        params={
            tool.name: tuple((p.name, place[table.parameter(p)]) for p in sorted(tool.parameters, key=lambda p: p.name))
            for tool in tools
        },
    )


def _unique(sample: Sample, what: str, names: Sequence[str]) -> None:
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise _contradiction(sample, what, "names must not stand twice", twice)


def label_columns(samples: Sequence[Sample], offers: Sequence[Offer]) -> LabelColumns:
    """Labels of the samples as indices into their offers; span columns are left to the caller.

    Raises:
        EquipoiseError: E_DATA (65) for a label that contradicts its sample.
    """
    out = LabelColumns()
    kinds = ("query", "sample", "turn", "start", "end", "unknown")
    out.spans = {kind: {name: [] for name in kinds} for kind in ("slot", "arg")}
    decision, tool, intent = [], [], []
    arguments: list[tuple[int, int, int, int]] = []
    slot_sample, slot_element = [], []
    asked_before = 0
    for i, (sample, offer) in enumerate(zip(samples, offers, strict=True)):
        labels = sample.labels
        if labels is not None:
            _check(sample, labels, offer)
        decision.append(-1 if labels is None else labels.decision)
        tool.append(-1 if labels is None or labels.tool is None else offer.tool_index[labels.tool])
        intent.append(-1 if labels is None or labels.intent is None else offer.intent_index.get(labels.intent, -1))
        slot_sample.append(len(offer.asked))
        slot_element.extend(offer.asked.values())
        if labels is not None:
            names = {name: asked_before + q for q, name in enumerate(offer.asked)}
            _collect(i, sample, names, labels.slots, labels.slot_spans, out.spans["slot"])
        asked_before += len(offer.asked)
        if labels is not None and labels.tool is not None:
            params = offer.params[labels.tool]
            names = {name: len(arguments) + q for q, (name, _) in enumerate(params)}
            _collect(i, sample, names, labels.arguments, labels.argument_spans, out.spans["arg"])
            arguments.extend((i, tool[-1], element, q) for q, (_, element) in enumerate(params))
    table = np.array(arguments, dtype=np.int32).reshape(-1, 4)
    out.columns = {
        "decision": decision,
        "tool": tool,
        "intent": intent,
        "slot_sample": np.repeat(np.arange(len(samples)), slot_sample),
        "slot_element": slot_element,
        **{name: table[:, k] for k, name in enumerate(("arg_sample", "arg_tool", "arg_element", "arg_index"))},
    }
    return out


def _collect(
    index: int,
    sample: Sample,
    queries: Mapping[str, int],
    values: Mapping[str, str],
    spans: Mapping[str, Span],
    out: dict[str, list[int]],
) -> None:
    for name, span in spans.items():
        if name not in queries:
            continue
        if not (
            0 <= span.turn < len(sample.history)
            and 0 <= span.start < span.end <= len(sample.history[span.turn].content)
        ):
            raise _contradiction(sample, f"span of {name}", "must lie within its message", str(span))
        for key, value in zip(
            ("query", "sample", "turn", "start", "end"),
            (queries[name], index, span.turn, span.start, span.end),
            strict=True,
        ):
            out[key].append(value)
    out["unknown"] += [queries[name] for name in values if name not in spans and name in queries]


def _check(sample: Sample, labels: Labels, offer: Offer) -> None:
    if labels.decision not in (0, 1):
        raise _contradiction(sample, "decision", "must be 0 (direct answer) or 1 (tool call)", labels.decision)
    if labels.decision == 1 and labels.tool is None:
        raise _contradiction(sample, "tool", "must be named when a tool is called", "none")
    if labels.tool is None:
        return
    if labels.tool not in offer.tool_index:
        raise _contradiction(sample, "tool", "must be one of the offered tools", labels.tool)
    known = {name for name, _ in offer.params[labels.tool]}
    for name in (*labels.arguments, *labels.argument_spans):
        if name not in known:
            raise _contradiction(sample, f"arguments of {labels.tool}", "must be parameters of that tool", name)


def _contradiction(sample: Sample, place: str, rule: str, got: object) -> Exception:
    return bad_data(f"sample {sample.id}: {place}", rule, got=got, hint="Mend or remove that sample")
