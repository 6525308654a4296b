"""Prepared data is whole, repeatable, complete and honest about what it holds."""

from __future__ import annotations

import gzip
import json
import random
import shutil
import subprocess
import sys
import tarfile
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from components.data.manifest import verify
from components.data.splits import SPLITS
from components.errors import EquipoiseError, Exit
from components.files import sha256_file, sha256_tree
from components.workloads.tool_calling import data
from components.workloads.tool_calling.data import generate, prepare, samples
from components.workloads.tool_calling.rows import open_rows
from components.workloads.tool_calling.samples import SampleWriter, read_samples
from components.workloads.tool_calling.sgd import read_sgd
from components.workloads.tool_calling.trm_jsonl import read_intent_map, read_jsonl
from tests.workloads.tool_calling.small_dialogues import conversation, section

REAL = Path(__file__).parents[4] / "shared" / "data" / "toolcall"
SIZE = 60


def settings(source: Path, **other):
    return section(**{"source": str(source), "vocabulary": 600, "embedded_conversations": SIZE, **other})


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("raw") / "tool_calling"
    generate(settings(folder), folder)
    return folder


@pytest.fixture(scope="module")
def prepared(raw, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("prepared") / "tool_calling"
    prepare(settings(raw), folder)
    return folder


def refused(source: Path, folder: Path, code: Exit, **other) -> EquipoiseError:
    with pytest.raises(EquipoiseError) as error:
        prepare(settings(source, **other), folder)
    assert error.value.exit_code == code
    assert not folder.exists()
    assert not folder.parent.exists() or not list(folder.parent.glob(".*.part"))
    return error.value


def test_every_sample_is_in_one_split_and_as_it_was_read(raw, prepared):
    read = list(read_jsonl(raw, read_intent_map(raw / "intend.json")))
    kept = {split: list(samples(prepared, split)) for split in SPLITS}
    assert sum(map(len, kept.values())) == len(read)
    assert kept["test"] == [sample for split, sample in read if split == "test"]
    train = {sample.id for sample in kept["train"]}
    assert [s for split, s in read if split == "train" and s.id in train] == kept["train"]
    homes = Counter(name for part in kept.values() for name in {sample.conversation for sample in part})
    assert set(homes.values()) == {1}


def test_rows_and_samples_go_together(prepared):
    for split in SPLITS:
        rows, kept = open_rows(prepared / split), list(samples(prepared, split))
        assert len(rows.sample_row) == len(kept) > 0
        assert rows.decision.tolist() == [sample.labels.decision for sample in kept]
        turns = rows.turns[np.asarray(rows.row_offsets)[rows.sample_row] + rows.sample_position]
        first = np.asarray(rows.row_first)[rows.sample_row]
        assert (turns + first).tolist() == [len(sample.history) - 1 for sample in kept]
        assert rows.row_offsets[-1] == len(rows.tokens) == len(rows.turns) == len(rows.starts)
        assert (np.diff(rows.sample_row[rows.slot_sample]) >= 0).all()


def test_the_same_input_gives_the_same_bytes(raw, prepared, tmp_path):
    copied = tmp_path / "elsewhere"
    prepare(settings(raw), copied)
    assert sha256_tree(copied) == sha256_tree(prepared)
    generate(settings(raw), tmp_path / "raw")
    assert sha256_tree(tmp_path / "raw") == sha256_tree(raw)


def test_another_process_gives_the_same_bytes(raw, prepared, tmp_path):
    code = (
        "import sys; from pathlib import Path; from tests.workloads.tool_calling.test_data import prepare, settings;"
        "prepare(settings(Path(sys.argv[1])), Path(sys.argv[2]))"
    )
    root = Path(__file__).parents[3]
    environment = {"PYTHONHASHSEED": "5", "PATH": "/usr/bin:/bin", "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", code, raw, tmp_path / "p"], check=True, cwd=root, env=environment)
    assert sha256_tree(tmp_path / "p") == sha256_tree(prepared)


