"""Labelled samples as they were read, kept beside the arrays: what evaluation, the gate and the baseline work on.

One gzip file of JSON lines a split. What conversations share is written once: an offer (tools, slots, intents) when it
first occurs, then per conversation its messages and its samples, which name their offer and their part of the messages.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.data.kept_lines import LineWriter, read_kept
from components.workloads.tool_calling.dialogues import Labels, Message, Parameter, Sample, Span, Tool

SPAN_FIELDS = ("argument_spans", "slot_spans")


class SampleWriter(LineWriter):
    """Writes one split's samples; the same samples give the same bytes."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._offers: dict[bytes, int] = {}
        self._shared: dict[tuple[int, int, int], tuple[int, Sample]] = {}

    def write(self, samples: Sequence[Sample]) -> None:
        """Samples of one conversation, in order."""
        messages: dict[tuple[int, str], int] = {}
        listed = []
        for sample in samples:
            history = [messages.setdefault((m.role, m.content), len(messages)) for m in sample.history]
            listed.append(
                {
                    "id": sample.id,
                    "offer": self._offer(sample),
                    "history": len(history) if history == list(range(len(history))) else history,
                    "service": sample.service,
                    "labels": None if sample.labels is None else _labels_to_json(sample.labels),
                }
            )
        self.line({"conversation": samples[0].conversation, "messages": list(messages), "samples": listed})

    def _offer(self, sample: Sample) -> int:
        key = (id(sample.tools), id(sample.slots), id(sample.intents))
        if key in self._shared:
            return self._shared[key][0]
        body = {
            "tools": [
                [t.name, t.description, [[p.name, p.description, p.required, p.values] for p in t.parameters]]
                for t in sample.tools
            ],
            "slots": dict(sample.slots),
            "intents": dict(sample.intents),
        }
        digest = hashlib.sha256(json.dumps(body).encode("ascii")).digest()  # offers are many where each is a mix
        number = self._offers.get(digest)
        if number is None:
            number = self._offers[digest] = len(self._offers)
            self.line({"offer": body})
        if len(self._shared) > 64:
            self._shared.clear()
        self._shared[key] = (number, sample)  # holding the sample keeps its ids from being given to others
        return number


def read_samples(path: Path) -> Iterator[Sample]:
    """The samples of a file that SampleWriter wrote, in its order; samples of a conversation share their messages.

    Raises:
        EquipoiseError: E_MISSING (66) without the file, E_DATA (65) when it is damaged.
    """
    offers: list[tuple[tuple[Tool, ...], dict[str, str], dict[str, str]]] = []

    def samples(value: Any) -> Iterator[Sample]:
        if "offer" in value:
            offers.append(_offer_from_json(value["offer"]))
        else:
            yield from _conversation(value, offers)

    return read_kept(path, samples)


def _conversation(value: Mapping[str, Any], offers: list) -> Iterator[Sample]:
    messages = [Message(role, content) for role, content in value["messages"]]
    for entry in value["samples"]:
        tools, slots, intents = offers[entry["offer"]]
        history = entry["history"]
        yield Sample(
            id=entry["id"],
            conversation=value["conversation"],
            tools=tools,
            history=tuple(messages[:history] if isinstance(history, int) else [messages[i] for i in history]),
            slots=slots,
            intents=intents,
            service=entry["service"],
            labels=None if entry["labels"] is None else _labels_from_json(entry["labels"]),
        )


def _offer_from_json(body: Mapping[str, Any]) -> tuple[tuple[Tool, ...], dict[str, str], dict[str, str]]:
    tools = tuple(
        Tool(
            name,
            text,
            tuple(Parameter(p, described, required, tuple(values)) for p, described, required, values in params),
        )
        for name, text, params in body["tools"]
    )
    return tools, body["slots"], body["intents"]


def _labels_to_json(labels: Labels) -> dict[str, Any]:
    body = {name: value for name, value in vars(labels).items() if value or name == "decision"}
    for name in SPAN_FIELDS:
        if name in body:
            body[name] = {key: [span.turn, span.start, span.end] for key, span in body[name].items()}
    for name in ("arguments", "slots", "spellings"):
        if name in body:
            body[name] = dict(body[name])
    return body


def _labels_from_json(body: Mapping[str, Any]) -> Labels:
    values = dict(body)
    for name in SPAN_FIELDS:
        values[name] = {key: Span(*place) for key, place in body.get(name, {}).items()}
    values["spellings"] = {key: tuple(forms) for key, forms in body.get("spellings", {}).items()}
    return Labels(**values)
