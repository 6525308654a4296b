"""Preparing: whole folders with the same bytes, nothing in two splits, arrays that say what the samples say."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from components.data.arrays import open_array
from components.data.manifest import read_manifest
from components.data.splits import SPLITS
from components.errors import EquipoiseError
from components.files import sha256_tree
from components.workloads.assertions import encode, retrieval
from components.workloads.assertions.data import generate, prepare, samples
from components.workloads.assertions.jsonl import to_line
from components.workloads.assertions.pairs import ASSERT_TYPES, copyable
from components.workloads.assertions.reading import load_reading
from components.workloads.assertions.report import render_report
from components.workloads.assertions.splits import input_key
from tests.workloads.assertions.pair_data import row, section, write_rows


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(section, prepared folder, report) of a small embedded data set."""
    place = tmp_path_factory.mktemp("made")
    wanted = section(source=str(place / "raw"), embedded_projects=5, embedded_rows=300)
    generate(wanted, place / "raw")
    report = prepare(wanted, place / "prepared")
    return wanted, place / "prepared", report


def test_the_same_source_gives_the_same_bytes(made, tmp_path):
    wanted, folder, _ = made
    prepare(wanted, tmp_path / "again")
    assert sha256_tree(tmp_path / "again") == sha256_tree(folder)


def test_no_project_and_no_input_is_in_two_splits(made):
    _, folder, report = made
    found = {split: list(samples(folder, split)) for split in SPLITS}
    projects = {split: {p.project for p in pairs} for split, pairs in found.items()}
    inputs = {split: {input_key(p) for p in pairs} for split, pairs in found.items()}
    for left, right in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not projects[left] & projects[right]
        assert not inputs[left] & inputs[right]
    assert sum(map(len, found.values())) + sum(report["left_out"].values()) == 300
    assert {split: len(pairs) for split, pairs in found.items()} == {s: report["splits"][s]["rows"] for s in SPLITS}


def test_earlier_assertions_make_rows_of_the_training_split_alone(made, tmp_path):
    wanted, plain, _ = made
    more = SimpleNamespace(**{**vars(wanted), "data": wanted.data.model_copy(update={"earlier_assertions": True})})
    report = prepare(more, tmp_path / "more")
    (added,) = report["extraction"].values()
    rows = {folder: {split: list(samples(folder, split)) for split in SPLITS} for folder in (plain, tmp_path / "more")}
    before, after = rows[plain], rows[tmp_path / "more"]
    assert [before[split] for split in SPLITS[1:]] == [after[split] for split in SPLITS[1:]]
    assert added > 0 and len(after["train"]) == len(before["train"]) + added
    assert [each for each in after["train"] if each in before["train"]] == before["train"]
    inputs = [input_key(each) for split in SPLITS for each in after[split]]
    known = [input_key(each) for split in SPLITS for each in before[split]]
    assert len(set(inputs)) - len(set(known)) == added  # none says what another row says


def test_arrays_say_what_the_samples_say(made):
    _, folder, _ = made
    codec, index = encode.load_codec(folder), retrieval.load_index(folder)
    for split in SPLITS:
        part = folder / split
        source, segments, offsets = (open_array(part / f"{n}.npy") for n in ("source", "segments", "source_offsets"))
        target, ends = open_array(part / "target.npy"), open_array(part / "target_offsets.npy")
        kind, can_copy, near = (open_array(part / f"{n}.npy") for n in ("kind", "copyable", "retrieved"))
        pairs = list(samples(folder, split))
        assert (source.dtype, segments.dtype, target.dtype, can_copy.dtype) == ("int32", "uint8", "int32", "bool")
        assert len(offsets) == len(ends) == len(pairs) + 1 and offsets[-1] == len(source) == len(segments)
        assert encode.PAD not in source and target.min() > encode.UNK
        for i, one in enumerate(pairs):
            assert codec.decode(target[ends[i] : ends[i + 1]]) == encode.canonical(one.assertion)
            ids, parts = source[offsets[i] : offsets[i + 1]], segments[offsets[i] : offsets[i + 1]]
            assert (ids[0], ids[-1]) == (encode.BOS, encode.EOS)
            assert codec.decode(ids[parts == 2]) == encode.canonical(one.focal_code)
            assert codec.decode(ids[parts == 5]) == encode.canonical(index.assertions[near[i]])
            assert ASSERT_TYPES[kind[i]] == one.assert_type
            assert can_copy[i] == copyable(one.assertion, one.focal_code, one.test_prefix)


def test_training_never_retrieves_from_its_own_project(made):
    _, folder, _ = made
    index, near = retrieval.load_index(folder), open_array(folder / "train" / "retrieved.npy")
    pairs = list(samples(folder, "train"))
    assert all(index.groups[row] != one.project for one, row in zip(pairs, near.tolist(), strict=True))


