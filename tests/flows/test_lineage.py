"""What a version was made of, told from its records; what cannot be made again; how both are shown."""

import json
import shutil

import pytest

from components.errors import EquipoiseError
from components.registry import aliases, packaging
from components.training.finished import CARD
from flows import lineage, present_lineage, registration, reproduce
from flows.state import Place

W = "tool_calling"


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
