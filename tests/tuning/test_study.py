"""Studies over the toy: verdicts, kills, ctrl-C, more seeds, failures, scores of a split, and what is refused."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from components.errors import EquipoiseError
from components.training.interrupt import TrainingInterrupted
from components.tuning.study_report import conclude, notes
from tests.flows.projects import ROOT
from tests.training import toy
from tests.tuning.toy_study import WORKLOAD, plain, prepare, section, study


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("toy") / "prepared")


@pytest.fixture(scope="module")
def done(prepared, tmp_path_factory):
    """The state folder of a finished study, and what it says; tests work in copies."""
    state = tmp_path_factory.mktemp("done")
    return state, conclude(study(prepared, state))


@pytest.fixture
def copied(done, tmp_path):
    shutil.copytree(done[0], tmp_path / "state")
    return tmp_path / "state"


def long_enough(**changes):
    """The toy trained until it knows its task, so that the seeds agree."""
    values = section(epochs=6, **({"seeds": list(range(1, 8))} | changes)).model_dump(mode="json")
    values["training"]["learning_rate"] = 0.05
    values["model"]["dropout"] = 0.0
    return type(section()).model_validate(values)


def refusal(call):
    with pytest.raises(EquipoiseError) as refused:
        call()
    return refused.value.code, int(refused.value.exit_code), str(refused.value)


def test_the_planted_difference_is_shown_and_the_null_is_not(prepared, tmp_path):
    settings = long_enough(metrics=["above/accuracy", "above/error"])
    document = conclude(study(prepared, tmp_path, settings))
    by_name = {each["name"]: each for each in document["settings"]}
    assert list(by_name) == ["full", "almost full", "sizes"]
    assert by_name["full"]["verdict"] == "reference" and by_name["full"]["metrics"]["above/accuracy"]["mean"] > 0.9
    assert by_name["sizes"]["against"]["above/accuracy"]["verdict"] == "worse", "it never learns what is judged"
    assert by_name["almost full"]["verdict"] == "no difference shown"
    # more errors count as better where the gate says nothing: it judges accuracy only
    assert by_name["sizes"]["verdict"] == "better in above/error, worse in above/accuracy"
    family = [pair for each in document["settings"] for pair in each["against"].values()]
    assert len(family) == 4 and all(pair["adjusted"] >= pair["p"] for pair in family)
    assert "80 conversations are drawn" in document["resampled"] and "Holm over 4" in document["resampled"]
    text = (tmp_path / "studies" / document["study"] / "report.md").read_text()
    assert "| sizes | above/accuracy |" in text and "Seeds 1, 2, 3, 4, 5, 6, 7; 6 epochs a run" in text
    assert (tmp_path / "studies" / document["study"] / "forest.png").read_bytes().startswith(b"\x89PNG")


def test_killed_in_the_middle_it_says_what_an_undisturbed_study_says(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.tuning.toy_study", "1", str(tmp_path)],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout)["kills"] == 2


def test_more_seeds_and_settings_only_add_runs(prepared, done, copied):
    first, said = done[1], []
    weights = {path: path.stat().st_mtime_ns for path in copied.rglob("model.safetensors")}
    wide = {"full": {}, "narrow": {"model.width": 8}}
    document = conclude(study(prepared, copied, section(seeds=[1, 2, 3, 4], settings=wide), said))
    assert len(weights) == 9 and len(list(copied.rglob("model.safetensors"))) == 9 + 4 + 1
    assert all(path.stat().st_mtime_ns == time for path, time in weights.items())
    assert len(said) == 8 and said[0].startswith("run 1 of 8: full, seed 1, left ")
    before, after = (each["settings"][0]["metrics"]["above/accuracy"]["by_seed"] for each in (first, document))
    assert after[:3] == before and len(after) == 4
    assert document["study"] != first["study"], "other settings are another study"


def test_ctrl_c_ends_at_a_safe_point_and_the_next_call_goes_on(prepared, done, tmp_path):
    seen = []

    def batches(settings, place, split, epoch):
        seen.append(epoch)
        if len(seen) == 12:  # an epoch asks twice, a run has two and is measured once: this is the third run
            signal.raise_signal(signal.SIGINT)
        return toy.batches(settings, place, split, epoch)

    interrupted = dataclasses.replace(WORKLOAD, batches=batches)
    with pytest.raises(TrainingInterrupted, match=r"Study toys/toy/\w+ stopped in run 3 of 9; what is done is kept"):
        study(prepared, tmp_path, workload=interrupted)
    assert plain(conclude(study(prepared, tmp_path))) == plain(done[1])


def test_a_setting_that_diverges_failed_and_is_not_tried_again(prepared, tmp_path):
    settings = section(settings={"full": {}, "huge": {"loss.size.weight": 1e38}, "narrow": {"model.width": 8}})
    said, again = [], []
    document = conclude(study(prepared, tmp_path, settings, said))
    huge = document["settings"][1]
    assert huge["verdict"] == "failed with seed 1, 2, 3" and "E_NONFINITE" in huge["failures"]["1"]
    assert huge["metrics"] == {} and document["settings"][2]["against"]
    assert any("huge, seed 1 failed" in line for line in said)
    assert plain(conclude(study(prepared, tmp_path, settings, again))) == plain(document)
    assert not any("failed" in line for line in again)
    code, *_ = refusal(lambda: study(prepared, tmp_path, section(settings=settings.study.settings, reference="huge")))
    assert code == "E_NONFINITE", "without the reference nothing can be compared"


def test_a_damaged_table_is_scored_again_and_a_damaged_model_trained_again(prepared, done, copied):
    first, second, third = sorted((copied / "studies" / "toys" / "toy" / "runs").iterdir())[:3]
    (first / "validation.parquet").write_bytes(b"PAR1")
    (second / "model" / "model.safetensors").write_bytes(b"")
    (second / "run.json").write_text("{")
    (third / "validation.json").write_text("{")
    assert plain(conclude(study(prepared, copied))) == plain(done[1])


def test_another_split_is_another_study_of_the_same_runs_and_is_said(prepared, done, copied):
    document = conclude(study(prepared, copied, split="test"))
    assert document["split"] == "test" and document["sentence"].endswith("judged on the test split")
    assert any("test split was looked at" in line for line in notes(document))
    assert document["study"] != done[1]["study"]
    assert [r["fingerprint"] for r in document["runs"]] == [r["fingerprint"] for r in done[1]["runs"]]


@pytest.mark.parametrize(
    ("changes", "code", "status", "says"),
    [
        ({"metrics": ["above/acuracy"]}, "E_CONFIG_KEY", 78, "Did you mean `above/accuracy`?"),
        ({"metrics": ["nothing like it/at all"]}, "E_CONFIG_KEY", 78, "toy.study.metrics"),
        ({"settings": {"full": {}, "x": {"loss.abov.weight": 1}}}, "E_CONFIG_KEY", 78, "`loss.above.weight`"),
    ],
)
def test_a_study_that_does_not_fit_is_refused_early(prepared, tmp_path, changes, code, status, says):
    said = []
    found = refusal(lambda: study(prepared, tmp_path, section(**changes), said))
    assert found[:2] == (code, status) and says in found[2]
    assert len(said) <= 1, "not after every training"


def test_without_data_or_samples_it_is_refused(prepared, tmp_path):
    code, status, _ = refusal(lambda: study(tmp_path / "nowhere", tmp_path))
    assert (code, status) == ("E_MISSING", 66)
    code, status, text = refusal(lambda: study(prepared, tmp_path, split="none"))
    assert (code, status) == ("E_STUDY_SCORES", 65) and "none split needs samples" in text


def test_a_cluster_that_is_not_scored_is_refused(prepared, copied):
    values = section().model_dump(mode="json")
    values["gate"]["cluster"] = "user"
    code, status, text = refusal(lambda: study(prepared, copied, type(section()).model_validate(values)))
    assert (code, status) == ("E_STUDY_SCORES", 65) and "user" in text


def test_two_at_once_the_second_is_told_to_wait(prepared, copied):
    codes = []

    def load(folder):
        codes.append(refusal(lambda: study(prepared, copied))[:2])
        return WORKLOAD.load(folder)

    study(prepared, copied, split="test", workload=dataclasses.replace(WORKLOAD, load=load))
    assert set(codes) == {("E_BUSY", 75)}