def test_serving_reads_a_pair_as_preparing_did(made):
    _, folder, _ = made
    pairs = list(samples(folder, "test"))
    offsets, source = open_array(folder / "test" / "source_offsets.npy"), open_array(folder / "test" / "source.npy")
    for i, one in enumerate(load_reading(folder).sources(pairs)):
        np.testing.assert_array_equal(one.ids, source[offsets[i] : offsets[i + 1]])


def test_the_report_counts(made):
    _, folder, report = made
    manifest = read_manifest(folder)
    assert manifest["labels"]["assert_type"] == list(ASSERT_TYPES)
    assert manifest["vocabulary"] == encode.load_codec(folder).size
    for split in SPLITS:
        pairs = list(samples(folder, split))
        facts = report["splits"][split]
        assert sum(facts["types"].values()) == pytest.approx(1.0)
        assert facts["types"]["assertTrue"] == pytest.approx(np.mean([p.assert_type == "assertTrue" for p in pairs]))
        assert facts["without_prior"] == pytest.approx(np.mean([p.prior is None for p in pairs]))
        assert facts["answers"]["prior"]["rows"] == sum(p.prior is not None for p in pairs)
        assert facts["parses"] == {"focal": 1.0, "prefix": 1.0}
        assert 0 <= facts["answers"]["retrieved"]["exact"] <= facts["answers"]["retrieved"]["similarity"] <= 1
    text = render_report(report)
    assert "| rows | " in text and "assertIterableEquals" in text


def test_duplicates_and_inputs_of_earlier_splits_are_left_out_and_counted(tmp_path):
    rows = [row(project=name, test_prefix=f"f({i}); g({name});") for name in "abc" for i in range(4)]
    shared = row(project="a", test_prefix="shared();")
    rows += [shared, {**shared, "path": "elsewhere"}, {**shared, "project": "b", "assertion": "assertNull(x);"}]
    write_rows(tmp_path / "raw" / "rows.jsonl", rows)
    wanted = section(source=str(tmp_path / "raw"), validation_projects=("b",), test_projects=("c",))
    report = prepare(wanted, tmp_path / "prepared")
    assert report["left_out"] == {"duplicates": 1, "in an earlier split than validation": 1}
    assert [report["splits"][s]["rows"] for s in SPLITS] == [5, 4, 4]


def test_a_capped_index_holds_about_as_many_rows(tmp_path):
    rows = [row(project=name, test_prefix=f"{name}({i});") for name in "abc" for i in range(60)]
    write_rows(tmp_path / "rows.jsonl", rows)
    wanted = section(source=str(tmp_path / "rows.jsonl"), retrieval_rows=20)
    report = prepare(wanted, tmp_path / "prepared")
    assert 5 <= report["indexed"] <= 40


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([row(project="a"), row(project="b", test_prefix="f();")], "at least 3 projects"),
        ([row(project=name) for name in "abc"], "at least 3 projects.*got a"),
        (
            [row(project=name, assertion=f"assertTrue({name});") for name in "abc"],
            "rows for train, validation and test",
        ),
    ],
)
def test_too_little_data_is_refused_and_nothing_is_left(tmp_path, rows, words):
    write_rows(tmp_path / "raw" / "rows.jsonl", rows)
    with pytest.raises(EquipoiseError, match=words) as caught:
        prepare(section(source=str(tmp_path / "raw")), tmp_path / "prepared")
    assert caught.value.exit_code == 65
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_an_unknown_split_and_a_changed_file_are_refused(made, tmp_path):
    wanted, folder, _ = made
    with pytest.raises(EquipoiseError, match="one of train, validation, test"):
        list(samples(folder, "dev"))
    prepare(wanted, tmp_path / "mine")
    path = tmp_path / "mine" / "test" / "kind.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    with pytest.raises(EquipoiseError, match="SHA-256"):
        list(samples(tmp_path / "mine", "test"))


def test_java_sources_are_prepared_as_rows_are(tmp_path):
    body = "\n".join(
        f"@Test void test{i}() {{ Stack s = new Stack({i}); assertEquals({i}, s.size()); }}" for i in range(4)
    )
    for name in "abc":
        for path, text in (
            ("src/main/java/Stack.java", f"class Stack {{ int size() {{ return n{name}; }} }}"),
            ("src/test/java/StackTest.java", f"class StackTest {{ {body} }}"),
        ):
            (tmp_path / "raw" / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "raw" / name / path).write_text(text)
    report = prepare(section(source=str(tmp_path / "raw")), tmp_path / "prepared")
    assert {project: n for s in SPLITS for project, n in report["splits"][s]["projects"].items()} == dict.fromkeys(
        "abc", 4
    )
    assert report["extraction"]["assertions"] == 12
    (first, *_) = samples(tmp_path / "prepared", "test")
    assert to_line(first)
    assert first.focal_code == f"int size() {{ return n{first.project}; }}"


def test_preparing_imports_no_torch():
    modules = ("data", "requests", "baseline")
    names = ", ".join(f"components.workloads.assertions.{name}" for name in modules)
    code = f"import sys, {names}; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
