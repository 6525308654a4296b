"""Raw rows or Java sources to prepared arrays: read once, split, encoded a chunk at a time, published when whole."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from components.config_assertions import AssertionsData
from components.data.arrays import ArrayWriter
from components.data.manifest import published, verify_once, write_manifest
from components.data.splits import SPLITS, check_split, stable_share
from components.errors import bad_data, missing
from components.files import write_json, write_text
from components.workloads.assertions import encode, generator, kind_odds, retrieval
from components.workloads.assertions.java_extract import read_java
from components.workloads.assertions.java_sources import has_sources
from components.workloads.assertions.jsonl import files, read_jsonl
from components.workloads.assertions.pairs import ASSERT_TYPES, Pair, copyable, earlier_pairs
from components.workloads.assertions.report import Tally, build_report, render_report
from components.workloads.assertions.samples import SampleWriter, read_samples
from components.workloads.assertions.splits import group_of, input_key, row_key, splitter

VERSION = 1
CHUNK = 512  # rows encoded together
RETRIEVED = "retrieved.npy"


@dataclass
class Survey:
    """What the first pass learns: names of projects, what was left out, and what extraction from sources met."""

    projects: set[str] = field(default_factory=set)
    left_out: Counter[str] = field(default_factory=Counter)
    extraction: Counter[str] = field(default_factory=Counter)


def generate(section: Any, folder: Path) -> None:
    """Writes the embedded data set, in the format of the rows, into `folder`."""
    generator.generate(section, folder)


def samples(prepared: Path, split: str) -> Iterator[Pair]:
    """The labelled samples of a prepared split in file order: sample i is `sample_id` i of the batches.

    Raises:
        EquipoiseError: E_MISSING (66) without prepared data, E_MANIFEST (65) when it was changed.
    """
    verify_once(prepared)
    check_split(prepared, split)
    return read_samples(samples_file(prepared, split))


def samples_file(prepared: Path, split: str) -> Path:
    """Where prepare keeps the samples of a split, a JSON object a line."""
    return prepared / f"samples-{split}.jsonl.gz"


def prepare(section: Any, folder: Path) -> Mapping[str, Any]:
    """Reads the source named in the data section and puts the prepared data at `folder`, whole or not at all.

    The same source and data section give the same bytes. Memory holds two digests a row and the index to retrieve
    from, not the rows.

    Returns:
        the report, also written as report.json and report.md.

    Raises:
        EquipoiseError: E_MISSING (66) without a source, the readers' codes (65) for anything wrong in it, E_CONFIG (78)
            for projects that do not fit, E_WRITE (73) or E_IO (74) when `folder` cannot be written.
    """
    data: AssertionsData = section.data
    with published(folder) as part:
        survey = _first_pass(data, part)
        codec = encode.train_codec(_texts(part), data.vocabulary)
        codec.tokenizer.save(part / encode.TOKENIZER)
        limits = encode.limits_of(data)
        encode.save_limits(limits, part / encode.LIMITS)
        index = _index(data, part)
        index.save(part)
        if data.kind_signs:
            labelled = read_samples(samples_file(part, "train"))
            kind_odds.fit_kinds(labelled, data.kind_signs, data.kind_strength).save(part / kind_odds.KINDS)
        tallies = {split: _encode_split(part, split, codec, limits, index, data) for split in SPLITS}
        report = build_report(tallies, survey.left_out, survey.extraction, codec.size, len(index.assertions), data)
        write_json(part / "report.json", report)
        write_text(part / "report.md", render_report(report))
        write_manifest(
            part,
            {
                "workload": "assertions",
                "version": VERSION,
                "settings": data.model_dump(mode="json"),
                "labels": {"assert_type": ASSERT_TYPES, "segment": encode.SEGMENTS, "special": encode.SPECIALS},
                "class_shares": report["class_shares"],
                "splits": {split: tallies[split].sizes() for split in SPLITS},
                "vocabulary": codec.size,
            },
        )
    return report


def open_source(data: AssertionsData, survey: Survey) -> Iterator[Pair]:
    """The rows of the source; `auto` looks at what lies there.

    Raises:
        EquipoiseError: E_MISSING (66) when nothing is there that can be read.
    """
    source = Path(data.source)
    if not source.exists():
        raise missing(
            "assertions.data.source",
            "must name a file or folder",
            got=data.source,
            hint="Run the generate stage for the embedded data, or name yours with --data",
        )
    if data.format == "java" or (data.format == "auto" and not files(source) and has_sources(source)):
        return read_java(source, data.extracted_rows, data.rows_per_test, survey.extraction)
    if data.format == "auto" and not files(source):
        raise missing(
            "assertions.data.source",
            "must hold .jsonl files, or a folder or archive of Java sources for each project",
            got=data.source,
            hint="Put them there as they are: links and hidden folders are not followed",
        )
    return read_jsonl(source)


def _first_pass(data: AssertionsData, part: Path) -> Survey:
    """Writes the samples of each split: duplicates once, and what an earlier split (train, validation, test) has as
    input in none of the later ones."""
    survey = Survey()
    rows = part / "rows.jsonl.gz"
    seen: set[bytes] = set()
    with contextlib.ExitStack() as stack:
        writer = SampleWriter(rows)
        stack.callback(writer.abandon)
        for pair in open_source(data, survey):
            key = row_key(pair)
            if key in seen:
                survey.left_out["duplicates"] += 1
                continue
            seen.add(key)
            survey.projects.add(pair.project)
            writer.write(pair)
        writer.close()
    if not seen:
        raise bad_data(data.source, "must hold at least one row", got="none", hint="Name a source with data")
    split_of = splitter(data, survey.projects)
    claimed: dict[bytes, int] = {}
    for pair in read_samples(rows):
        key, rank = input_key(pair), SPLITS.index(split_of(pair))
        claimed[key] = min(rank, claimed.get(key, rank))
    counts: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:
        writers = {split: SampleWriter(samples_file(part, split)) for split in SPLITS}
        for writer in writers.values():
            stack.callback(writer.abandon)
        for pair in read_samples(rows):
            split = split_of(pair)
            if claimed[input_key(pair)] < SPLITS.index(split):
                survey.left_out[f"in an earlier split than {split}"] += 1
                continue
            counts[split] += 1
            writers[split].write(pair)
            if split == "train" and data.earlier_assertions:
                for made in earlier_pairs(pair):
                    if (key := input_key(made)) not in claimed:
                        claimed[key] = SPLITS.index(split)
                        survey.extraction["training rows were made of earlier assertions in the others' tests"] += 1
                        writers[split].write(made)
        for writer in writers.values():
            writer.close()
    rows.unlink()
    for split in SPLITS:
        if not counts[split]:
            raise bad_data(
                data.source,
                "must have rows for train, validation and test",
                got=f"none for {split}, {sum(counts.values())} in all",
                hint="Give more rows, or hold out other projects",
            )
    return survey


def _texts(part: Path) -> Iterator[str]:
    """All that the pieces are learned from: the training split, what tests of one method share once."""
    recent: dict[str, None] = {}
    for pair in read_samples(samples_file(part, "train")):
        yield encode.name_text(pair)
        yield pair.test_prefix
        yield pair.assertion or ""
        if pair.focal_code not in recent:
            recent[pair.focal_code] = None
            if len(recent) > CHUNK:
                del recent[next(iter(recent))]
            yield pair.focal_code


def _index(data: AssertionsData, part: Path) -> retrieval.Index:
    """Over the training rows, or those with the smallest digests when there are too many."""
    path = samples_file(part, "train")
    projects, total = set(), 0
    for pair in read_samples(path):
        projects.add(pair.project)
        total += 1
    edge = 1.0 if total <= data.retrieval_rows else data.retrieval_rows / total
    chosen = (
        (pair, group_of(data, pair, len(projects)))
        for pair in read_samples(path)
        if edge == 1.0 or stable_share(data.seed, pair.id) < edge
    )
    return retrieval.build_index(chosen, data.retrieval_minimum)


def _encode_split(
    part: Path, split: str, codec: encode.Codec, limits: encode.Limits, index: retrieval.Index, data: AssertionsData
) -> Tally:
    """Writes the arrays of one split."""
    tally = Tally()
    folder = part / split
    folder.mkdir()
    kinds = {"source": np.int32, "segments": np.uint8, "target": np.int32, "copyable": np.bool_, "kind": np.uint8}
    offsets = {"source_offsets": [0], "target_offsets": [0]}
    projects = len(set(index.groups))
    with contextlib.ExitStack() as stack:
        writers = {name: ArrayWriter(folder / f"{name}.npy", kind) for name, kind in kinds.items()}
        writers |= {name: ArrayWriter(folder / f"{name}.npy", np.int64) for name in offsets}
        writers["retrieved"] = ArrayWriter(folder / RETRIEVED, np.int32)
        for writer in writers.values():
            stack.callback(writer.abandon)
        for name in offsets:
            writers[name].append(np.zeros(1, np.int64))
        for chunk in _chunks(read_samples(samples_file(part, split))):
            if split == "train":
                found = index.nearest_elsewhere(chunk, [group_of(data, pair, projects) for pair in chunk])
            else:
                found = index.nearest(chunk)
            encoded = encode.sources(codec, chunk, [one.assertion for one in found], limits)
            targets = codec.encode_all([pair.assertion or "" for pair in chunk])
            can_copy = [copyable(p.assertion or "", p.focal_code, p.test_prefix) for p in chunk]
            for name, parts in (
                ("source", [one.ids for one in encoded]),
                ("segments", [one.segments for one in encoded]),
                ("target", targets),
            ):
                writers[name].append(np.concatenate(parts))
            for name, parts in (("source_offsets", [one.ids for one in encoded]), ("target_offsets", targets)):
                ends = offsets[name][-1] + np.cumsum([len(ids) for ids in parts])
                writers[name].append(ends.astype(np.int64))
                offsets[name].append(int(ends[-1]))
            writers["copyable"].append(np.array(can_copy, np.bool_))
            writers["kind"].append(np.array([ASSERT_TYPES.index(str(p.assert_type)) for p in chunk], np.uint8))
            writers["retrieved"].append(np.array([one.row for one in found], np.int32))
            tally.add(chunk, encoded, targets, found, can_copy)
        for writer in writers.values():
            writer.close()
    return tally


def _chunks(pairs: Iterator[Pair]) -> Iterator[Sequence[Pair]]:
    while chunk := list(itertools.islice(pairs, CHUNK)):
        yield chunk
