"""`equipoise simulate` on a small generated market: real trainings, shared between policies and kept for a rerun."""

from __future__ import annotations

import json

import numpy as np
import pytest

from components.config_edit import edit
from components.errors import EquipoiseError
from flows import simulate
from flows.state import Place
from tests.flows.projects import real_project

W = "trading"
SMALL = (
    "data.embedded=planted", "data.embedded_days=1600", "data.label_from=null", "data.holdout_from='2018-01-01'",
    "data.folds=3", "model.width=16", "model.latent_updates=1", "model.supervision_steps=1", "training.epochs=1",
    "evaluation.resamples=200",
)  # fmt: skip


def quiet(_line):
    pass


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """A project with a small market, and what three policies made of it."""
    project = real_project(tmp_path_factory.mktemp("simulated") / "project")
    edit(project / "params.yaml", W, SMALL)
    place, said = Place(project, project / ".equipoise"), []
    asked = simulate.Settings(("always", "age:100000", "drift"), every=300)
    return place, asked, simulate.run(place, W, asked, said.append), said


def test_policies_are_replayed_with_trainings_that_they_share(market):
    _, _, found, said = market
    rows = {each["policy"]: each for each in found["policies"]}
    assert list(rows) == ["never", "always", "age:100000", "drift"]
    decisions = len(rows["always"]["decisions"])
    assert decisions >= 2 and rows["always"]["trainings"] == decisions
    assert sum(line.startswith("training as of") for line in said) == decisions
    assert rows["never"]["trainings"] == rows["age:100000"]["trainings"] == 1
    assert rows["age:100000"]["score"] == rows["never"]["score"] and rows["never"]["difference"] is None
    assert rows["age:100000"]["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert 0 < rows["never"]["cpu_seconds"] < rows["always"]["cpu_seconds"]
    assert rows["always"]["staleness_days"] < rows["never"]["staleness_days"]
    assert all(d["why"] for each in rows.values() for d in each["decisions"])
    assert "independent samples now" in rows["drift"]["decisions"][1]["why"]
    for each in rows.values():
        assert 0 < each["score"]["low"] <= each["score"]["value"] <= each["score"]["high"] < 1


def test_the_hold_out_is_not_looked_at(market):
    place, _, found, _ = market
    section = place.config().trading
    assert np.datetime64(found["until"]) <= np.datetime64(section.data.holdout_from)


def test_a_rerun_trains_nothing_and_says_the_same(market):
    place, asked, found, _ = market
    said = []
    assert simulate.run(place, W, asked, said.append) == found
    assert not [line for line in said if line.startswith("training as of")]
    report, picture = (place.state / "simulated" / W / name for name in ("report.json", "policies.png"))
    assert json.loads(report.read_text()) == found and picture.read_bytes().startswith(b"\x89PNG")
    assert not list((place.state / "simulated" / W).glob("work-*"))


def test_the_text_has_a_row_a_policy(market):
    _, _, found, _ = market
    lines = simulate.text(found).splitlines()
    assert lines[0].startswith(f"trading: {found['samples']} samples from {found['first']}")
    assert [line.split()[0] for line in lines[2:6]] == ["never", "always", "age:100000", "drift"]


@pytest.mark.parametrize(
    ("workload", "changes", "code", "status"),
    [
        ("tool_calling", {}, "E_NOT_DATED", 78),
        (W, {"policies": ("sometimes",)}, "E_POLICY", 2),
        (W, {"policies": ("age:soon",)}, "E_POLICY", 2),
        (W, {"policies": ("always:3",)}, "E_POLICY", 2),
        (W, {"metric": "return/none"}, "E_METRIC", 2),
        (W, {"first": np.datetime64("1980-01-01")}, "E_DAYS", 65),
    ],
)
def test_what_cannot_be_simulated_is_refused(market, workload, changes, code, status):
    place, *_ = market
    asked = simulate.Settings(**{"policies": ("always",), **changes})
    with pytest.raises(EquipoiseError, match=code) as caught:
        simulate.run(place, workload, asked, quiet)
    assert caught.value.exit_code == status