def test_a_second_run_replaces_the_first_whole(raw, tmp_path):
    prepare(settings(raw), tmp_path / "p")
    (tmp_path / "p" / "stray").write_text("")
    prepare(settings(raw, seed=8), tmp_path / "p")
    manifest = verify(tmp_path / "p")
    assert manifest["settings"]["seed"] == 8
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_the_manifest_has_digests_labels_and_shares(raw, prepared):
    manifest = verify(prepared)
    assert manifest["labels"]["decision"] == ["direct_answer", "tool_call"]
    assert manifest["labels"]["tool"] == sorted(manifest["labels"]["tool"])
    calls = Counter(sample.labels.decision for sample in samples(prepared, "train"))
    assert manifest["class_shares"]["decision"]["tool_call"] == pytest.approx(calls[1] / calls.total(), abs=1e-6)
    assert manifest["files"]["train/tokens.npy"]["sha256"] == sha256_file(prepared / "train" / "tokens.npy")
    assert manifest["splits"]["test"]["samples"] == len(list(samples(prepared, "test")))


def test_the_report_counts_what_is_there(prepared):
    report = json.loads((prepared / "report.json").read_text())
    test = list(samples(prepared, "test"))
    known = set(verify(prepared)["labels"]["tool"])
    called = [sample.labels.tool for sample in test if sample.labels.tool]
    found = report["splits"]["test"]
    assert found["calls"] == len(called)
    assert found["tool_call_share"] == pytest.approx(len(called) / len(test), abs=1e-6)
    assert found["unseen_tools_called"] == sorted(set(called) - known) != []
    assert found["calls_of_unseen_tools_share"] == pytest.approx(
        sum(tool not in known for tool in called) / len(called), abs=1e-6
    )
    values = [(len(s.labels.arguments), len(s.labels.argument_spans)) for s in test]
    assert found["arguments_found_share"] == pytest.approx(
        sum(there for _, there in values) / sum(of for of, _ in values), abs=1e-6
    )
    train = Counter(sample.labels.decision for sample in samples(prepared, "train"))
    majority = max(train, key=lambda d: train[d])
    assert found["majority"]["decision"] == pytest.approx(
        sum(s.labels.decision == majority for s in test) / len(test), abs=1e-6
    )
    text = (prepared / "report.md").read_text()
    assert f"| samples | {report['splits']['train']['samples']:,} |" in text


def test_names_in_the_report_cannot_become_markup(raw, tmp_path):
    lines = [json.loads(line) for line in (raw / "dev.jsonl").read_text().splitlines()]
    for line in lines:
        for tool in line["tools"]:
            tool["name"] = f"<img src=x>|`{tool['name']}"
        if line.get("tool"):
            line["tool"]["name"] = f"<img src=x>|`{line['tool']['name']}"
    shutil.copytree(raw, tmp_path / "raw")
    (tmp_path / "raw" / "dev.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    prepare(settings(tmp_path / "raw"), tmp_path / "p")
    assert "<img" not in (tmp_path / "p" / "report.md").read_text()


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "train/tokens.npy", "samples-test.jsonl.gz", "elements/elements.json"]
)
def test_tampering_is_noticed_before_anything_is_read(prepared, tmp_path, name):
    shutil.copytree(prepared, tmp_path / "p")
    path = tmp_path / "p" / name
    content = bytearray(path.read_bytes())
    content[random.Random(1).randrange(len(content))] ^= 4
    path.write_bytes(bytes(content))
    with pytest.raises(EquipoiseError, match="SHA-256") as error:
        samples(tmp_path / "p", "test")
    assert name in error.value.place


def test_an_unknown_split_is_refused(prepared):
    with pytest.raises(EquipoiseError, match="split"):
        samples(prepared, "dev")


def test_one_file_is_split_by_conversation(raw, tmp_path):
    shutil.copyfile(raw / "train.jsonl", tmp_path / "train.jsonl")
    prepare(settings(tmp_path / "train.jsonl"), tmp_path / "p")
    report = json.loads((tmp_path / "p" / "report.json").read_text())
    counts = {split: report["splits"][split]["conversations"] for split in SPLITS}
    assert sum(counts.values()) == 51 and min(counts.values()) >= 1
    assert 4 <= counts["test"] <= 18  # a fifth of 51 by hash
    homes = {split: {s.conversation for s in samples(tmp_path / "p", split)} for split in SPLITS}
    assert not homes["train"] & homes["test"] and not homes["train"] & homes["validation"]


