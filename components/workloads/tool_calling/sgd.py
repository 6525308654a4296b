"""Schema-Guided Dialogue as published: every turn of the system is one decision, seen from what was said before it.

The annotation of the turn to be decided (its actions, call, results, utterance) and the dialogue states never reach a
sample's input: they are labels. Files are read one after another, so memory does not grow with the data.
Source of the format: Rastogi et al. 2020 (arXiv 1909.05855).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.data import strict_json
from components.errors import EquipoiseError, missing
from components.workloads.tool_calling.dialogues import (
    ASSISTANT,
    TOOL_CALL,
    TOOL_RESPONSE,
    USER,
    Labels,
    Message,
    Sample,
    Span,
)
from components.workloads.tool_calling.sgd_files import describe, origins, split_name
from components.workloads.tool_calling.sgd_schema import (
    HINT,
    Offer,
    Service,
    check_turn,
    list_field,
    object_field,
    offer_of,
    read_schema,
    refuse,
    text_field,
)
from components.workloads.tool_calling.sgd_spans import Mentions, argument_span, spellings

SHOWN_RESULTS = 2


def is_sgd(source: Path) -> bool:
    """Whether `source` is a place `read_sgd` takes, judged by names only."""
    try:
        return bool(origins(source))
    except EquipoiseError:
        return False


def read_sgd(source: Path) -> Iterator[tuple[str, Sample]]:
    """Every decision of every dialogue, in the order of the files.

    `source` is a folder with archives `sgd_train*.tar.gz` and `sgd_dev.tar.gz`, a folder with sub-folders `train` and
    `dev`, one such sub-folder, or one archive. What lies in a folder named `dev` is the split "test"; `test` is that
    where there is no `dev` (with both, `dev` is used and `test` left alone); everything else is "train".

    Yields:
        (split, sample) with split "train" or "test"; tools, slots and intents are shared between samples, histories of
        one dialogue are prefixes of each other.

    Raises:
        EquipoiseError: E_MISSING (66) without data, E_SGD, E_JSON or E_ARCHIVE (65) naming file, dialogue and turn.
    """
    parts = origins(source)
    if not parts:
        raise missing(
            str(source),
            "must hold dialogues_*.json with schema.json, in folders or archives",
            got=describe(source),
            hint="Name the folder or archive of the published data set",
        )
    folders = {folder for part in parts for folder in part.folders}
    has_dev = any(split_name(folder) == "dev" for folder in folders)
    for part in parts:
        services = {folder: read_schema(raw, place) for folder, place, raw in part.schemas()}
        for folder, place, raw in part.dialogues():
            name = split_name(folder)
            if name == "test" and has_dev:
                continue
            if folder not in services:
                raise refuse(place, "a schema.json must lie beside the dialogues", "none", HINT)
            split = "test" if name in ("dev", "test") else "train"
            yield from _read_file(raw, place, split, services[folder])


def _read_file(raw: bytes, place: str, split: str, services: Mapping[str, Service]) -> Iterator[tuple[str, Sample]]:
    dialogues = strict_json.loads(raw, place)
    if not isinstance(dialogues, list):
        raise refuse(place, "a dialogue file must be a list of dialogues", dialogues, HINT)
    offers: dict[tuple[str, ...], Offer] = {}
    seen: set[str] = set()
    for number, dialogue in enumerate(dialogues):
        name = text_field(dialogue, "dialogue_id", f"{place}: dialogue {number + 1}")
        where = f"{place}: dialogue {name}"
        if name in seen:
            raise refuse(where, "a dialogue_id must stand once in a file", name, HINT)
        seen.add(name)
        names = tuple(str(service) for service in list_field(dialogue, "services", where))
        if names not in offers:
            offers[names] = offer_of(names, services, where)
        for sample in _samples(dialogue, f"{split}/{name}", offers[names], services, where):
            yield split, sample


def _samples(
    dialogue: dict[str, Any], conversation: str, offer: Offer, services: Mapping[str, Service], place: str
) -> Iterator[Sample]:
    """One sample a system turn. A turn is looked into for labels first and becomes history afterwards."""
    history: list[Message] = []
    mentions = Mentions()
    user_turn: tuple[int, list[dict[str, Any]], str] | None = None
    for index, turn in enumerate(list_field(dialogue, "turns", place)):
        where = f"{place}, turn {index}"
        utterance, frames = check_turn(turn, index, where)
        if index % 2:
            assert user_turn is not None, "a user's turn came before"
            call = _call(frames, services, where)
            yield Sample(
                id=f"{conversation}/{index}",
                conversation=conversation,
                tools=offer.tools,
                history=tuple(history),
                slots=offer.slots,
                intents=offer.intents,
                service=frames[0]["service"] if frames else user_turn[1][-1]["service"],
                labels=_labels(call, mentions, user_turn, offer, where),
            )
            if call is not None:
                history += _call_messages(call, frames, where)
        history.append(Message(ASSISTANT if index % 2 else USER, utterance))
        message = len(history) - 1
        mentions.utterances.append((message, utterance))
        for frame in frames:
            mentions.add_frame(frame, message, utterance, by_user=index % 2 == 0)
        if index % 2 == 0:
            user_turn = (message, frames, utterance)


def _labels(
    call: _Call | None, mentions: Mentions, user_turn: tuple[int, list[dict[str, Any]], str], offer: Offer, place: str
) -> Labels:
    message, frames, utterance = user_turn
    last = frames[-1]
    intent = f"{last['service']}.{last['state']['active_intent']}"
    if intent not in offer.intents:
        raise refuse(place, "the active intent must be one of the dialogue's services", intent, HINT)
    slot_spans: dict[str, Span] = {}
    for frame in frames:
        for slot in frame["slots"]:  # a slot filled twice in one utterance: the last mention stands
            slot_spans[f"{frame['service']}.{slot['slot']}"] = Span(message, slot["start"], slot["exclusive_end"])
    stray = [name for name in slot_spans if name not in offer.slots]
    if stray:
        raise refuse(place, "annotated slots must be open slots of the schema", stray[0], HINT)
    slots = {name: utterance[span.start : span.end] for name, span in slot_spans.items()}
    if call is None:
        return Labels(0, intent=intent, slots=slots, slot_spans=slot_spans)
    forms = {slot: spellings(mentions, (call.service, slot), value) for slot, value in call.arguments.items()}
    found = {s: argument_span(mentions, (call.service, s), v, forms[s]) for s, v in call.arguments.items()}
    spans = {slot: span for slot, span in found.items() if span is not None}
    return Labels(1, f"{call.service}.{call.method}", intent, call.arguments, spans, slots, slot_spans, forms)


@dataclass(frozen=True)
class _Call:
    service: str
    method: str
    arguments: dict[str, str]


def _call(frames: list[dict[str, Any]], services: Mapping[str, Service], place: str) -> _Call | None:
    calls = [frame for frame in frames if "service_call" in frame]
    if not calls:
        return None
    if len(calls) > 1:
        raise refuse(place, "a turn must have at most one service_call", len(calls), HINT)
    service = calls[0]["service"]
    body = object_field(calls[0], "service_call", place)
    method, arguments = text_field(body, "method", place), object_field(body, "parameters", place)
    tool = services[service].tools.get(method) if service in services else None
    if tool is None:
        raise refuse(place, "the called method must stand in the schema", f"{service}.{method}", HINT)
    known = {parameter.name for parameter in tool.parameters}
    for name, value in arguments.items():
        if name not in known or not isinstance(value, str):
            raise refuse(place, f"arguments must be text for parameters of {tool.name}", f"{name}={value!r}", HINT)
    return _Call(service, method, dict(arguments))


def _call_messages(call: _Call, frames: list[dict[str, Any]], place: str) -> list[Message]:
    """A past call as two messages: what was asked of the service and the first results it gave."""
    pairs = ", ".join(f"{name}={value}" for name, value in call.arguments.items())
    frame = next(frame for frame in frames if "service_call" in frame)
    results = list_field(frame, "service_results", place)[:SHOWN_RESULTS]
    if not all(isinstance(result, dict) for result in results):
        raise refuse(place, "service_results must be objects", results, HINT)
    text = "; ".join(", ".join(f"{name}={value}" for name, value in result.items()) for result in results)
    return [
        Message(TOOL_CALL, f"{call.service}.{call.method} {pairs}".rstrip()),
        Message(TOOL_RESPONSE, text or "no results"),
    ]
