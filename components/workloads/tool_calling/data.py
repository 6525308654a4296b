"""Raw dialogues to prepared arrays: two passes over the source, a conversation at a time, published when whole."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from components.config import ToolCallingConfig, ToolCallingData
from components.data.manifest import published, verify_once, write_manifest
from components.data.splits import SPLITS, assign, check_split, stable_share
from components.data.tokenizer import TextTokenizer, train_tokenizer
from components.data.watched import watched
from components.errors import bad_data, misconfigured, missing
from components.files import write_json, write_text
from components.workloads.tool_calling import generator
from components.workloads.tool_calling.dialogues import DECISIONS, ROLES, Sample
from components.workloads.tool_calling.elements import KINDS, ElementTable, element_text
from components.workloads.tool_calling.encode import encode_rows
from components.workloads.tool_calling.report import Tally, build_report, render_report
from components.workloads.tool_calling.rows import RowsWriter
from components.workloads.tool_calling.samples import SampleWriter, read_samples
from components.workloads.tool_calling.sgd import is_sgd, read_sgd
from components.workloads.tool_calling.trm_jsonl import find_intent_map, read_intent_map, read_jsonl

VERSION = 1
TEST_SHARE = 0.2  # of the conversations, when the source has no test data of its own
CHUNK = 256  # samples encoded together: bounds memory, large enough to keep the tokenizer busy
LONGEST_CHUNK = 4096  # a conversation of more decisions is encoded in parts

Reader = Callable[[], Iterator[tuple[str, Sample]]]


@dataclass(frozen=True)
class Scheme:
    """Which split a conversation belongs to, given what the source calls it.

    Attributes:
        seed, validation_share: from the data section.
        given: the splits the source has of its own; the others are taken from its training conversations.
    """

    seed: int
    validation_share: float
    given: frozenset[str]

    def split(self, given: str, conversation: str) -> str:
        if given != "train" and "train" in self.given:
            return given
        validation = 0.0 if "validation" in self.given else self.validation_share * (1 - self.test_share)
        return assign(self.seed, conversation, [("test", self.test_share), ("validation", validation), ("train", 1.0)])

    @property
    def test_share(self) -> float:
        return 0.0 if {"train", "test"} <= self.given else TEST_SHARE


@dataclass
class Survey:
    """What the first pass learns.

    Attributes:
        given: what the source calls its splits.
        homes: per split the conversations in it, as 8-byte digests.
        names: per kind of element the names seen in training.
        lowest: the smallest `stable_share` of a training conversation.
    """

    given: set[str] = field(default_factory=set)
    homes: dict[str, set[bytes]] = field(default_factory=lambda: {split: set() for split in SPLITS})
    names: dict[str, set[str]] = field(default_factory=lambda: {kind: set() for kind in KINDS})
    lowest: float = 1.0

    def leaks(self, split: str, conversation: str) -> bool:
        """Whether an earlier split (train, validation, test) has the conversation too."""
        key = _key(conversation)
        return any(key in self.homes[earlier] for earlier in SPLITS[: SPLITS.index(split)])


def _key(conversation: str) -> bytes:
    return hashlib.blake2b(conversation.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def generate(section: ToolCallingConfig, folder: Path) -> None:
    """Writes the embedded data set, in the TRM agent's file format, into `folder`."""
    generator.generate(section, folder)


def samples(prepared: Path, split: str) -> Iterator[Sample]:
    """The labelled samples of a prepared split in file order: sample i is `sample_id` i of the batches.

    Raises:
        EquipoiseError: E_MISSING (66) without prepared data, E_MANIFEST (65) when it was changed.
    """
    verify_once(prepared)
    check_split(prepared, split)
    return read_samples(prepared / f"samples-{split}.jsonl.gz")


