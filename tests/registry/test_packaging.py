"""What a registered model consists of, and that nothing else is ever loaded."""

import json
import os
import pickle
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from components.errors import EquipoiseError, Exit
from components.registry import aliases, answers, artefacts, infrastructure_check, packaging, tracking
from components.workload import workload


def test_version_carries_where_it_comes_from(registry, model_folder):
    store, run_id, first = registry
    version = aliases.find(store, "tool_calling", first.version)
    assert version.run_id == run_id and version.name == "equipoise-tool_calling"
    assert version.tags == {
        "git_commit": "c0ffee",
        "workload": "tool_calling",
        "artefact_digest": first.digest,
        "model_digest": artefacts.model_digest(model_folder),
    }
    logged = tracking.client(store).get_logged_model(first.model_id)
    assert logged.status == "READY"
    assert [(m.key, m.value) for m in logged.metrics] == [("test/decision/accuracy", 0.75)]
    outputs = tracking.client(store).get_run(run_id).outputs.model_outputs
    assert first.model_id in [output.model_id for output in outputs]


def test_the_folder_is_code_and_weights_without_pickles_or_machine_paths(registry, model_folder):
    store, _, first = registry
    folder = aliases.resolve(store, "tool_calling", first.version)
    names = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert {"MLmodel", "manifest.json", "served_model.py", "requirements.txt", "artifacts/serving.json"} <= names
    assert {f"artifacts/model/{p.name}" for p in model_folder.iterdir()} <= names
    assert "code/components/workload.py" in names
    assert not [n for n in names if n.endswith((".pkl", ".pickle", ".pyc"))]
    described = (folder / "MLmodel").read_text()
    for path in (str(Path.cwd()), str(store.state), str(model_folder), "/tmp"):
        assert path not in described


def test_requirements_are_exact_and_without_build_tags():
    wanted = packaging.requirements()
    assert all("==" in each and "+" not in each for each in wanted)
    assert {"mlflow", "torch", "numpy", "safetensors"} <= {each.partition("==")[0] for each in wanted}


def test_signature_names_required_and_optional_fields(registry):
    import mlflow.models

    store, _, first = registry
    folder = aliases.resolve(store, "tool_calling", first.version)
    signature = mlflow.models.Model.load(str(folder)).signature
    assert signature.inputs.required_input_names() == ["tools", "history"]
    assert signature.inputs.optional_input_names() == ["intents"]
    wanted = {"decision", "confidence", "tool", "tool_confidence", "arguments", "slots", "intent", "steps"}
    assert set(signature.outputs.input_names()) == wanted


def test_the_loaded_model_answers_as_predict_does(registry, requests, model_folder):
    """Loaded as MLflow loads it, pickles refused; from a list, a data frame, and a data frame of JSON text."""
    import mlflow.pyfunc
    import pandas as pd

    store, _, first = registry
    record = workload("tool_calling")
    expected = answers.answer(record, record.load(model_folder), requests)
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    served = mlflow.pyfunc.load_model(str(aliases.resolve(store, "tool_calling", first.version)))
    assert served.predict(requests) == expected
    assert served.predict(pd.DataFrame(requests)) == expected
    assert served.predict(pd.DataFrame([{k: json.dumps(v) for k, v in row.items()} for row in requests])) == expected


def test_a_field_only_some_requests_have_reaches_the_model(registry, requests):
    import mlflow.pyfunc

    store, _, first = registry
    served = mlflow.pyfunc.load_model(str(aliases.resolve(store, "tool_calling", first.version)))
    with_intents = [{**requests[0], "intents": {"look": "see the weather"}}, requests[1]]
    assert [answer["intent"] for answer in served.predict(with_intents)] == ["look", None]


def test_a_bad_request_is_one_line_with_its_place(registry, requests):
    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException

    store, _, first = registry
    served = mlflow.pyfunc.load_model(str(aliases.resolve(store, "tool_calling", first.version)))
    with pytest.raises(MlflowException, match=r"input line 2") as caught:
        served.predict([requests[0], {**requests[1], "history": "not JSON"}])
    assert "\n" not in str(caught.value)


def test_the_same_weights_are_found_again(registry, model_folder):
    store, _, first = registry
    assert packaging.find_version(store, "tool_calling", artefacts.model_digest(model_folder)) == first.version
    assert packaging.find_version(store, "tool_calling", "0" * 64) is None


def test_registering_needs_golden_inputs(tmp_path, model_folder):
    with pytest.raises(EquipoiseError, match="E_EXAMPLES"):
        packaging.build(tmp_path / "artefact", model_folder, "tool_calling", [])