def test_validation_gets_a_conversation_however_small_its_share(raw, tmp_path):
    prepare(settings(raw, validation_share=1e-9), tmp_path / "p")
    assert json.loads((tmp_path / "p" / "report.json").read_text())["splits"]["validation"]["conversations"] == 1


def test_a_validation_file_is_taken_as_it_is(raw, tmp_path):
    shutil.copytree(raw, tmp_path / "raw")
    (tmp_path / "raw" / "dev.jsonl").rename(tmp_path / "raw" / "validation.jsonl")
    prepare(settings(tmp_path / "raw"), tmp_path / "p")
    kept = [sample.conversation for sample in samples(tmp_path / "p", "validation")]
    lines = (tmp_path / "raw" / "validation.jsonl").read_text().splitlines()
    assert kept == [json.loads(line)["conversation"] for line in lines]
    assert list(samples(tmp_path / "p", "test"))


def test_a_conversation_of_training_is_never_tested(raw, tmp_path):
    shutil.copytree(raw, tmp_path / "raw")
    train = (raw / "train.jsonl").read_text().splitlines(keepends=True)
    with (tmp_path / "raw" / "dev.jsonl").open("a") as dev:
        dev.writelines(train[:20])
    report = prepare(settings(tmp_path / "raw"), tmp_path / "p")
    assert report["splits"]["test"]["samples_left_out"] == 20
    homes = {split: {s.conversation for s in samples(tmp_path / "p", split)} for split in SPLITS}
    assert not homes["test"] & (homes["train"] | homes["validation"])


def test_bad_sources_are_answered(raw, tmp_path):
    refused(tmp_path / "nothing", tmp_path / "p", Exit.MISSING_INPUT)
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", tmp_path / "p", Exit.MISSING_INPUT)
    (tmp_path / "train.jsonl").write_text("")
    refused(tmp_path / "train.jsonl", tmp_path / "p", Exit.BAD_DATA)
    first = (raw / "train.jsonl").read_text().splitlines()[0]
    (tmp_path / "train.jsonl").write_text(first)
    error = refused(tmp_path / "train.jsonl", tmp_path / "p", Exit.BAD_DATA)
    assert "1 in all" in str(error.got)
    (tmp_path / "train.jsonl").write_text(first + "\n{")
    refused(tmp_path / "train.jsonl", tmp_path / "p", Exit.BAD_DATA)
    refused(raw, tmp_path / "p", Exit.MISSING_INPUT, format="sgd")
    refused(raw, tmp_path / "p", Exit.MISSING_INPUT, intent_map=str(raw / "no.json"))


@pytest.mark.parametrize("case", ["elsewhere", "above", "beside a file"])
def test_an_intent_map_whose_changes_nobody_notices_is_refused(raw, tmp_path, case):
    """DVC watches what `data.source` names: a folder, or one file alone."""
    shutil.copytree(raw, tmp_path / "raw")
    shutil.copyfile(raw / "intend.json", tmp_path / "map.json")
    source, intent_map = {
        "elsewhere": (tmp_path / "raw", str(tmp_path / "map.json")),
        "above": (tmp_path / "raw", str(tmp_path / "raw" / ".." / "map.json")),
        "beside a file": (tmp_path / "raw" / "train.jsonl", None),
    }[case]
    error = refused(source, tmp_path / "p", Exit.CONFIGURATION, intent_map=intent_map)
    assert error.place == "tool_calling.data.intent_map" and "folder" in error.hint


def test_an_intent_map_of_another_name_is_read_from_the_folder(raw, tmp_path):
    shutil.copytree(raw, tmp_path / "raw")
    (tmp_path / "raw" / "intend.json").rename(tmp_path / "raw" / "map.json")
    prepare(settings(tmp_path / "raw", intent_map=str(tmp_path / "raw" / "map.json")), tmp_path / "p")
    prepare(settings(raw), tmp_path / "q")
    read = [sample.intents for sample in samples(tmp_path / "p", "test")]
    assert read == [sample.intents for sample in samples(tmp_path / "q", "test")] and read[0]