def prepare(section: ToolCallingConfig, folder: Path) -> Mapping[str, Any]:
    """Reads the source named in the data section and puts the prepared data at `folder`, whole or not at all.

    The same source and data section give the same bytes. Memory holds one conversation, the tokenizer's word counts
    and the element table, however long the source is.

    Returns:
        the report, also written as report.json and report.md.

    Raises:
        EquipoiseError: E_MISSING (66) without a source, E_DATA and the readers' codes (65) for anything wrong in it,
            E_WRITE (73) or E_IO (74) when `folder` cannot be written.
    """
    settings = section.data
    reader = open_source(settings)
    survey, scheme, tokenizer = _first_pass(reader, settings)
    vocabulary = {kind: sorted(survey.names[kind]) for kind in KINDS}
    with published(folder) as part:
        table = ElementTable(tokenizer, vocabulary)
        tallies = _second_pass(reader, scheme, survey, settings, table, part)
        tokenizer.save(part / "tokenizer.json")
        table.save(part / "elements")
        conversations = {split: len(survey.homes[split]) for split in SPLITS}
        report = build_report(tallies, conversations, vocabulary, tokenizer.size)
        write_json(part / "report.json", report)
        write_text(part / "report.md", render_report(report))
        write_manifest(
            part,
            {
                "workload": "tool_calling",
                "version": VERSION,
                "settings": settings.model_dump(mode="json"),
                "labels": {"decision": DECISIONS, "role": ROLES, "kind": KINDS, **vocabulary},
                "class_shares": report["class_shares"],
                "splits": {split: tallies[split].sizes() for split in SPLITS},
            },
        )
    return report


def open_source(settings: ToolCallingData) -> Reader:
    """The reader for the source's format; `auto` looks at what lies there.

    Raises:
        EquipoiseError: E_MISSING (66) when nothing is there, E_CONFIG (78) for an intent map that DVC does not watch.
    """
    source = Path(settings.source)
    if not source.exists():
        raise missing(
            "tool_calling.data.source",
            "must name a file or folder",
            got=settings.source,
            hint="Run the generate stage for the embedded data, or name yours with --data",
        )
    if settings.format == "sgd" or (settings.format == "auto" and is_sgd(source)):
        if settings.intent_map is not None:
            raise misconfigured(
                "tool_calling.data.intent_map",
                "must be null for Schema-Guided Dialogue, whose schema describes its intents",
                got=settings.intent_map,
                hint="Set it to null",
            )
        return lambda: read_sgd(source)
    path = find_intent_map(source) if settings.intent_map is None else Path(settings.intent_map)
    intents = None if path is None else read_intent_map(watched(path, source, "tool_calling.data.intent_map"))
    return lambda: read_jsonl(source, intents)


def _first_pass(reader: Reader, settings: ToolCallingData) -> tuple[Survey, Scheme, TextTokenizer]:
    """Trains the tokenizer on the training split, which may only be known at the end of a pass: a source without test
    data gives some of its conversations, and validation gets at least one. Then the pass is run again."""
    scheme = Scheme(settings.seed, settings.validation_share, frozenset({"train", "test"}))
    while True:
        survey = Survey()
        tokenizer = train_tokenizer(_training_texts(reader, scheme, survey), settings.vocabulary)
        if not survey.given:
            raise bad_data(settings.source, "must hold at least one sample", got="none", hint="Name a source with data")
        if survey.given != scheme.given:
            scheme = replace(scheme, given=frozenset(survey.given))
        elif not survey.homes["validation"] and len(survey.homes["train"]) > 1 and survey.lowest < 1.0:
            share = (survey.lowest + 1e-9 - scheme.test_share) / (1 - scheme.test_share)
            if share <= scheme.validation_share:
                break
            scheme = replace(scheme, validation_share=share)
        else:
            break
    for split in SPLITS:
        if not survey.homes[split]:
            raise bad_data(
                settings.source,
                "must have conversations for train, validation and test",
                got=f"none for {split}, {sum(map(len, survey.homes.values()))} in all",
                hint="Give more conversations, or a dev file for the test split",
            )
    return survey, scheme, tokenizer