def test_training_state_and_curves_are_not_served(tmp_path, model_folder):
    checkpoint = tmp_path / "checkpoint"
    (checkpoint / "resume").mkdir(parents=True)
    (checkpoint / "model.json").write_text("{}")
    (checkpoint / "curves.jsonl").write_text("")
    (checkpoint / "resume" / "state.pt").write_bytes(b"\x80\x04.")
    assert [p.name for p in artefacts.servable_files(checkpoint)] == ["model.json"]


def object_array(path):
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)


def archive(path, member):
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(member, pickle.dumps({}))


BRINGS_CODE = {
    "a pickle": ("weights.pkl", lambda p: p.write_bytes(pickle.dumps({}))),
    "a pickle named as JSON": ("facts.json", lambda p: p.write_bytes(pickle.dumps({}))),
    "a pickle named as weights": ("model.safetensors", lambda p: p.write_bytes(pickle.dumps([], protocol=2))),
    "a torch archive": ("model.safetensors", lambda p: archive(p, "archive/data.pkl")),
    "a torch file": ("model.pt", lambda p: archive(p, "archive/data.pkl")),
    "an array of objects": ("table.npy", object_array),
    "an archive of objects": ("table.npz", lambda p: np.savez(p, a=np.array([{}], dtype=object), allow_pickle=True)),
    "a program": ("run.py", lambda p: p.write_text("print()")),
    "a library": ("lib.so", lambda p: p.write_bytes(b"\x7fELF")),
    "no suffix": ("weights", lambda p: p.write_bytes(b"x")),
}


@pytest.mark.parametrize("case", BRINGS_CODE)
def test_files_that_could_bring_code_are_refused(tmp_path, case):
    name, make = BRINGS_CODE[case]
    (tmp_path / "model.json").write_text("{}")
    make(tmp_path / name)
    with pytest.raises(EquipoiseError, match="E_ARTEFACT_PICKLE") as caught:
        artefacts.servable_files(tmp_path)
    assert caught.value.exit_code == Exit.BAD_DATA


def test_plain_arrays_are_not_mistaken_for_pickles(tmp_path):
    (tmp_path / "model.json").write_text("{}")
    np.save(tmp_path / "idf.npy", np.arange(3.0))
    np.savez(tmp_path / "both.npz", a=np.arange(3), b=np.array(["x"]))
    assert len(artefacts.servable_files(tmp_path)) == 3


def test_a_link_in_a_model_folder_is_refused(tmp_path):
    (tmp_path / "model.json").write_text("{}")
    (tmp_path / "vocabulary.json").symlink_to("/etc/hostname")
    with pytest.raises(EquipoiseError, match="E_ARTEFACT_LINK") as caught:
        artefacts.servable_files(tmp_path)
    assert caught.value.exit_code == Exit.CONFIGURATION


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(EquipoiseError) as caught:
        artefacts.servable_files(tmp_path)
    assert caught.value.exit_code == Exit.MISSING_INPUT


def test_every_flipped_bit_is_noticed(own_copy):
    """One random bit in each file of the artefact in turn, manifest included; the restored folder verifies again."""
    folder, digest = own_copy
    generator = random.Random(5)
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.stat().st_size):
        content = path.read_bytes()
        at = generator.randrange(len(content))
        path.write_bytes(content[:at] + bytes([content[at] ^ (1 << generator.randrange(8))]) + content[at + 1 :])
        with pytest.raises(EquipoiseError) as caught:
            artefacts.verify(folder, digest)
        assert caught.value.exit_code == Exit.BAD_DATA
        path.write_bytes(content)
    assert artefacts.verify(folder, digest) == digest


def replace_manifest(folder):
    (folder / "MLmodel").write_text("flavors: {}")
    artefacts.write_manifest(folder)


def swap(folder):
    one, other = folder / "artifacts/model/values.json", folder / "artifacts/model/vocabulary.json"
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def link(folder):
    weights = folder / "artifacts/model/weights.safetensors"
    weights.rename(folder.parent / "elsewhere")
    weights.symlink_to(folder.parent / "elsewhere")