def test_an_error_leaves_the_earlier_data(raw, prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "p")
    (tmp_path / "raw").mkdir()
    broken = (raw / "train.jsonl").read_text() + "{"
    (tmp_path / "raw" / "train.jsonl").write_text(broken)
    with pytest.raises(EquipoiseError):
        prepare(settings(tmp_path / "raw"), tmp_path / "p")
    assert sha256_tree(tmp_path / "p") == sha256_tree(prepared)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p", "raw"]


def test_memory_stays_flat(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "CHUNK", 16)  # so that little data is many chunks
    peaks = {}
    for factor in (5, 1, 5):  # the first run fills caches of bounded size and is not looked at
        folder = tmp_path / f"raw{factor}"
        generate(settings(folder, embedded_conversations=40 * factor), folder)
        tracemalloc.start()
        prepare(settings(folder), tmp_path / f"p{factor}")
        peaks[factor] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[5] < 1.3 * peaks[1]


def test_prepare_does_not_load_torch():
    code = "import sys, components.workloads.tool_calling.data; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=False).returncode == 0


def test_samples_come_back_identically(tmp_path):
    first, second = conversation("c1"), conversation("c2")
    for name in ("a", "b"):
        writer = SampleWriter(tmp_path / name)
        writer.write(first)
        writer.write(second[::-1])
        writer.close()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert list(read_samples(tmp_path / "a")) == [*first, *second[::-1]]
    back = list(read_samples(tmp_path / "a"))
    assert back[0].tools is back[2].tools
    assert back[0].history[0] is back[1].history[0]


@pytest.mark.parametrize(
    "content", [b"", b"[]\n", b'{"conversation": "c", "messages": [], "samples": [{"offer": 3}]}\n', b"{"]
)
def test_damaged_samples_are_refused(tmp_path, content):
    (tmp_path / "s.gz").write_bytes(gzip.compress(content) if content else b"no gzip")
    with pytest.raises(EquipoiseError) as error:
        list(read_samples(tmp_path / "s.gz"))
    assert error.value.exit_code == Exit.BAD_DATA


@pytest.mark.real_data
@pytest.mark.skipif(
    not (REAL / "sgd_dev.tar.gz").is_file(), reason="the published dialogues are not beside the project"
)
def test_real_dialogues(tmp_path):
    with tarfile.open(REAL / "sgd_dev.tar.gz") as archive:
        for name in ("dev/schema.json", "dev/dialogues_001.json", "dev/dialogues_013.json"):
            archive.extract(name, tmp_path, filter="data")
    dialogues = [d for path in sorted((tmp_path / "dev").glob("dialogues*")) for d in json.loads(path.read_text())]
    answers = [turn for d in dialogues for turn in d["turns"] if turn["speaker"] == "SYSTEM"]
    calls = sum(any("service_call" in frame for frame in turn["frames"]) for turn in answers)
    report = prepare(settings(tmp_path / "dev"), tmp_path / "p")
    counts = [report["splits"][split] for split in SPLITS]
    assert sum(part["conversations"] for part in counts) == len(dialogues)
    assert sum(part["samples"] for part in counts) == len(answers)
    assert sum(part["calls"] for part in counts) == calls
    assert all(part["slots_found_share"] == 1.0 for part in counts)
    kept = {sample.id: sample for split in SPLITS for sample in samples(tmp_path / "p", split)}
    assert kept == {sample.id: sample for _, sample in read_sgd(tmp_path / "dev")}


@pytest.mark.real_data
@pytest.mark.skipif(
    not (REAL / "sgd_dev.tar.gz").is_file(), reason="the published dialogues are not beside the project"
)
def test_an_intent_map_is_not_for_dialogues_with_a_schema(tmp_path):
    error = refused(REAL / "sgd_dev.tar.gz", tmp_path / "p", Exit.CONFIGURATION, intent_map="x.json")
    assert error.place == "tool_calling.data.intent_map"
