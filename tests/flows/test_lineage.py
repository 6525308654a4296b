"""What a version was made of, told from its records; what cannot be made again; how both are shown."""

import json
import shutil

import pytest

from components.config_edit import edit
from components.errors import EquipoiseError
from components.registry import aliases, packaging
from components.training.finished import CARD
from flows import lineage, present_lineage, registration, reproduce
from flows.state import Place
from tests.flows.projects import real_project, train_here

W = "tool_calling"
SHORT = ("training.epochs=1", "training.batch_tokens=2048")
SMALLEST = {  # of tool_calling the cycle of a model shows the same by the commands
    "trading": (*SHORT, "model.width=16", "training.walk_forward=false"),
    "assertions": (
        *SHORT, "data.embedded_projects=4", "data.embedded_rows=240", "data.vocabulary=400", "model.width=16",
        "teacher.model.width=16", "teacher.training.epochs=1",
    ),
    "keyboard": (
        *SHORT, "data.embedded_users=20", "data.embedded_messages=200", "data.vocabulary=600", "data.screens=60",
        "data.processes=1", "model.width=16", "model.features=32",
    ),
}  # fmt: skip


def quiet(_line):
    pass


@pytest.fixture
def own(fitted, tmp_path):
    """The fitted project with a state folder of this test alone."""
    return Place(fitted.project, tmp_path / "state")


def register(place, folder=None) -> int:
    with registration.desk(place, W, "tester", quiet) as at:
        return registration.register_folder(at, folder or place.evaluation(W) / registration.BASELINE, "a baseline")


def changed_baseline(place, folder):
    """The same baseline whose card says otherwise: another version."""
    shutil.copytree(place.evaluation(W) / registration.BASELINE, folder)
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(card | {"validation": {"decision/accuracy": 0.5}}))
    return folder


def test_a_version_tells_what_it_was_made_of(own):
    told = lineage.lineage(own, W, register(own), quiet)
    assert (told["version"], told["kind"], told["standing"]) == (1, "baseline", "registered")
    assert told["registered"]["actor"] == "tester" and told["registered"]["reason"] == "a baseline"
    assert len(told["data"]["digest"]) == len(told["artefact"]["digest"]) == 64
    assert told["code"]["packages"]["torch"] and told["code"]["digest"]
    assert told["judgements"] == [] and told["campaign"] is None and told["training"] == {}
    assert "baseline, registered" in present_lineage.lineage(told)


def test_the_parameters_are_kept_with_the_version(own):
    version = register(own)
    with registration.desk(own, W, None, quiet) as at:
        folder = aliases.resolve(at.store, W, version, at.artefact_digest(version))
    assert (folder / packaging.PARAMS).read_bytes() == own.params.read_bytes()


def test_only_what_differs_is_shown(own, tmp_path):
    first, second = register(own), register(own, changed_baseline(own, tmp_path / "other"))
    found = lineage.difference(own, W, second, first, quiet)
    assert not found["equal"] and found["validation"] == {"decision/accuracy": [0.5, None]}
    assert all(found[part] == {} for part in ("data", "code", "training", "parameters"))
    text = present_lineage.difference(found)
    assert "two models" in text and "validation metrics" in text and "code and packages" not in text
    same = lineage.difference(own, W, first, first, quiet)
    assert same["equal"] and present_lineage.difference(same).count("\n") == 0


def test_a_campaign_is_known_by_its_weights(own):
    folder = own.state / "campaigns" / "equipoise" / W / "night"
    folder.mkdir(parents=True)
    entry = {"number": 3, "weights": {"tool.weight": 0.7}}
    document = {"study": "equipoise/tool_calling/night", "best": entry, "front": [{"number": 0, "weights": {}}],
                "verdict": "better: candidate 3"}  # fmt: skip
    (folder / lineage.RESULT).write_text(json.dumps(document))
    with registration.desk(own, W, None, quiet) as at:
        found = lineage._campaign(at, {"loss": {"tool": {"weight": 0.7}}})
        assert found is not None and (found["candidate"], found["study"]) == (3, document["study"])
        assert lineage._campaign(at, {"loss": {"tool": {"weight": 0.8}}}) is None