def _training_texts(reader: Reader, scheme: Scheme, survey: Survey) -> Iterator[str]:
    """Every message of the training split once, every element text once; fills `survey` on the way."""
    seen_elements: set[str] = set()
    offers: set[int] = set()
    held: list[object] = []  # keeps what `offers` knows by identity alive
    for (given, conversation), group in itertools.groupby(reader(), key=lambda item: (item[0], item[1].conversation)):
        survey.given.add(given)
        split = scheme.split(given, conversation)
        if not survey.leaks(split, conversation):
            survey.homes[split].add(_key(conversation))
        if split != "train":
            continue
        survey.lowest = min(survey.lowest, stable_share(scheme.seed, conversation))
        messages: set[tuple[int, str]] = set()
        for _, sample in group:
            for message in sample.history:
                if (message.role, message.content) not in messages:
                    messages.add((message.role, message.content))
                    yield message.content
            if id(sample.tools) in offers and id(sample.slots) in offers and id(sample.intents) in offers:
                continue
            if len(held) > 1000:
                offers.clear()
                held.clear()
            for part in (sample.tools, sample.slots, sample.intents):
                offers.add(id(part))
                held.append(part)
            for text in _element_texts(sample, survey):
                if text not in seen_elements:
                    seen_elements.add(text)
                    yield text


def _element_texts(sample: Sample, survey: Survey) -> Iterator[str]:
    for tool in sample.tools:
        survey.names["tool"].add(tool.name)
        yield element_text(tool.name, tool.description)
        for p in tool.parameters:
            survey.names["slot"].add(p.name)
            yield element_text(p.name, p.description, p.values)
    for kind, named in (("slot", sample.slots), ("intent", sample.intents)):
        for name, text in named.items():
            survey.names[kind].add(name)
            yield element_text(name, text)


def _second_pass(
    reader: Reader, scheme: Scheme, survey: Survey, settings: ToolCallingData, table: ElementTable, part: Path
) -> dict[str, Tally]:
    """Encodes conversation by conversation into the array and sample files below `part`."""
    tallies = {split: Tally() for split in SPLITS}
    with contextlib.ExitStack() as stack:
        rows = {split: RowsWriter(part / split) for split in SPLITS}
        kept = {split: SampleWriter(part / f"samples-{split}.jsonl.gz") for split in SPLITS}
        for writer in (*rows.values(), *kept.values()):
            stack.callback(writer.abandon)
        for split, chunk in _chunks(reader(), scheme, survey, tallies):
            encoded = encode_rows(chunk, table, settings)
            rows[split].append(encoded)
            tallies[split].add(chunk, encoded)
            for _, group in itertools.groupby(chunk, key=lambda sample: sample.conversation):
                kept[split].write(list(group))
        for writer in (*rows.values(), *kept.values()):
            writer.close()
    return tallies


def _chunks(
    read: Iterator[tuple[str, Sample]], scheme: Scheme, survey: Survey, tallies: Mapping[str, Tally]
) -> Iterator[tuple[str, list[Sample]]]:
    """Samples of one split at a time, about CHUNK of them; conversations stay together. What an earlier split has too
    is left out and counted: a conversation seen in training must not be tested."""
    waiting: dict[str, list[Sample]] = {split: [] for split in SPLITS}
    for (given, conversation), group in itertools.groupby(read, key=lambda item: (item[0], item[1].conversation)):
        split = scheme.split(given, conversation)
        if survey.leaks(split, conversation):
            tallies[split].counts["left_out"] += sum(1 for _ in group)
            continue
        for _, sample in group:
            waiting[split].append(sample)
            if len(waiting[split]) >= LONGEST_CHUNK:
                yield split, waiting[split]
                waiting[split] = []
        if len(waiting[split]) >= CHUNK:
            yield split, waiting[split]
            waiting[split] = []
    for split, chunk in waiting.items():
        if chunk:
            yield split, chunk