DAMAGE = {
    "a file more": (lambda f: (f / "code" / "sitecustomize.py").write_text("boom"), Exit.BAD_DATA),
    "a file less": (lambda f: (f / "artifacts/model/values.json").unlink(), Exit.BAD_DATA),
    "truncated": (lambda f: (f / "MLmodel").write_text((f / "MLmodel").read_text()[:50]), Exit.BAD_DATA),
    "two files swapped": (swap, Exit.BAD_DATA),
    "another manifest that fits": (replace_manifest, Exit.BAD_DATA),
    "a manifest that is no JSON": (lambda f: (f / "manifest.json").write_text("{"), Exit.BAD_DATA),
    "no manifest": (lambda f: (f / "manifest.json").unlink(), Exit.MISSING_INPUT),
    "a link to the same bytes": (link, Exit.CONFIGURATION),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_changed_artefact_is_refused(own_copy, case):
    damage, code = DAMAGE[case]
    folder, digest = own_copy
    damage(folder)
    with pytest.raises(EquipoiseError) as caught:
        artefacts.verify(folder, digest)
    assert caught.value.exit_code == code and "\n" not in str(caught.value)


def test_compiled_code_beside_the_served_code_is_neither_counted_nor_run(own_copy):
    """A planted .pyc with the source's own time and size would run in place of the source."""
    folder, digest = own_copy
    source = folder / "code" / "components" / "__init__.py"
    planted = folder.parent / "planted.py"
    planted.write_text(f"open({str(folder.parent / 'ran')!r}, 'w')\n")
    compile_it = (
        "import py_compile, importlib.util, struct, os, sys\n"
        "source, planted = sys.argv[1:]\n"
        "target = importlib.util.cache_from_source(source)\n"
        "py_compile.compile(planted, target)\n"
        "data = bytearray(open(target, 'rb').read()); info = os.stat(source)\n"
        "data[8:16] = struct.pack('<II', int(info.st_mtime), info.st_size)\n"
        "open(target, 'wb').write(data)\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    subprocess.run([sys.executable, "-c", compile_it, str(source), str(planted)], check=True, env=environment)
    assert artefacts.verify(folder, digest) == digest
    assert infrastructure_check.check_folder(folder).ok
    assert not (folder.parent / "ran").exists()


def test_infrastructure_check_replays_the_registered_artefact(registry, requests):
    store, _, first = registry
    outcome = infrastructure_check.check(store, "tool_calling", first.version, first.digest)
    assert outcome.ok and outcome.inputs == len(requests), outcome.reason
    folder = aliases.resolve(store, "tool_calling", first.version)
    assert artefacts.verify(folder, first.digest) == first.digest


LAST_BIT = float(np.nextafter(0.5, 2))
ANSWER = {"decision": "tool_call", "confidence": 0.5, "arguments": {"city": {"start": 3}}}
OFF_BY_A_BIT = ANSWER | {"confidence": LAST_BIT}


@pytest.mark.parametrize(
    ("got", "reason"),
    [
        ([ANSWER, ANSWER], ""),
        (
            [ANSWER, ANSWER | {"confidence": LAST_BIT}],
            f"golden input 2 is answered otherwise in confidence: {LAST_BIT}",
        ),
        ([ANSWER | {"arguments": {"city": {"start": 4}}}, ANSWER], "golden input 1 is answered otherwise in arguments"),
        ([ANSWER], "1 answers to 2 golden inputs"),
        ([None, ANSWER], "golden input 1 is answered otherwise"),
    ],
    ids=["equal", "one bit", "a place", "one missing", "no object"],
)
def test_answers_are_compared_to_the_last_bit(got, reason):
    found = infrastructure_check._first_difference([ANSWER, ANSWER], json.loads(json.dumps(got)))
    assert found.startswith(reason) and bool(found) == bool(reason)


def test_infrastructure_check_names_code_that_does_not_start(own_copy):
    folder, _ = own_copy
    (folder / "code" / "components" / "registry" / "answers.py").write_text("raise ImportError('not here')\n")
    outcome = infrastructure_check.check_folder(folder)
    assert not outcome.ok and "not here" in outcome.reason


def test_infrastructure_check_of_a_damaged_artefact_runs_nothing(registry, model_folder, requests):
    store, run_id, _ = registry
    version = packaging.log_model(store, run_id, model_folder, "tool_calling", examples=requests[:1])
    folder = aliases.resolve(store, "tool_calling", version.version)
    (folder / "code" / "components" / "workload.py").write_text("open('ran', 'w')\n")
    outcome = infrastructure_check.check(store, "tool_calling", version.version)
    assert not outcome.ok and "E_ARTEFACT" in outcome.reason and outcome.inputs == 0


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"history": '[{"a": 1}]', "note": "[1]"}, {"history": [{"a": 1}], "note": "[1]"}),
        ({"history": [1], "note": None, "other": float("nan")}, {"history": [1]}),
        ({"history": "null"}, {"history": None}),
    ],
    ids=["text is parsed where lists are known", "absent cells", "JSON null"],
)
def test_rows_from_tables(record, expected):
    assert answers.plain_rows([record], ["history"]) == [expected]


def test_nothing_asked_nothing_answered(model_folder):
    record = workload("tool_calling")
    assert answers.answer(record, record.load(model_folder), []) == []