def test_what_no_training_made_cannot_be_made_again(own):
    with pytest.raises(EquipoiseError, match="E_REPRODUCE tool_calling version 1: must be a trained model") as refused:
        reproduce.reproduce(own, W, register(own), quiet)
    assert refused.value.exit_code == 66
    assert not (own.state / reproduce.FOLDER).exists()


@pytest.mark.parametrize("workload", ["trading", pytest.param("assertions", marks=pytest.mark.torture), "keyboard"])
def test_a_version_comes_out_byte_for_byte_of_nothing_but_what_is_kept_with_it(workload, tmp_path, monkeypatch):
    """Data are generated and prepared again; where a teacher is asked, it is trained again too."""
    monkeypatch.setenv("EQUIPOISE_DEVICE", "cpu")
    place = Place(real_project(tmp_path / "project"), tmp_path / "state")
    edit(place.params, workload, SMALLEST[workload])
    train_here(place, workload)
    with registration.desk(place, workload, "tester", quiet) as at:
        version = registration.register_folder(at, place.checkpoint(workload), "trained")
    shutil.rmtree(place.project / "data")
    made = reproduce.reproduce(place, workload, version, quiet)
    assert made["equal"] and made["differs"] == [], made
    assert {"model.safetensors", CARD} <= made["files"].keys()
    assert all(pair["registered"] for pair in made["files"].values())


def test_keys_keep_the_order_of_the_parameters_and_take_the_values_of_the_model():
    """A trading model's classes go by the order of its strategies, which model.json does not keep."""
    like = {"b": {"z": 1, "y": 2}, "gone": 3, "a": [1]}
    made = reproduce._ordered({"a": [2], "b": {"x": 7, "y": 5, "z": 6}, "new": 4}, like)
    assert made == {"b": {"z": 6, "y": 5, "x": 7}, "a": [2], "new": 4}
    assert list(made) == ["b", "a", "new"] and list(made["b"]) == ["z", "y", "x"]


def test_without_a_champion_a_version_must_be_named(own):
    with pytest.raises(EquipoiseError, match="E_NO_CHAMPION tool_calling: there must be a champion, got none"):
        lineage.lineage(own, W, None, quiet)


def test_a_version_that_is_not_there_is_said(own):
    register(own)
    with pytest.raises(EquipoiseError, match="E_MODEL_VERSION") as refused:
        lineage.difference(own, W, 1, 7, quiet)
    assert refused.value.exit_code == 66


@pytest.mark.parametrize(
    ("source", "project", "link"),
    [
        ("raw", "project", "project/raw"),
        ("../dialogues", "below/project", "below/dialogues"),
        ("../../a/b", "below/below/project", "below/a/b"),
    ],
)
def test_raw_data_are_seen_from_where_they_were(tmp_path, source, project, link):
    params = {W: {"data": {"source": source}}}
    place = Place(tmp_path / "one" / "two" / "here", tmp_path / "state")
    target = place.project / source
    place.project.mkdir(parents=True)
    target.mkdir(parents=True)
    made = reproduce._project(tmp_path / "again", place, W, reproduce.Kept(2, tmp_path, {}, params))
    assert made == tmp_path / "again" / project
    assert (tmp_path / "again" / link).resolve() == target.resolve() == (made / source).resolve()


def test_unequal_files_name_what_was_otherwise():
    files = {"model.safetensors": {"registered": "a" * 64, "made": "b" * 64}}
    document = {"workload": W, "version": 2, "differs": ["torch: 2.14.0, then 2.13.0"], "files": files, "equal": False,
                "seconds": 1.0, "folder": "there"}  # fmt: skip
    error, text = reproduce.not_equal(document), present_lineage.reproduced(document)
    assert error.exit_code == 78 and "other model.safetensors. What was otherwise: torch: 2.14.0" in str(error)
    assert "another" in text and "not byte for byte" in text
